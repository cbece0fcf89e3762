import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identity } from '../../../test/fakes/identities.js'
import { type Identity, STILL_VALID_US } from '../../core/pods.js'
import type { Unnamed } from '../../core/ports/pods.js'
import { Random } from '../../core/random.js'
import { LivesIndex } from './lives.js'
import { V4Numbers } from './v4_numbers.js'

const S = 1_000_000

test('numbers by address are those of a Map, whatever comes and goes', () => {
  const random = new Random(1)
  const numbers = new V4Numbers()
  const expected = new Map<number, number>()
  // Few keys and many of them neighbours: places are contended for and given back.
  const keys = Array.from({ length: 400 }, (_, i) => (random.chance(0.5) ? 0x0a000000 + i : random.below(2 ** 32)) | 0)
  keys.push(0, -1, 0x7fffffff, -0x80000000)
  for (let i = 0; i < 40_000; i++) {
    const key = random.pick(keys)
    if (random.chance(0.45)) {
      numbers.delete(key)
      expected.delete(key)
    } else {
      const value = random.chance(0.1) ? 0 : random.below(2 ** 31 - 1)
      numbers.set(key, value)
      expected.set(key, value)
    }
    const asked = random.pick(keys)
    assert.equal(numbers.get(asked), expected.get(asked) ?? -1)
    assert.equal(numbers.size, expected.size)
  }
  for (const key of keys) assert.equal(numbers.get(key), expected.get(key) ?? -1)
})

interface Version {
  readonly identity: Identity
  readonly knownUs: number
  untilUs: number
}

/** The rule in words, without a thought of speed. */
function holder(versions: readonly Version[], timeUs: number, knownUs: number): Identity | Unnamed {
  const there = versions
    .filter((each) => each.knownUs <= knownUs && knownUs < each.untilUs)
    .map(({ identity }) => identity)
    .filter(({ validFromUs, validToUs }) => validFromUs <= timeUs && timeUs < validToUs)
    .sort((a, b) => b.validFromUs - a.validFromUs)
  const [latest, ...before] = there
  if (before.length === 0) return latest ?? 'nobody'
  const areEnded = before.every(
    ({ validFromUs, validToUs }) => validToUs === STILL_VALID_US && validFromUs < latest.validFromUs,
  )
  return areEnded && timeUs >= latest.validFromUs + S ? latest : 'unknown'
}

test('lives of addresses of both kinds are what they are one by one, and an answer holds for as long as it says', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed)
    const index = new LivesIndex(seed % 4 === 0 ? 'texts' : 'addresses')
    const expected = new Map<string, Version[]>()
    const names = ['10.0.0.1', '10.0.0.2', '255.255.255.255', '0.0.0.0', 'fd00::1', 'fd00::2', '']
    const second = (count: number) => random.below(count * 4) * (S / 4)
    for (let i = 0; i < 250; i++) {
      const name = random.pick(names)
      const versions = expected.get(name) ?? []
      expected.set(name, versions)
      if (versions.length > 0 && random.chance(0.2)) {
        const [gone] = versions.splice(random.below(versions.length), 1)
        index.remove(name, gone.identity)
      } else if (versions.length > 0 && random.chance(0.3)) {
        const version = random.pick(versions)
        version.untilUs = version.knownUs + second(20)
        index.supersede(name, version.identity, version.untilUs)
      } else {
        const validFromUs = Math.floor(second(30) / S) * S
        const validToUs = random.chance(0.4) ? STILL_VALID_US : validFromUs + second(10)
        const version = {
          identity: identity(`p${i}`, { validFromUs, validToUs }),
          knownUs: second(30),
          untilUs: Number.POSITIVE_INFINITY,
        }
        versions.push(version)
        index.add(name, version.identity, version.knownUs, version.untilUs)
      }
      const [asked, timeUs, knownUs] = [random.pick(names), second(45), second(45)]
      const there = expected.get(asked) ?? []
      const answer = holder(there, timeUs, knownUs)
      assert.deepEqual(index.at(asked, timeUs, knownUs), answer)
      const untilUs = index.holdsUntilUs
      assert.ok(untilUs > timeUs)
      for (let later = timeUs; later < Math.min(untilUs, 60 * S); later += S / 8) {
        assert.deepEqual(holder(there, later, knownUs), answer, `seed ${seed}: ${asked} at ${later}, said at ${timeUs}`)
      }
      const known = there.filter((each) => each.knownUs <= knownUs && knownUs < each.untilUs)
      assert.equal(index.known(asked, knownUs), known.at(-1)?.identity ?? null)
      const isOpen = known.some(({ identity: { validToUs } }) => validToUs > timeUs)
      assert.equal(index.has(asked, knownUs, timeUs), isOpen)
    }
  }
})
