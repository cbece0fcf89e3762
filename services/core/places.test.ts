import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cursor } from './cursor.js'
import { HERE, LATER, NEVER, Places, WAIT } from './places.js'
import { Random } from './random.js'

/** As much as the host keeps. */
const KEPT_BYTES = 200

/**
 * A made-up protocol: 7, a length, as many bytes, and another 7 behind them; of even length it begins only while `epoch` is
 * even. Answers what each segment found, and how many places were judged. `places` makes the memory of each search.
 */
function search(segments: readonly Buffer[], epochs: readonly number[], places: () => Places, marks: boolean) {
  const found: number[] = []
  const used = new Set<Places>()
  let passed = 0
  const cursor = new Cursor()
  for (const [i, segment] of segments.entries()) {
    const window = Buffer.concat([cursor.bytes.subarray(cursor.pos, cursor.end), segment])
    cursor.markEnds = [...cursor.markEnds.slice(0, cursor.markCount).map((end) => end - cursor.pos), window.length]
    cursor.markEnds = cursor.markEnds.filter((end) => end > 0)
    cursor.markCount = cursor.markEnds.length
    cursor.bytes = window
    cursor.pos = 0
    cursor.end = window.length
    cursor.passedBytes = passed
    const memory = places()
    used.add(memory)
    const judge = (at: number) => {
      if (window[at] !== 7) return NEVER
      if (at + 2 > window.length) return LATER
      const next = at + 2 + window[at + 1]
      memory.neededEnd = next + 1
      if (next >= window.length) return window[at + 1] < 100 ? WAIT : LATER
      if (window[next] !== 7) return NEVER
      return window[at + 1] % 2 === 0 && epochs[i] % 2 === 1 ? LATER : HERE
    }
    let at: number
    let waiting = -1
    if (!marks) {
      at = memory.search(cursor, 1, judge, epochs[i])
      waiting = memory.waiting
    } else at = judge(0) === HERE ? 0 : memory.searchMarks(cursor, judge, epochs[i])
    found.push(at < 0 ? -1 : passed + at, at < 0 ? passed + waiting : 0)
    // What is found is read, or turns out to be none; else the window is kept from where it may begin.
    const last = marks ? 0 : window.length - 1
    const keep = at >= 0 ? at + 1 + (window[at + 1] % 3) : waiting >= 0 ? waiting : last
    const drop = Math.max(0, Math.min(window.length, Math.max(keep, window.length - KEPT_BYTES)))
    cursor.pos = drop
    passed += drop
  }
  return { found, judged: [...used].reduce((sum, { judged }) => sum + judged, 0) }
}

test('a search that remembers finds what one that begins anew for each segment finds', () => {
  const random = new Random(51)
  let [judged, judgedAnew] = [0, 0]
  for (let i = 0; i < 400; i++) {
    const segments = Array.from({ length: 1 + random.below(60) }, () =>
      Buffer.from(Array.from({ length: 1 + random.below(20) }, () => random.pick([0, 7, 7, 3, 20, 90, 120]))),
    )
    let epoch = 0
    const epochs = segments.map(() => (epoch += random.below(8) === 0 ? 1 : 0))
    for (const marks of [false, true]) {
      const memory = new Places()
      // Now and then a younger decoder goes on.
      const young = segments.map(() => random.below(30) === 0)
      let at = 0
      let current = memory
      const remembering = search(segments, epochs, () => (young[at++] ? (current = new Places()) : current), marks)
      const anew = search(segments, epochs, () => new Places(), marks)
      assert.deepEqual(remembering.found, anew.found)
      judged += remembering.judged
      judgedAnew += anew.judged
    }
  }
  assert.ok(judged * 2 < judgedAnew, `${judged} places judged, ${judgedAnew} without memory`)
})
