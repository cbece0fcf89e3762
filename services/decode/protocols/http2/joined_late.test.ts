/** What is known of streams whose beginning was not seen. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  answer,
  data,
  Flags,
  fields,
  frame,
  get,
  headers,
  indexed,
  request,
  reset,
} from '../../../../test/fakes/http2_frames.js'
import { Http2Peer } from '../../../../test/fakes/http2_peer.js'
import { Cursor } from '../../../core/cursor.js'
import { WITHDRAW } from '../../../core/protocol.js'
import { TO_CLIENT, TO_SERVER } from '../../../core/segment.js'

const CANCEL = 8
const PUSH_PROMISE = 5
const CONTINUATION = 9

function joined(): Http2Peer {
  const peer = new Http2Peer(false)
  peer.lose(TO_SERVER, 0, get(41, '/one'))
  peer.lose(TO_CLIENT, 0, answer(39))
  return peer
}

test('an interim answer whose status was indexed before the join is not taken for the answer', () => {
  const peer = joined()
  // 103 and its link are of entries that were not seen.
  peer.say(TO_CLIENT, headers(41, Buffer.concat([indexed(69), indexed(68)]), Flags.END_HEADERS))
  const interimUs = peer.timeUs
  peer.say(TO_CLIENT, headers(41, fields([':status', '404'], ['x-a', 'b']), Flags.END_HEADERS))
  peer.say(TO_CLIENT, data(41, Buffer.from('none'), Flags.END_STREAM))
  const { statusCode, outcome, respHeaders, respBytes, respStartUs } = peer.find('/one')
  assert.deepEqual([statusCode, outcome, respBytes], [404, 'client_error', 4])
  assert.deepEqual(respHeaders, ['x-a', 'b'])
  assert.ok(respStartUs > interimUs)
})

test('trailers with unknown fields are no other answer', () => {
  const peer = joined()
  peer.say(TO_CLIENT, headers(41, fields([':status', '200']), Flags.END_HEADERS), data(41, Buffer.from('x')))
  peer.say(TO_CLIENT, headers(41, indexed(70)))
  const { statusCode, complete, anomalies } = peer.find('/one')
  assert.deepEqual([statusCode, complete, anomalies], [200, false, ['http2.unknown_fields']])
})

test('a pushed answer is over when it ends, seen its promise or not: what the client resets then changes nothing', () => {
  const peer = joined()
  peer.say(TO_CLIENT, headers(8, fields([':status', '200']), Flags.END_HEADERS), data(8, Buffer.from('css'), 1))
  const pushed = peer.exchanges.find(({ attrs }) => attrs?.['http2.stream_id'] === '8')
  assert.equal(pushed?.outcome, 'ok')
  peer.say(TO_SERVER, reset(8, CANCEL))
  peer.decoder.close('closed', peer.timeUs)
  assert.equal(peer.exchanges.filter(({ attrs }) => attrs?.['http2.stream_id'] === '8').length, 1)
})

test('a whole answer stays what it is where its connection breaks off, or the client wants no more', () => {
  for (const how of ['reset', 'cancel'] as const) {
    const peer = joined()
    peer.say(TO_CLIENT, headers(47, fields([':status', '404'])))
    if (how === 'cancel') peer.say(TO_SERVER, reset(47, CANCEL))
    peer.decoder.close('reset', peer.timeUs)
    const found = peer.exchanges.find(({ attrs }) => attrs?.['http2.stream_id'] === '47')
    assert.deepEqual([found?.statusCode, found?.outcome, found?.error], [404, 'client_error', ''], how)
    assert.equal(peer.find('/one').outcome, 'reset')
  }
})

test('a promise is read although it comes behind what cancels it', () => {
  const peer = new Http2Peer()
  peer.say(TO_SERVER, get(1, '/page'))
  const promisedUs = peer.timeUs
  peer.timeUs += 100
  peer.say(TO_SERVER, reset(2, CANCEL))
  peer.timeUs = promisedUs
  const promised = Buffer.concat([Buffer.from([0, 0, 0, 2]), request('/style.css')])
  peer.say(TO_CLIENT, frame(PUSH_PROMISE, Flags.END_HEADERS, 1, promised), answer(1))
  peer.say(TO_CLIENT, headers(2, fields([':status', '200']), Flags.END_HEADERS), data(2, Buffer.from('css'), 1))
  const { statusCode, outcome, respBytes, complete } = peer.find('/style.css')
  assert.deepEqual([statusCode, outcome, respBytes, complete], [200, 'ok', 3, true])
})

test('the rest of a header whose beginning was lost ends nothing: the connection goes on behind it', () => {
  const peer = new Http2Peer()
  const rest = Buffer.alloc(30, 0x84)
  peer.lose(TO_SERVER, 1400, frame(CONTINUATION, Flags.NONE, 1, rest))
  for (const flags of [Flags.NONE, Flags.END_HEADERS])
    assert.equal(peer.say(TO_SERVER, frame(CONTINUATION, flags, 1, rest)), 1)
  peer.say(TO_SERVER, get(3, '/next'))
  peer.say(TO_CLIENT, answer(1), answer(3, '404'))
  assert.deepEqual([peer.find('').statusCode, peer.find('/next').statusCode], [200, 404])
  // Where nothing was lost it is an error.
  assert.equal(new Http2Peer().say(TO_SERVER, frame(CONTINUATION, Flags.END_HEADERS, 1, rest)), WITHDRAW)
})

test('more gaps than the column holds are as many as it holds', () => {
  const peer = new Http2Peer()
  peer.say(TO_SERVER, headers(1, request('/torn'), Flags.END_HEADERS))
  for (let i = 0; i < 66_000; i++) peer.decoder.gap(TO_SERVER, 20, peer.timeUs)
  peer.decoder.close('input_end', peer.timeUs)
  assert.equal(peer.find('/torn').gaps, 65_535)
})

test('a promise that is cut before it says of which stream is no answer of the stream it came on', () => {
  const peer = new Http2Peer()
  peer.say(TO_SERVER, get(1, '/page'))
  const cut = Cursor.over(frame(PUSH_PROMISE, Flags.END_HEADERS, 1, Buffer.alloc(40)).subarray(0, 11), peer.timeUs)
  cut.ended = true
  assert.equal(peer.decoder.parse(TO_CLIENT, cut), 11)
  peer.decoder.close('input_end', peer.timeUs)
  const { respStartUs, anomalies } = peer.find('/page')
  assert.deepEqual([respStartUs, anomalies], [0, []])
})
