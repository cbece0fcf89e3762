/** What goldens cannot play: floods, bounds, many streams at once, and what a loss leaves known. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  answer,
  data,
  Flags,
  fields,
  frame,
  get,
  goAway,
  headers,
  indexed,
  integer,
  literal,
  request,
  reset,
  settings,
} from '../../../../test/fakes/http2_frames.js'
import { Http2Peer as Peer } from '../../../../test/fakes/http2_peer.js'
import { Cursor } from '../../../core/cursor.js'
import { TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import { StateReader, StateWriter } from '../../../core/state.js'

const STATE_BYTES_MAX = 1 << 20
const USUAL_BYTES_MAX = 256 * 1024

test('a thousand calls at once are a thousand flows', () => {
  const peer = new Peer()
  for (let i = 0; i < 1000; i++) {
    peer.say(
      TO_SERVER,
      headers(2 * i + 1, request(`/items/${i}`, ['x-request-id', `request-${i}`], ['user-agent', 'u'])),
    )
  }
  assert.ok(peer.stateBytes < USUAL_BYTES_MAX, `${peer.stateBytes} bytes`)
  for (let i = 999; i >= 0; i--) peer.say(TO_CLIENT, answer(2 * i + 1, i % 2 === 0 ? '200' : '404'))
  assert.equal(peer.exchanges.length, 1000)
  for (const { complete, resource, statusCode, attrs } of peer.exchanges) {
    assert.ok(complete)
    const id = Number(attrs?.['http2.stream_id'])
    assert.equal(resource, `/items/${(id - 1) / 2}`)
    assert.equal(statusCode, ((id - 1) / 2) % 2 === 0 ? 200 : 404)
  }
})

test('streams that are never answered: the oldest are given up, and what is held stays bounded', () => {
  const peer = new Peer()
  let most = 0
  for (let i = 0; i < 5000; i++) {
    peer.say(TO_SERVER, get(2 * i + 1, `/never/${i}`))
    if (i % 250 === 0) most = Math.max(most, peer.stateBytes)
  }
  assert.ok(most < STATE_BYTES_MAX, `${most} bytes`)
  assert.ok(peer.exchanges.length > 3000)
  peer.decoder.close('input_end', peer.timeUs)
  assert.equal(peer.exchanges.length, 5000)
  assert.deepEqual(peer.exchanges[0].anomalies, ['http2.too_many_streams'])
  assert.equal(peer.exchanges[0].outcome, 'unknown')
})

test('streams with large headers: the same bound', () => {
  const peer = new Peer()
  let most = 0
  for (let i = 0; i < 400; i++) {
    peer.say(TO_SERVER, headers(2 * i + 1, request(`/${i}`, ['cookie', String(i).padEnd(8000, 'c')])))
    if (i % 20 === 0) most = Math.max(most, peer.stateBytes)
  }
  assert.ok(most < STATE_BYTES_MAX, `${most} bytes`)
})

test('rapid reset: each request is a flow that was cancelled, and nothing piles up (CVE-2023-44487)', () => {
  const count = 5000
  const peer = new Peer()
  for (let i = 0; i < count; i++) peer.say(TO_SERVER, get(2 * i + 1, '/'), reset(2 * i + 1, 8))
  assert.ok(peer.stateBytes < STATE_BYTES_MAX)
  peer.say(TO_CLIENT, frame(6, 0, 0, Buffer.alloc(8)))
  assert.equal(peer.exchanges.length, count)
  assert.ok(peer.stateBytes < 16 * 1024, `${peer.stateBytes} bytes`)
  const late = peer.exchanges[count - 1]
  assert.deepEqual([late.outcome, late.error, late.complete], ['reset', 'CANCEL', false])
  // An answer that was under way is of a stream that is over.
  peer.say(TO_CLIENT, answer(2 * count - 1))
  assert.equal(peer.exchanges.length, count)
})

test('CONTINUATION without end: passed over, and the next block is read (CVE-2024-27316)', () => {
  const peer = new Peer()
  peer.say(TO_SERVER, headers(1, request('/flood'), Flags.NONE))
  for (let i = 0; i < 70_000; i++) peer.say(TO_SERVER, frame(9, 0, 1, Buffer.from([0])))
  for (let i = 0; i < 10_000; i++) peer.say(TO_SERVER, frame(9, 0, 1))
  assert.ok(peer.stateBytes < USUAL_BYTES_MAX, `${peer.stateBytes} bytes`)
  peer.say(TO_SERVER, frame(9, Flags.END_HEADERS, 1))
  peer.say(TO_CLIENT, answer(1, '431'))
  peer.say(TO_SERVER, get(3, '/next'))
  peer.say(TO_CLIENT, answer(3))
  peer.say(TO_SERVER, data(1, Buffer.alloc(0), Flags.END_STREAM))
  const flood = peer.find('/flood')
  assert.deepEqual([flood.statusCode, flood.truncated, flood.complete], [431, true, false])
  assert.ok(flood.anomalies.includes('http2.header_cut'))
  assert.ok(peer.find('/next').complete)
})

test('one byte that stands for thousands: fields are bounded and cut ones say so', () => {
  const peer = new Peer()
  const entry = literal('x-bomb', 'b'.repeat(3500), true)
  peer.say(TO_SERVER, headers(1, Buffer.concat([request('/first'), entry])))
  const bomb = Buffer.concat([request('/bomb'), ...Array<Buffer>(16_000).fill(indexed(62))])
  for (let i = 1; i < 40; i++) peer.say(TO_SERVER, headers(2 * i + 1, bomb))
  assert.ok(peer.stateBytes < STATE_BYTES_MAX, `${peer.stateBytes} bytes`)
  peer.decoder.close('input_end', peer.timeUs)
  const { reqHeaders, truncated } = peer.exchanges[peer.exchanges.length - 1]
  assert.ok(truncated)
  assert.ok(reqHeaders.join('').length < 80_000)
})

test('trailers again and again do not make one stream grow', () => {
  const peer = new Peer()
  peer.say(TO_SERVER, get(1, '/'))
  peer.say(TO_CLIENT, headers(1, fields([':status', '200']), Flags.END_HEADERS))
  for (let i = 0; i < 5000; i++) {
    peer.say(TO_CLIENT, headers(1, fields(['x-trailer', `${i}`.padEnd(1000, 't')]), Flags.END_HEADERS))
  }
  assert.ok(peer.stateBytes < STATE_BYTES_MAX, `${peer.stateBytes} bytes`)
  peer.say(TO_CLIENT, data(1, Buffer.alloc(0), Flags.END_STREAM))
  assert.ok(peer.find('/').truncated)
})

test('settings, pings, priorities, windows and goodbyes without end', () => {
  const peer = new Peer()
  for (let i = 0; i < 900; i++) peer.say(TO_SERVER, get(2 * i + 1, '/'))
  const before = peer.stateBytes
  const floods = [
    settings(Flags.NONE, Buffer.from('000100001000000300000064', 'hex')),
    settings(),
    frame(6, 0, 0, Buffer.alloc(8)),
    frame(2, 0, 7, Buffer.alloc(5)),
    frame(8, 0, 9, Buffer.from([0, 0, 0, 1])),
    frame(0xee, 0, 3, Buffer.alloc(3)),
    data(1, Buffer.alloc(0)),
  ]
  for (let i = 0; i < 3000; i++) peer.say(TO_CLIENT, ...floods, goAway(0x7fff_ffff - i, 2))
  assert.ok(peer.stateBytes < before + 1000, `${peer.stateBytes} bytes, ${before} before`)
})

test('resets of streams that never were', () => {
  const peer = new Peer()
  for (let i = 1; i < 5000; i++) peer.say(TO_SERVER, reset(2 * i + 1, 8))
  assert.ok(peer.stateBytes < STATE_BYTES_MAX, `${peer.stateBytes} bytes`)
  peer.decoder.close('input_end', peer.timeUs)
  assert.equal(peer.exchanges.length, 0)
})

/** A request that puts its path into the table, and one that names it there. */
const adding = (stream: number, path: string) =>
  headers(stream, Buffer.concat([fields([':method', 'GET']), literal(':path', path, true)]))
