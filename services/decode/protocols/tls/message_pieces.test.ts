import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StateWriter } from '../../../core/state.js'
import { MessagePieces } from './message_pieces.js'

const CERTIFICATE = 11
const TEXT = Buffer.from('a message of forty bytes, cut at will ...')

/** A piece of message `number`, which has `size` bytes, from `offset` on. */
function piece(number: number, size: number, offset: number, body: Buffer): Buffer {
  const header = Buffer.alloc(12)
  header[0] = CERTIFICATE
  header.writeUIntBE(size, 1, 3)
  header.writeUInt16BE(number, 4)
  header.writeUIntBE(offset, 6, 3)
  header.writeUIntBE(body.length, 9, 3)
  return Buffer.concat([header, body])
}

/** Messages as they are handed over. */
function listener() {
  const heard: { text: string; whole: boolean; startUs: number; endUs: number }[] = []
  let [startUs, endUs] = [0, 0]
  return {
    heard,
    time: (start: number, end: number) => {
      startUs = start
      endUs = end
    },
    message: (_type: number, bytes: Buffer, from: number, to: number, whole: boolean) => {
      heard.push({ text: bytes.toString('latin1', from, to), whole, startUs, endUs })
    },
  }
}

test('pieces in any order, overlapping and repeated, make one message', () => {
  const cuts: [number, number][] = [
    [30, TEXT.length],
    [5, 12],
    [5, 12],
    [10, 33],
    [0, 6],
    [0, 6],
  ]
  const pieces = new MessagePieces()
  const sink = listener()
  for (const [i, [from, to]] of cuts.entries()) {
    const bytes = piece(0, TEXT.length, from, TEXT.subarray(from, to))
    assert.ok(pieces.push(bytes, 0, bytes.length, 100 + i, sink))
  }
  assert.deepEqual(sink.heard, [{ text: TEXT.toString(), whole: true, startUs: 100, endUs: 104 }])
  assert.equal(pieces.hasHoles, false)
})

test('of what never comes whole the beginning is handed over, once', () => {
  const pieces = new MessagePieces()
  const sink = listener()
  for (const [from, to] of [
    [0, 10],
    [20, 30],
  ]) {
    const bytes = piece(1, TEXT.length, from, TEXT.subarray(from, to))
    pieces.push(bytes, 0, bytes.length, 7, sink)
  }
  assert.equal(pieces.hasHoles, true)
  pieces.lose(9, sink)
  pieces.lose(9, sink)
  assert.deepEqual(sink.heard, [{ text: TEXT.toString('latin1', 0, 10), whole: false, startUs: 7, endUs: 9 }])
  // Message 0 was never seen.
  assert.equal(pieces.hasHoles, true)
})

test('sizes that are claimed and never sent take bounded memory', () => {
  const pieces = new MessagePieces()
  const sink = listener()
  for (let number = 0; number < 65_536; number++) {
    const bytes = piece(number, 0xffffff, 0xfffff0 - (number % 1000) * 2, TEXT.subarray(0, 1))
    pieces.push(bytes, 0, bytes.length, 0, sink)
  }
  const state = new StateWriter()
  pieces.save(state)
  assert.ok(state.finish().length < 80 * 1024)
})

test('pieces that lie about their length are refused', () => {
  const pieces = new MessagePieces()
  const sink = listener()
  const beyond = piece(0, 10, 8, TEXT.subarray(0, 5))
  assert.equal(pieces.push(beyond, 0, beyond.length, 0, sink), false)
  const cut = piece(0, TEXT.length, 0, TEXT)
  assert.equal(pieces.push(cut, 0, cut.length - 1, 0, sink), false)
  assert.deepEqual(sink.heard, [])
})
