/**
 * Bytes over plain TCP and UDP sockets, through every call that moves them: what was captured at each end equals what was
 * sent, and where bytes cannot be read (sendfile, splice, MSG_TRUNC) positions advance and the loss is counted.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { SegmentFlag } from '../../services/core/segment.js'
import { nativeProgram } from '../native_program.js'
import { type Captured, capture, NO_CAPTURE } from './harness.js'
import { flawOf, hashOf, missingOf, type Said, type Stream, streamsOf } from './streams.js'

/** Shapes of which neither end, or one of the two, gets to see the bytes. */
const UNREADABLE: Record<string, readonly ('sender' | 'receiver')[]> = {
  sendfile: ['sender'],
  splice: ['sender', 'receiver'],
  discard: ['receiver'],
}
/** The receiver's buffers are shorter than the datagrams. */
const SHORT = ['udp_short', 'udp_short_message']

let captured: Captured | null = null
let said: Said[] = []
let all: Stream[] = []

/** Runs the shapes; only this process is captured, so that the counters are its own whatever else the host does. */
async function shapes(names: readonly string[]): Promise<void> {
  const child = spawn(nativeProgram('test/live/workloads/socket_shapes.c'), names, {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (data) => {
    text += data
  })
  captured = await capture({ ringBytes: 64 << 20, pids: [child.pid as number] }, async () => {
    child.stdin.end('go\n')
    const [code] = await once(child, 'close')
    assert.equal(code, 0)
  })
  said = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Said)
  all = streamsOf(captured.segments).filter(({ segments }) => segments.length > 0)
}

function only(of: Said, side: string, direction: number): Stream {
  const found = all.filter(
    (stream) =>
      stream.clientPort === of.client_port &&
      stream.serverPort === of.server_port &&
      stream.transport === (of.shape.startsWith('udp') ? 'udp' : 'tcp') &&
      stream.side === side &&
      stream.direction === direction,
  )
  assert.equal(found.length, 1, `${found.length} captured connections of port ${of.client_port} at the ${side}`)
  return found[0]
}

/** Both ends of both directions. */
function ends(of: Said): { stream: Stream; end: 'sender' | 'receiver'; sent: [string, number] }[] {
  return [0, 1].flatMap((direction) => {
    const sent = direction === 0 ? of.sent_to_server : of.sent_to_client
    const [sender, receiver] = direction === 0 ? ['client', 'server'] : ['server', 'client']
    return [
      { stream: only(of, sender, direction), end: 'sender', sent },
      { stream: only(of, receiver, direction), end: 'receiver', sent },
    ] as const
  })
}

test('shapes run while captured', { skip: NO_CAPTURE }, async (t) => {
  await shapes(['all'])
  const { stats } = captured as unknown as Captured
  const notCopied = said.reduce((sum, each) => {
    const blind = UNREADABLE[each.shape]?.length ?? 0
    return sum + blind * (each.sent_to_server[1] + each.sent_to_client[1])
  }, 0)
  const cut = said
    .filter(({ shape }) => SHORT.includes(shape))
    .flatMap(ends)
    .reduce((sum, { stream }) => sum + missingOf(stream), 0)
  assert.ok(cut > 0)
  for (const [reason, { bytes, count }] of Object.entries(stats.lost)) {
    assert.equal(bytes, reason === 'not_copied' ? notCopied + cut : 0, reason)
    if (reason !== 'not_copied') assert.equal(count, 0, reason)
  }
  const passed = said.reduce((sum, each) => sum + 2 * (each.sent_to_server[1] + each.sent_to_client[1]), 0)
  assert.equal(stats.seen.socket.bytes, passed)
  assert.equal(stats.payloadBytes + notCopied + cut, passed)
  t.diagnostic(`${said.length} connections, ${stats.segments} segments, ${stats.payloadBytes} bytes of payload`)
})

const SHAPES =
  'read_write vectors vectors_at many_vectors send_recv sendto_recvfrom message messages many_messages partial ' +
  'partial_vectors partial_message peek mapped ipv6 reuse half_close reset sendfile splice discard udp_connected ' +
  'udp_read_write udp_vectors udp_sendto udp_message udp_messages udp_ipv6 udp_peek udp_reuse udp_short udp_short_message'

for (const shape of SHAPES.split(' ')) {
  test(`${shape}: every byte that an end could read, in order, once`, { skip: NO_CAPTURE }, () => {
    const mine = said.filter((each) => each.shape === shape)
    assert.ok(mine.length > 0)
    for (const each of mine) {
      const ip = shape.includes('ipv6') ? '::1' : '127.0.0.1'
      for (const { stream, end, sent } of ends(each)) {
        assert.equal(stream.clientIp, ip)
        assert.equal(stream.serverIp, ip)
        // Nobody tells of a datagram socket's end.
        if (stream.transport === 'tcp') assert.equal(stream.closedAt, sent[1], `${end}: where it was closed`)
        if (SHORT.includes(shape) && end === 'receiver') {
          assertCut(stream, only(each, stream.direction === 0 ? 'client' : 'server', stream.direction))
        } else if (UNREADABLE[shape]?.includes(end)) {
          assertPositionsOnly(stream, sent[1])
        } else {
          assert.equal(flawOf(stream), null, `${end}, direction ${stream.direction}`)
          assert.deepEqual(hashOf(stream), sent, `${end}, direction ${stream.direction}`)
        }
      }
    }
  })
}

test('nothing else is captured of it', { skip: NO_CAPTURE }, () => {
  assert.equal(all.length, 4 * said.length, 'two ends, two directions of each connection')
})

/** `stream` holds the beginnings of what `whole` holds. */
function assertCut(stream: Stream, whole: Stream): void {
  const bytes = Buffer.concat(whole.segments.map(({ payload }) => payload))
  let position = 0
  for (const segment of stream.segments) {
    const { payload, length } = segment
    assert.equal(segment.position, position)
    assert.ok(payload.equals(bytes.subarray(position, position + payload.length)))
    assert.equal((segment.flags & SegmentFlag.TRUNCATED) !== 0, payload.length < length)
    position += length
  }
  assert.equal(position, bytes.length)
}

function assertPositionsOnly(stream: Stream, bytes: number): void {
  assert.equal(missingOf(stream), bytes)
  let position = 0
  for (const segment of stream.segments) {
    assert.equal(segment.position, position)
    assert.equal(segment.payload.length, 0)
    assert.ok((segment.flags & SegmentFlag.TRUNCATED) !== 0)
    position += segment.length
  }
}
