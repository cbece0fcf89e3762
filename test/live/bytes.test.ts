/**
 * Every byte of a TLS stream that was captured equals the bytes sent: sizes, variants, retries, threads, reuse; with this
 * system's OpenSSL and with a libssl of 1.1.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SegmentFlag } from '../../services/core/segment.js'
import { nativeProgram } from '../native_program.js'
import { type Captured, captureOf, NO_CAPTURE, withCertificate, withLibraries } from './harness.js'
import { openssl11 } from './openssl11.js'
import { flawOf, hashOf, missingOf, type Said, type Stream, streamsOf } from './streams.js'

const SHAPES =
  'plain ex tls12 partial partial_ex retry retry_ex one_byte one_byte_ex peek peek_ex mapped clear reuse duplex nested up_ref'

function suite(name: string, program: () => string, whileLoaded: <T>(use: () => Promise<T>) => Promise<T>): void {
  /** Every shape in one capture, since starting and ending one takes longer than all of them. */
  let captured: Captured | null = null
  let said: Said[] = []
  let all: Stream[] = []

  test(`${name}: shapes run while captured`, { skip: NO_CAPTURE }, async (t) => {
    await withCertificate(async (folder) => {
      const shapes = program()
      const words = [`${folder}/cert.pem`, `${folder}/key.pem`, 'all']
      const done = await whileLoaded(() => captureOf({ ringBytes: 64 << 20 }, shapes, words))
      captured = done
      said = done.said
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Said)
    })
    const { segments, stats } = captured as unknown as Captured
    all = streamsOf(segments)
    for (const reason of ['ring_full', 'fault', 'table_full', 'vectors', 'no_memory', 'queue_full']) {
      assert.deepEqual(stats.lost[reason], { count: 0, bytes: 0 }, reason)
    }
    t.diagnostic(`${said.length} connections, ${stats.segments} segments, ${stats.payloadBytes} bytes of payload`)
  })

  function streams(of: Said, source = 'openssl'): Stream[] {
    return all.filter(
      (stream) =>
        stream.source === source && stream.clientPort === of.client_port && stream.serverPort === of.server_port,
    )
  }

  /** The stream that one end captured of one direction. Inside TLS, an object that carries another's has no bytes. */
  function only(of: Said, side: string, direction: number): Stream {
    const found = streams(of).filter(
      (stream) => stream.side === side && stream.direction === direction && stream.segments.length > 0,
    )
    assert.equal(
      found.length,
      1,
      `${of.shape}: ${found.length} captured connections of port ${of.client_port} at the ${side}`,
    )
    return found[0]
  }

  for (const shape of SHAPES.split(' ')) {
    test(`${name}, ${shape}: SHA-256 equal at both ends and both ways, in order, once`, { skip: NO_CAPTURE }, () => {
      const mine = said.filter((each) => each.shape === shape)
      assert.ok(mine.length > 0)
      for (const each of mine) {
        assert.deepEqual(each.received_to_server, each.sent_to_server)
        assert.deepEqual(each.received_to_client, each.sent_to_client)
        for (const side of ['client', 'server']) {
          assert.equal(flawOf(only(each, side, 0)), null, `${side} to_server`)
          assert.equal(flawOf(only(each, side, 1)), null, `${side} to_client`)
          assert.deepEqual(hashOf(only(each, side, 0)), each.sent_to_server, `${side} to_server`)
          assert.deepEqual(hashOf(only(each, side, 1)), each.sent_to_client, `${side} to_client`)
          assert.equal(only(each, side, 0).clientIp, '127.0.0.1')
          assert.equal(only(each, side, 0).serverIp, '127.0.0.1')
          assert.notEqual(only(each, side, 0).closedAt, null, 'the close was seen')
        }
      }
      // An object or its address used again is another connection.
      if (shape === 'clear' || shape === 'reuse') {
        assert.ok(new Set(mine.map(({ object }) => object)).size < mine.length, 'no address was used twice')
        assert.equal(new Set(mine.map((each) => only(each, 'client', 0).id)).size, mine.length)
      }
    })
  }

  test(`${name}, a write of 16 MiB: its first MiB copied, the rest as position`, { skip: NO_CAPTURE }, () => {
    const [large] = said.filter((each) => each.shape === 'large')
    const [, sentBytes] = large.sent_to_server
    // The reading ends take it in parts, which are exact.
    assert.deepEqual(hashOf(only(large, 'server', 0)), large.sent_to_server)
    assert.deepEqual(hashOf(only(large, 'client', 1)), large.sent_to_client)
    for (const [writer, reader] of [
      [only(large, 'client', 0), only(large, 'server', 0)],
      [only(large, 'server', 1), only(large, 'client', 1)],
    ]) {
      assert.equal(flawOf(reader), null)
      const whole = Buffer.concat(reader.segments.map(({ payload }) => payload))
      let position = 0
      for (const segment of writer.segments) {
        assert.equal(segment.position, position)
        assert.ok(segment.payload.equals(whole.subarray(position, position + segment.payload.length)))
        const cut = segment.payload.length < segment.length
        assert.equal((segment.flags & SegmentFlag.TRUNCATED) !== 0, cut)
        position += segment.length
      }
      assert.equal(position, sentBytes)
      assert.equal(missingOf(writer), 15 << 20)
    }
    assert.equal(captured?.stats.lost.too_long.bytes, 2 * (15 << 20))
  })

  test(`${name}, nothing is captured beside: no ciphertext, no inner TLS, nothing twice`, { skip: NO_CAPTURE }, () => {
    for (const each of said) {
      const withBytes = streams(each).filter((stream) => stream.segments.length > 0)
      assert.equal(withBytes.length, 4, `${each.shape}: two ends, two directions`)
      for (const stream of streams(each, 'socket')) {
        const copied = stream.segments.reduce((sum, { payload }) => sum + payload.length, 0)
        assert.equal(copied, 0, `${each.shape}: ${copied} bytes of ciphertext of the ${stream.side}`)
      }
    }
  })
}

const SOURCE = 'test/live/workloads/ssl_shapes.c'
suite(
  'system',
  () => nativeProgram(SOURCE),
  (use) => use(),
)
suite(
  '1.1',
  () => nativeProgram(SOURCE, [openssl11().ssl, openssl11().crypto]),
  (use) => withLibraries([openssl11().crypto, openssl11().ssl], use),
)
