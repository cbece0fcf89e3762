/** Calls whose type was said before the capture began are told by their messages, and nothing else is taken for one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  answer,
  data,
  Flags,
  fields,
  get,
  headers,
  indexed,
  literal,
  reset,
} from '../../../../test/fakes/http2_frames.js'
import { Http2Peer } from '../../../../test/fakes/http2_peer.js'
import type { Exchange } from '../../../core/exchange.js'
import { TO_CLIENT, TO_SERVER } from '../../../core/segment.js'

const UNSEEN = indexed(90)
const POST = indexed(3)
const OK = indexed(8)
const { END_HEADERS, END_STREAM } = Flags

function message(size: number, flags = 0): Buffer {
  const prefix = Buffer.from([flags, 0, 0, 0, 0])
  prefix.writeUInt32BE(size, 1)
  return Buffer.concat([prefix, Buffer.alloc(size, 7)])
}

/** One exchange of stream 41: what it says beyond header blocks whose other fields are of before the join. */
function seen(path: string, asked: Buffer, answered: Buffer | null, end: Buffer, first: Buffer = OK): Exchange {
  const peer = new Http2Peer(false)
  peer.lose(TO_SERVER, 0, get(39, '/before'))
  peer.lose(TO_CLIENT, 0, answer(39))
  const block = Buffer.concat([POST, path === '' ? UNSEEN : literal(':path', path), UNSEEN])
  peer.say(TO_SERVER, headers(41, block, END_HEADERS), data(41, asked, END_STREAM))
  if (answered !== null) {
    peer.say(TO_CLIENT, headers(41, Buffer.concat([first, UNSEEN]), END_HEADERS), data(41, answered))
  }
  peer.say(TO_CLIENT, end)
  peer.decoder.close('closed', peer.timeUs)
  const found = peer.exchanges.find(({ attrs }) => attrs?.['http2.stream_id'] === '41')
  assert.ok(found)
  return found
}

const TRAILERS = headers(41, UNSEEN)

test('messages and trailers: a call whose status is not known', () => {
  const call = seen('', message(9), Buffer.concat([message(1), message(0), message(300, 1)]), TRAILERS)
  assert.deepEqual([call.protocol, call.statusCode, call.outcome, call.complete], ['grpc', 0, 'unknown', false])
  assert.equal(call.attrs?.['http.response.status_code'], '200')
  assert.equal(call.attrs?.['rpc.grpc.response.messages'], '3')
})

test('nothing but trailers behind a message, and a stream that is reset between messages', () => {
  const refused = seen('/shop.Cart/Get', message(9), null, headers(41, Buffer.concat([OK, UNSEEN])))
  assert.deepEqual([refused.protocol, refused.statusCode, refused.outcome], ['grpc', 0, 'unknown'])
  assert.equal(refused.attrs?.['rpc.method'], 'Get')
  const left = seen('', message(9), Buffer.concat([message(2), message(50).subarray(0, 20)]), reset(41, 8))
  assert.deepEqual([left.protocol, left.outcome, left.error], ['grpc', 'reset', 'CANCEL'])
})

test('the last message of gRPC-Web has the status in it', () => {
  const trailers = Buffer.from('grpc-status:5\r\n')
  const web = Buffer.concat([message(4), Buffer.from([0x80, 0, 0, 0, trailers.length]), trailers])
  const call = seen('', message(9), web, data(41, Buffer.alloc(0), END_STREAM))
  assert.deepEqual([call.protocol, call.statusCode, call.error], ['grpc', 5, 'NOT_FOUND'])
})

test('what only looks like it stays HTTP/2', () => {
  const json = Buffer.from('{"a":1}')
  const plain: readonly [string, Exchange][] = [
    ['no messages', seen('', json, json, TRAILERS)],
    ['request only', seen('', message(9), json, TRAILERS)],
    ['no trailers', seen('', message(9), message(9), data(41, Buffer.alloc(0), END_STREAM))],
    ['another path', seen('/upload?id=1', message(9), message(9), TRAILERS)],
    ['another type', seen('', message(9), message(9), TRAILERS, fields([':status', '200'], ['content-type', 'a/b']))],
    ['another prefix', seen('', message(9), message(9, 2), TRAILERS)],
    ['not to its end', seen('', message(9), message(9).subarray(0, 12), TRAILERS)],
  ]
  for (const [what, { protocol, statusCode, outcome }] of plain) {
    assert.deepEqual([protocol, statusCode, outcome], ['http2', 200, 'ok'], what)
  }
})

test('where everything before was a call, what says nothing of its type is one; one other exchange ends that', () => {
  const call = [':method', 'POST', ':path', '/a.B/C', 'content-type', 'application/grpc']
  const called = (peer: Http2Peer, stream: number): void => {
    const pairs = call.flatMap((name, i) => (i % 2 === 0 ? [literal(name, call[i + 1])] : []))
    peer.say(TO_SERVER, headers(stream, Buffer.concat(pairs)))
    peer.say(TO_CLIENT, headers(stream, fields([':status', '200'], ['grpc-status', '0'])))
  }
  for (const mixed of [false, true]) {
    const peer = new Http2Peer()
    called(peer, 1)
    if (mixed) {
      peer.say(TO_SERVER, get(3, '/page'))
      peer.say(TO_CLIENT, answer(3))
    }
    peer.lose(TO_CLIENT, 0, headers(5, Buffer.concat([OK, UNSEEN])))
    peer.decoder.close('closed', peer.timeUs)
    const { protocol, statusCode, outcome } = peer.exchanges[peer.exchanges.length - 1]
    assert.deepEqual([protocol, statusCode, outcome], mixed ? ['http2', 200, 'ok'] : ['grpc', 0, 'unknown'])
  }
})
