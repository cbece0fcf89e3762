/** Real captures with a few bytes changed: whatever they say then, the reader answers with segments that can be, or one line. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { readCapture } from '../fakes/packets.js'
import { corpusFiles, NO_CORPUS } from './corpus.js'

const ROUNDS = Number(process.env.KLARTEXT_FUZZ_ROUNDS ?? 6000)
const SEED = Number(process.env.KLARTEXT_FUZZ_SEED ?? 7)
const FILE_BYTES_MAX = 60_000
const ODD_BYTES = [0, 1, 0x7f, 0x80, 0xff]
const CODES = ['', 'CAPTURE_TRUNCATED', 'CAPTURE_BROKEN', 'NOT_A_CAPTURE']

test('captures with changed bytes', { skip: NO_CORPUS }, async (t) => {
  const files = corpusFiles('encap', 'tcp-reassembly', 'http1', 'dns')
    .filter((file) => !file.path.endsWith('.gz'))
    .map((file) => readFileSync(file.fullPath))
    .filter((bytes) => bytes.length < FILE_BYTES_MAX)
  let state = SEED
  const random = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  let segments = 0
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = Buffer.from(files[random(files.length)])
    for (let changes = 1 + random(12); changes > 0; changes--) {
      const at = 24 + random(bytes.length - 24)
      bytes[at] = random(3) === 0 ? ODD_BYTES[random(ODD_BYTES.length)] : random(256)
    }
    const result = await readCapture(bytes, 50 + random(5) * 2000)
    const label = `round ${round} of seed ${SEED}`
    assert.ok(CODES.includes(result.code), `${label}: ${result.message}`)
    const ends = new Map<string, number>()
    for (const each of result.segments) {
      assert.ok(each.position >= 0 && each.length >= each.payload.length, label)
      assert.ok(Number.isFinite(each.timeUs) && each.timeRestNs >= 0 && each.timeRestNs < 1000, label)
      const name = `${each.connection.id} ${each.direction}`
      assert.ok(each.position >= (ends.get(name) ?? 0), `${label}: a position goes back`)
      ends.set(name, each.position + each.length)
    }
    segments += result.segments.length
  }
  t.diagnostic(`${ROUNDS} damaged captures, ${segments} segments`)
  assert.ok(segments > ROUNDS)
})