const naming = (stream: number, index = 62) =>
  headers(stream, Buffer.concat([fields([':method', 'GET']), indexed(index)]))

test('a loss that held no header leaves the table: the next request has the next number', () => {
  const peer = new Peer()
  peer.say(TO_SERVER, adding(1, '/known'))
  peer.lose(TO_SERVER, 13 * 7, naming(3))
  peer.say(TO_CLIENT, answer(1), answer(3))
  assert.deepEqual(
    peer.exchanges.map(({ resource, complete }) => [resource, complete]),
    [
      ['/known', true],
      ['/known', true],
    ],
  )
})

test('a loss that may have held one does not', () => {
  const skipped = new Peer()
  skipped.say(TO_SERVER, adding(1, '/known'))
  skipped.lose(TO_SERVER, 13 * 7, naming(5))
  skipped.say(TO_CLIENT, answer(1), answer(5))
  assert.deepEqual(
    skipped.exchanges.map(({ resource, complete }) => [resource, complete]),
    [
      ['/known', true],
      ['', false],
    ],
  )
  assert.deepEqual(skipped.exchanges[1].anomalies, ['http2.unknown_fields'])
  // A request was under way: its trailers may have been in it.
  const open = new Peer()
  open.say(TO_SERVER, headers(1, Buffer.concat([fields([':method', 'POST']), literal(':path', '/up', true)]), 4))
  open.lose(TO_SERVER, 91, naming(3))
  open.say(TO_CLIENT, answer(1), answer(3))
  assert.ok(open.exchanges.every(({ complete }) => !complete))
  assert.equal(open.exchanges[1].resource, '')
})

