/** HTTP/1 of real captures with a piece missing, or joined late: nothing is invented, and decoding goes on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_CORPUS } from './corpus.js'
import { corpusStreams, joinLate, loseOnePiece } from './damage.js'

/**
 * Left out, each with its reason: traffic that is malformed on purpose, where the whole run is no measure.
 * - evader-273: the first field line begins with a tab; with the bytes behind it lost it reads as a field of its own;
 * - evader-491: a blank and CR before the status line make it no response; joined behind them it is one;
 * - desync-5: three answers to one request, of which the first, its own, is what is lost;
 * - bug-2512: CONNECT without an answer, and TLS behind it: joined behind the CONNECT the TLS is there to be seen;
 * - methods.pcap 15 and 19: joined in the middle of the method CCM_POST, what is left is a POST.
 */
const LEFT_OUT = [
  'suricata-verify/http1-evader/http-evader__http-evader-273.pcap #0',
  'suricata-verify/http1-evader/http-evader__http-evader-491.pcap #0',
  'suricata-verify/http1/bug-2512__sample_10.62.112.41_62227.pcap #0',
  'zeek/http1/http-desync-request-response-5.pcap #1',
  'zeek/http1/methods.pcap #15',
  'zeek/http1/methods.pcap #19',
]

const streams = (await corpusStreams('http1', 'http1', 'http1-evader', 'encap', 'tcp-reassembly')).filter(
  (stream) => !LEFT_OUT.includes(stream.name),
)

test('HTTP/1 with one random piece lost', { skip: NO_CORPUS }, (t) => {
  const result = loseOnePiece(streams)
  t.diagnostic(`HTTP/1, ${result.figures}`)
  assert.ok(result.losses > 10_000)
  assert.deepEqual(result.faults, { invented: 0, mispaired: 0, overstated: 0 }, result.examples.join('\n'))
  assert.equal(result.changedBefore, 0, result.examples.join('\n'))
  assert.ok(result.untouchedKept >= result.untouched * 0.99, result.figures)
  assert.ok(result.nextDecoded >= result.next * 0.95, result.figures)
})

test('HTTP/1 joined late', { skip: NO_CORPUS }, (t) => {
  const result = joinLate(streams)
  t.diagnostic(`HTTP/1, ${result.figures}`)
  assert.ok(result.joins > 100_000)
  assert.deepEqual(result.faults, { invented: 0, mispaired: 0, overstated: 0 }, result.examples.join('\n'))
  assert.ok(result.laterKept >= result.later * 0.95, result.figures)
})
