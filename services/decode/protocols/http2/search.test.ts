/** What searching costs, in places that are judged. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cursor } from '../../../core/cursor.js'
import { RESYNC_TAIL_BYTES } from '../../limits.js'
import { FrameSearch, findFrame, type KnownStreams } from './search.js'

const STREAMS: KnownStreams = { isKnown: () => false, newest: 1, changes: 0 }
const SIZE = 100_000

/** Places judged until all of `bytes` has gone by in pieces, the window kept as the host keeps it. */
function judged(bytes: Buffer, pieceBytes: number): number {
  const search = new FrameSearch()
  const cursor = Cursor.over(bytes)
  cursor.end = 0
  while (cursor.end < bytes.length) {
    cursor.end = Math.min(bytes.length, cursor.end + pieceBytes)
    cursor.passedBytes = cursor.pos
    cursor.searchedBytes = 0
    const found = findFrame(cursor, STREAMS, search)
    // It turns out to be none.
    if (found >= 0) cursor.pos += found + 1
    else cursor.pos += Math.max(Math.min(cursor.length, cursor.searchedBytes), cursor.length - RESYNC_TAIL_BYTES)
  }
  return search.judged
}

test('small segments are not searched again and again while a frame is waited for', () => {
  // Each may be the header of DATA of an unknown stream, whose end is 3 kB away, where nothing goes on.
  const frames = Buffer.alloc(SIZE, 0xff)
  for (let at = 0; at + 9 < SIZE; at += 1000) Buffer.from([0, 12, 0, 0, 0, 0, 0, 0, 5]).copy(frames, at)
  for (const pieceBytes of [1, 64, 1000]) assert.ok(judged(frames, pieceBytes) < 1.2 * SIZE, `pieces of ${pieceBytes}`)
})

/** What may be the header of DATA whose end is 3840 bytes away, now and then in what else may be headers. */
function amid(filling: readonly number[]): Buffer {
  const bytes = Buffer.alloc(SIZE, Buffer.from(filling))
  for (let at = 0; at + 9 < SIZE; at += 3900) Buffer.from([0, 15, 0, 0, 0, 0, 0, 0, 5]).copy(bytes, at)
  return bytes
}

test('what other bytes cannot decide is not looked at again with each of them', () => {
  // Frames of a stream that is far too high, one behind the other, and of one that is not known.
  for (const filling of [
    [0, 0, 9, 0, 0, 0x7f, 1, 1, 1],
    [0, 0, 1, 1, 4, 0x7f, 0, 0, 9, 1],
    [0, 0, 0, 0, 1, 0, 0, 0, 9],
  ]) {
    for (const pieceBytes of [1, 64]) {
      const cost = judged(amid(filling), pieceBytes)
      assert.ok(cost < 2 * SIZE, `${cost} places judged, ${filling} in pieces of ${pieceBytes}`)
    }
  }
})

test('SETTINGS that hold what looks like DATA of stream 1 are not left for it', () => {
  const streams: KnownStreams = { isKnown: (stream) => stream === 1, newest: 1, changes: 1 }
  // The end of what nghttpx begins with: sizes, 65535, two settings that are 1; then an acknowledgement.
  const bytes = Buffer.from('04000000000000030000006400040000ffff000900000001000800000001000000040100000000', 'hex')
  assert.equal(findFrame(Cursor.over(bytes), streams, new FrameSearch()), bytes.length - 9)
})