test('ten bytes are too few for an addition to the table, eleven are not', () => {
  for (const [size, path] of [
    [9, '/known'],
    [10, '/known'],
    [11, ''],
  ] as const) {
    const peer = new Peer()
    peer.say(TO_SERVER, get(1, '/'), get(3, '/'))
    peer.say(TO_CLIENT, headers(1, Buffer.concat([indexed(8), literal('x-path', '/known', true)])))
    peer.lose(TO_CLIENT, size, headers(3, Buffer.concat([indexed(8), indexed(62)])))
    const { respHeaders, statusCode } = peer.exchanges[1]
    assert.deepEqual([statusCode, respHeaders[1] ?? ''], [200, path], `${size} bytes`)
  }
})

test('a header that is cut says what it said until then', () => {
  const peer = new Peer()
  const whole = headers(1, request('/cut', ['x-long', 'x'.repeat(500)]))
  peer.timeUs += 10
  const cursor = Cursor.over(whole.subarray(0, 100), peer.timeUs)
  assert.equal(peer.decoder.parse(TO_SERVER, cursor), 0)
  cursor.ended = true
  assert.equal(peer.decoder.parse(TO_SERVER, cursor), 100)
  // All of what is missing was this frame's: what follows is known to begin with one.
  assert.equal(peer.decoder.gap(TO_SERVER, whole.length - 100, peer.timeUs), true)
  peer.say(TO_SERVER, get(3, '/next'))
  peer.say(TO_CLIENT, answer(1, '204'), answer(3))
  const cut = peer.find('/cut')
  assert.deepEqual([cut.method, cut.host, cut.statusCode, cut.complete], ['GET', 'h', 204, false])
  assert.deepEqual(cut.anomalies, ['http2.header_cut'])
  assert.ok(peer.find('/next').complete)
})

test('frames longer than the receiver allows are noted', () => {
  const peer = new Peer()
  peer.say(TO_SERVER, get(1, '/long'), get(3, '/allowed'))
  peer.say(TO_CLIENT, headers(1, fields([':status', '200']), Flags.END_HEADERS))
  peer.say(TO_CLIENT, data(1, Buffer.alloc(20_000), Flags.END_STREAM))
  assert.deepEqual(peer.find('/long').anomalies, ['http2.frame_too_long'])
  peer.say(TO_SERVER, settings(Flags.NONE, Buffer.from('000500010000', 'hex')))
  peer.say(TO_CLIENT, headers(3, fields([':status', '200']), Flags.END_HEADERS))
  peer.say(TO_CLIENT, data(3, Buffer.alloc(20_000), Flags.END_STREAM))
  assert.deepEqual(peer.find('/allowed').anomalies, [])
})

test('a server that leaves with an error takes its open streams along', () => {
  const peer = new Peer()
  peer.say(TO_SERVER, get(1, '/open'), get(3, '/refused'))
  peer.say(TO_CLIENT, goAway(1, 11))
  peer.decoder.close('closed', peer.timeUs)
  const open = peer.find('/open')
  assert.deepEqual([open.outcome, open.error], ['reset', 'ENHANCE_YOUR_CALM'])
  assert.deepEqual(peer.find('/refused').anomalies, ['http2.refused_by_goaway'])
})

test('pseudo-header fields that come twice or late are noted', () => {
  const peer = new Peer()
  peer.say(TO_SERVER, headers(1, Buffer.concat([request('/a'), fields([':path', '/b'])])))
  peer.say(TO_CLIENT, answer(1))
  assert.deepEqual(peer.exchanges[0].anomalies, ['http2.malformed_fields'])
})

test('blocks that name what no encoder has end the table, not the connection', () => {
  const peer = new Peer()
  peer.say(TO_SERVER, get(1, '/'))
  peer.say(TO_CLIENT, answer(1))
  assert.equal(peer.say(TO_SERVER, headers(3, integer(9999, 7, 0x80))), -1)
  peer.say(TO_SERVER, get(5, '/after'))
  peer.say(TO_CLIENT, answer(5))
  assert.equal(peer.find('/after').statusCode, 200)
})

test('a thousand open streams saved and restored, byte by byte the same', () => {
  const peer = new Peer()
  for (let i = 0; i < 1000; i++) peer.say(TO_SERVER, get(2 * i + 1, `/items/${i}`))
  peer.say(TO_SERVER, reset(7, 8), headers(2001, request('/part'), Flags.NONE))
  const state = new StateWriter()
  peer.decoder.save(state)
  const bytes = state.finish()
  const again = new Peer(false)
  again.timeUs = peer.timeUs
  assert.ok(again.decoder.restore(new StateReader(bytes)))
  const saved = new StateWriter()
  again.decoder.save(saved)
  assert.deepEqual(saved.finish(), bytes)
  for (const each of [peer, again]) each.say(TO_CLIENT, ...Array.from({ length: 1000 }, (_, i) => answer(2 * i + 1)))
  assert.deepEqual(again.exchanges, peer.exchanges.slice(-again.exchanges.length))
  assert.equal(again.exchanges.length, 1000)
})
