/** What a connection's saved state may take: 1 MiB, whatever its peers send. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { data, Flags, fields, get, headers, integer, literal, request } from '../../../../test/fakes/http2_frames.js'
import { Http2Peer as Peer } from '../../../../test/fakes/http2_peer.js'
import { TO_CLIENT, TO_SERVER } from '../../../core/segment.js'

const STATE_BYTES_MAX = 1 << 20

/** Largest saved state while `count` streams stay open, each with a header block of its own. */
function mostSaved(count: number, block: (i: number) => Buffer, answered: boolean): number {
  const peer = new Peer()
  let most = 0
  for (let i = 0; i < count; i++) {
    peer.say(TO_SERVER, headers(2 * i + 1, Buffer.concat([request(`/${i}`), block(i)])))
    if (answered)
      peer.say(
        TO_CLIENT,
        headers(2 * i + 1, Buffer.concat([fields([':status', '200']), block(-1 - i)]), Flags.END_HEADERS),
      )
    if (i % 50 === 0) most = Math.max(most, peer.stateBytes)
  }
  return Math.max(most, peer.stateBytes)
}

test('texts that take more bytes than characters, and many that are short: the bound is of what is saved', () => {
  const wide = (i: number) => literal('x-wide', `${i}`.padEnd(2000, '語'), true)
  /** No UTF-8, in a table of 64 KiB: each byte is saved as the three of U+FFFD. */
  const none = (i: number) =>
    Buffer.concat([
      integer(64 * 1024, 5, 0x20),
      literal('x-none', Buffer.concat([Buffer.from(`${i}`), Buffer.alloc(6000, 0xff)]), true),
    ])
  const names = (i: number) => literal(Buffer.concat([Buffer.from(`${i}`), Buffer.alloc(6000, 0xe9)]), 'v', true)
  const short = (i: number) =>
    Buffer.concat(
      Array.from({ length: 250 }, (_, k) => literal(`${(i * 250 + k).toString(36)}`, `v${i * 250 + k}`, false)),
    )
  const basic = (i: number) =>
    literal('authorization', `Basic ${Buffer.from(`${i}`.padEnd(5000, 'ü')).toString('base64').slice(0, 8000)}`, false)
  for (const [name, block] of Object.entries({ wide, none, names, short, basic })) {
    for (const answered of [false, true]) {
      const most = mostSaved(250, block, answered)
      assert.ok(most < STATE_BYTES_MAX, `${name}: ${most} bytes`)
    }
  }
})

test('one stream alone, its trailers as large as they come: the same bound', () => {
  const peer = new Peer()
  peer.say(TO_SERVER, get(1, '/'))
  peer.say(TO_CLIENT, headers(1, fields([':status', '200']), Flags.END_HEADERS))
  const large = (i: number) => literal(`x-${i}`, `${i}`.padEnd(8000, 't'), false)
  for (let i = 0; i < 250; i++) peer.say(TO_CLIENT, headers(1, large(i), Flags.END_HEADERS))
  assert.ok(peer.stateBytes < STATE_BYTES_MAX, `${peer.stateBytes} bytes`)
  peer.say(TO_CLIENT, data(1, Buffer.alloc(0), Flags.END_STREAM))
  assert.ok(peer.find('/').truncated)
})

test('trailers of gRPC-Web in one piece are cut as those in many are', () => {
  const peer = new Peer()
  peer.say(
    TO_SERVER,
    headers(1, fields([':method', 'POST'], [':path', '/a.B/C'], ['content-type', 'application/grpc-web'])),
  )
  const trailers = Buffer.alloc(2 << 20, 'grpc-message: m\r\n')
  trailers.writeUInt32BE(trailers.length - 5, 1)
  trailers[0] = 0x80
  for (let at = 0; at < trailers.length; at += 16_000)
    peer.say(TO_SERVER, data(1, trailers.subarray(at, at + 16_000), 0))
  assert.ok(peer.stateBytes < 12 * 1024, `${peer.stateBytes} bytes`)
})
