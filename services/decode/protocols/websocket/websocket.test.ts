/** Frames without what should stand in front of them: the upgrade half lost, connections joined late, long frames after a loss. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Exchange } from '../../../core/exchange.js'
import { REPO_ROOT } from '../../../core/repo_root.js'
import { ConnectionInfo, type Direction, Segment, SegmentFlag, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import { readGoldens, segmentsOf } from '../../golden/golden.js'
import { observe } from '../../golden/observe.js'
import { without } from '../../golden/segments.js'
import { PROTOCOLS } from '../registry.js'

const FOLDER = join(REPO_ROOT, 'services/decode/protocols/websocket/golden')

function golden(name: string): Segment[] {
  const found = readGoldens(FOLDER).find((each) => each.name === name)
  assert.ok(found)
  return segmentsOf(found)
}

const shown = (exchanges: readonly Exchange[]): string[] =>
  exchanges.map(
    ({ protocol, method, resource, reqBytes, respBytes }) =>
      `${protocol} ${method} ${resource || '-'} ${reqBytes} ${respBytes}`,
  )

function frame(text: string, masked: boolean, first = 0x81): Buffer {
  const payload = Buffer.from(text, 'latin1')
  const short = payload.length < 126
  const head = Buffer.alloc(short ? 2 : 4)
  head[0] = first
  head[1] = (short ? payload.length : 126) | (masked ? 0x80 : 0)
  if (!short) head.writeUInt16BE(payload.length, 2)
  if (!masked) return Buffer.concat([head, payload])
  const mask = Buffer.from([0x1d, 0xa7, 0x03, 0x5c])
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i & 3])])
}

/** Segments of a connection that was joined mid-way. */
function midway(...said: readonly (readonly [Direction, Buffer])[]): Segment[] {
  const info = Object.assign(new ConnectionInfo(1n), { clientIp: '10.0.0.1', serverIp: '10.0.0.2' })
  const positions = [0, 0]
  return said.map(([direction, bytes], i) => {
    const position = positions[direction]
    positions[direction] += bytes.length
    const flags = SegmentFlag.MIDSTREAM | SegmentFlag.ROLE_GUESSED
    return new Segment(info, direction, position, bytes.length, bytes, 1_790_000_000_000_000 + i * 1000, 0, flags)
  })
}

test('the answer to the upgrade is lost: frames show that it was yes, and host and path hold', () => {
  const { exchanges } = observe(without(golden('echo'), 1), PROTOCOLS)
  assert.deepEqual(shown(exchanges), [
    'http1 GET /chat?room=7 0 0',
    'websocket text /chat?room=7 5 0',
    'websocket text /chat?room=7 0 5',
    'websocket close /chat?room=7 5 5',
  ])
  assert.equal(exchanges[0].outcome, 'unknown')
  assert.equal(exchanges[1].host, 'chat.example')
  assert.ok(exchanges.slice(1).every(({ complete }) => !complete))
})

test('the request is lost: the answer says what follows', () => {
  const { exchanges } = observe(without(golden('echo'), 0), PROTOCOLS)
  const messages = shown(exchanges).slice(1)
  assert.deepEqual(messages, ['websocket text - 5 0', 'websocket text - 0 5', 'websocket close - 5 5'])
})

test('no frames after a lost answer: the next request is HTTP again', () => {
  const [request] = golden('echo')
  const later = Buffer.from('GET /later HTTP/1.1\r\nHost: chat.example\r\n\r\n')
  const refusal = Buffer.from('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
  const answer = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  const { connection, payload } = request
  const at = (direction: Direction, position: number, bytes: Buffer, step: number, flags = 0) =>
    new Segment(connection, direction, position, bytes.length, bytes, request.timeUs + step, 0, flags)
  const { exchanges } = observe(
    [
      request,
      at(TO_SERVER, payload.length, later, 2000),
      at(TO_CLIENT, refusal.length, answer, 3000, SegmentFlag.GAP_BEFORE),
    ],
    PROTOCOLS,
  )
  assert.ok(exchanges.some(({ method, resource }) => method === 'GET' && resource === '/later'))
  assert.ok(exchanges.every(({ protocol }) => protocol === 'http1'))
})

test('joined mid-way, two messages of text are enough', () => {
  const server = [frame('{"price":101}', false), frame('{"price":102}', false)]
  for (const said of [
    [[TO_CLIENT, server[0]] as const, [TO_CLIENT, server[1]] as const],
    [[TO_SERVER, frame('ping 1', true)] as const, [TO_SERVER, frame('ping 2', true)] as const],
  ]) {
    const { exchanges } = observe(midway(...said), PROTOCOLS)
    assert.deepEqual(
      exchanges.map(({ method }) => method),
      ['text', 'text', 'close'],
    )
  }
})

test('joined mid-way, what only looks like frames is none', () => {
  const lengths = (size: number) => Buffer.concat([Buffer.from([0, size]), Buffer.alloc(size, 7)])
  for (const [what, first, second] of [
    ['one message', frame('hello there', false), Buffer.alloc(0)],
    ['lengths of DNS over TCP', lengths(40), lengths(44)],
    [
      'subscriptions of MQTT',
      frame('\x00\x01\x00\x03a/b\x00', false, 0x82),
      frame('\x00\x02\x00\x03a/c\x00', false, 0x82),
    ],
    ['text that is none', frame('\x00\x01\x02\x03\x04', false), frame('\x00\x01\x02\x03\x05', false)],
    ['fragments only', frame('abcdefgh', false, 0x01), frame('abcdefgh', false, 0x00)],
  ] as const) {
    const said = [first, second].filter(({ length }) => length > 0)
    const { exchanges } = observe(midway(...said.map((bytes) => [TO_CLIENT, bytes] as const)), PROTOCOLS)
    assert.deepEqual(shown(exchanges), [], what)
  }
})

/** The upgrade, then what the server says, its second segment lost. */
function afterLoss(...served: readonly Buffer[]): string[] {
  const [request, answer] = golden('echo')
  let position = answer.length
  const segments = served.map((bytes, i) => {
    const at = position
    position += bytes.length
    const { connection, timeUs } = answer
    return new Segment(connection, TO_CLIENT, at, bytes.length, bytes, timeUs + 1000 * (i + 1), 0, 0)
  })
  const { exchanges } = observe(without([request, answer, ...segments], 3), PROTOCOLS)
  return exchanges
    .filter(({ protocol, method }) => protocol === 'websocket' && method !== 'close')
    .map(({ respBytes }) => String(respBytes))
}

test('after a loss a long frame in several segments counts once the header behind it fits', () => {
  const long = frame('x'.repeat(9000), false)
  const pieces = [0, 1, 2, 3, 4, 5, 6]
    .map((i) => long.subarray(i * 1460, (i + 1) * 1460))
    .filter(({ length }) => length > 0)
  const next = frame('behind it', false)
  assert.deepEqual(afterLoss(frame('a', false), frame('lost', false), ...pieces, next), ['1', '9000', '9'])
  // Bytes that look like such a header, in the middle of something else: nothing follows where it says.
  const noise = Buffer.concat([Buffer.from([0x82, 126, 0x20, 0]), Buffer.alloc(8192 + 1000, 0x31)])
  const cut = [noise.subarray(0, 4000), noise.subarray(4000)]
  assert.deepEqual(afterLoss(frame('a', false), frame('lost', false), ...cut, next), ['1', '9'])
})
