/** Redis of real captures with a piece missing, or joined late: nothing is invented, and decoding goes on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_CORPUS } from './corpus.js'
import { corpusStreams, joinLate, loseOnePiece } from './damage.js'

const skip = NO_CORPUS
const streams = await corpusStreams('redis', 'redis')

test('Redis with one random piece lost', { skip }, (t) => {
  const result = loseOnePiece(streams)
  t.diagnostic(`Redis, ${result.figures}`)
  assert.deepEqual(result.faults, { invented: 0, mispaired: 0, overstated: 0 }, result.examples.join('\n'))
  assert.ok(result.untouchedKept >= result.untouched * 0.99, result.figures)
  assert.ok(result.nextDecoded >= result.next * 0.99, `${result.figures}\n${result.examples.join('\n')}`)
})

test('what was over before a loss is not changed by it', { skip }, () => {
  // Typed commands alone are not known for Redis: where all answers are lost nothing is decoded, not even what had none.
  const arrays = streams.filter((stream) => !/reply-off-on|client-skip/.test(stream.name))
  const result = loseOnePiece(arrays)
  assert.equal(result.changedBefore, 0, result.examples.join('\n'))
})

test('Redis joined late', { skip }, (t) => {
  const result = joinLate(streams, 2 << 20)
  t.diagnostic(`Redis, ${result.figures}`)
  assert.deepEqual(result.faults, { invented: 0, mispaired: 0, overstated: 0 }, result.examples.join('\n'))
  assert.ok(result.laterKept >= result.later * 0.95, result.figures)
})
