import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FieldCursor, FlowDictionaryColumn } from './flow_columns.js'

const PAIRS = 10

/** What FNV-1a as it is published makes of these four bytes. */
function after(hash: number, word: number): number {
  let sum = hash
  for (let shift = 0; shift < 32; shift += 8) sum = Math.imul(sum ^ ((word >>> shift) & 0xff), 0x01000193)
  return sum
}

/** Texts that all have one hash: of each pair of words either may stand in a text. */
function colliding(): Buffer[] {
  let texts = [Buffer.alloc(0)]
  let state = 0x811c9dc5
  for (let i = 0; i < PAIRS; i++) {
    const seen = new Map<number, number>()
    let word = 0
    let hash = 0
    for (let n = 1; ; n++) {
      word = Math.imul(n, 0x9e3779b1) >>> 0
      hash = after(state, word)
      if (seen.has(hash)) break
      seen.set(hash, word)
    }
    const pair = [word, seen.get(hash) as number].map((each) => {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32LE(each)
      return bytes
    })
    texts = texts.flatMap((text) => pair.map((part) => Buffer.concat([text, part])))
    state = hash
  }
  return texts
}

test('texts that were chosen to share a slot are found as quickly as others', () => {
  const texts = colliding()
  const column = new FlowDictionaryColumn(2 * texts.length)
  const cursor = new FieldCursor()
  for (const text of [...texts, ...texts]) {
    // Zig-zag: a size below 64 takes one byte.
    cursor.bytes = Buffer.concat([Buffer.from([2 * text.length]), text])
    cursor.at = 0
    column.take(cursor)
  }
  assert.equal(new Set(texts.map((text) => text.toString('latin1'))).size, 2 ** PAIRS)
  assert.ok(column.looked < 16 * texts.length, `${column.looked} slots for ${2 * texts.length} texts`)
})
