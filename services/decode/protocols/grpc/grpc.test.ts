/** Messages cut anywhere, lost and in base64; and what fields of a call mean. The calls themselves are goldens of http2 and http1. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Exchange } from '../../../core/exchange.js'
import { StateReader, StateWriter } from '../../../core/state.js'
import { describeCall, isGrpc, isText, webTrailer } from './call.js'
import { GrpcMessages } from './messages.js'
import { NO_STATUS, outcomeOfStatus, readMessage, readStatus, readTimeoutUs, statusName } from './status.js'

function message(bytes: Buffer | string, flags = 0): Buffer {
  const payload = Buffer.from(bytes)
  const prefix = Buffer.alloc(5)
  prefix[0] = flags
  prefix.writeUInt32BE(payload.length, 1)
  return Buffer.concat([prefix, payload])
}

const STREAM = Buffer.concat([
  message('one'),
  message(''),
  message(Buffer.alloc(300, 7), 1),
  message('grpc-status: 0\r\n', 0x80),
])

function feed(messages: GrpcMessages, bytes: Buffer, pieceBytes: number): GrpcMessages {
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    messages.data(bytes, at, Math.min(bytes.length, at + pieceBytes))
  }
  return messages
}

function restored(messages: GrpcMessages): GrpcMessages {
  const out = new StateWriter()
  messages.save(out)
  const state = new StateReader(out.finish())
  const again = GrpcMessages.restore(state)
  assert.ok(state.finished)
  return again
}

test('messages are the same however their bytes are cut, in base64 too', () => {
  for (const asText of [false, true]) {
    const bytes = asText ? Buffer.from(STREAM.toString('base64')) : STREAM
    for (const pieceBytes of [1, 2, 3, 4, 5, 7, 100, bytes.length]) {
      const { count, bytes: size, compressed, trailers, lost } = feed(new GrpcMessages(asText), bytes, pieceBytes)
      assert.deepEqual([count, size, compressed, trailers, lost], [3, 303, true, 'grpc-status: 0\r\n', false])
    }
  }
})

test('saved and restored at every byte', () => {
  for (const asText of [false, true]) {
    const bytes = asText ? Buffer.from(STREAM.toString('base64')) : STREAM
    for (let at = 1; at < bytes.length; at++) {
      const messages = restored(feed(new GrpcMessages(asText), bytes.subarray(0, at), at))
      feed(messages, bytes.subarray(at), bytes.length)
      assert.deepEqual([messages.count, messages.bytes, messages.trailers], [3, 303, 'grpc-status: 0\r\n'])
    }
  }
})

test('only whole messages count', () => {
  const messages = feed(new GrpcMessages(false), STREAM.subarray(0, 200), 200)
  assert.deepEqual([messages.count, messages.bytes], [2, 3])
})

test('a loss within a message is counted over, any other makes the count unknown', () => {
  const inside = feed(new GrpcMessages(false), STREAM.subarray(0, 100), 100)
  inside.lose(50)
  feed(inside, STREAM.subarray(150), 1000)
  assert.deepEqual([inside.count, inside.bytes, inside.lost], [3, 303, false])
  for (const [at, size] of [
    [100, 1000],
    [100, 0],
    [2, 3],
  ]) {
    const lost = feed(new GrpcMessages(false), STREAM.subarray(0, at), at)
    lost.lose(size)
    assert.ok(lost.lost, `${size} at ${at}`)
  }
})

test('what is no base64 is not counted', () => {
  for (const text of ['AAAA*AAA', 'AA=A', 'A===', '====', 'AAAA=AAA']) {
    assert.ok(feed(new GrpcMessages(true), Buffer.from(text), 3).lost, text)
  }
})

test('trailers without end are bounded', () => {
  const messages = feed(new GrpcMessages(false), message(Buffer.alloc(100_000, 97), 0x80), 1000)
  assert.ok(messages.trailers.length <= 8192)
})

test('content types', () => {
  for (const type of [
    'application/grpc',
    'application/grpc+proto',
    'application/grpc;x',
    'application/grpc-web-text',
  ]) {
    assert.ok(isGrpc(type), type)
  }
  for (const type of ['application/grpcx', 'application/json', 'text/grpc', '']) assert.ok(!isGrpc(type), type)
  assert.ok(isText('application/grpc-web-text+proto'))
  assert.ok(!isText('application/grpc-web+proto'))
})

test('statuses, messages, deadlines', () => {
  assert.deepEqual(['0', '16', '999', '', '1000', 'x', '-1'].map(readStatus), [0, 16, 999, ...Array(4).fill(NO_STATUS)])
  assert.deepEqual([0, 4, 5, 13, 14, 99].map(outcomeOfStatus), [
    'ok',
    'timeout',
    'client_error',
    'server_error',
    'server_error',
    'server_error',
  ])
  assert.deepEqual([1, 16, 17].map(statusName), ['CANCELLED', 'UNAUTHENTICATED', 'STATUS_17'])
  const encoded = ['a%20b', '100%', '%C3%B6', '%ff', 'b%C3%B6se%0A%20message%20%', '50%25 %zz%20%']
  assert.deepEqual(encoded.map(readMessage), ['a b', '100%', 'ö', '%ff', 'böse\n message %', '50% %zz %'])
  assert.deepEqual(
    ['1H', '2M', '3S', '4m', '5u', '1000n', '5', 'S', '123456789S'].map(readTimeoutUs),
    [3_600_000_000, 120_000_000, 3_000_000, 4000, 5, 1, 0, 0, 0],
  )
  assert.equal(webTrailer('grpc-message: x\r\nGrpc-Status:7\r\n', 'grpc-status'), '7')
  assert.equal(webTrailer('x-grpc-status: 1\r\n', 'grpc-status'), '')
})

test('service and method are read from paths that have them', () => {
  const of = (resource: string) => {
    const exchange = new Exchange()
    exchange.resource = resource
    describeCall(exchange)
    return [exchange.attrs?.['rpc.service'], exchange.attrs?.['rpc.method']]
  }
  assert.deepEqual(of('/pkg.Service/Method'), ['pkg.Service', 'Method'])
  for (const path of ['', '/', '//', '/a', '/a/', '//b', '/a/b/c']) assert.deepEqual(of(path), [undefined, undefined])
})
