import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readCapture, START_US, textOf } from '../../../test/fakes/packets.js'
import { ConnectionInfo, type Direction, NO_BYTES, Segment, SegmentFlag, type Transport } from '../../core/segment.js'
import { PcapngWriter } from './writer.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-pcapng-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const { OPEN, CLOSE, RESET, BIND, MIDSTREAM, GAP_BEFORE, TRUNCATED } = SegmentFlag

function connection(id: bigint, serverIp = '10.0.0.2', transport: Transport = 'tcp'): ConnectionInfo {
  const info = new ConnectionInfo(id)
  const clientIp = serverIp.includes(':') ? '2001:db8::1' : '10.0.0.1'
  return Object.assign(info, { transport, clientIp, clientPort: 40_000, serverIp, serverPort: 80, source: 'openssl' })
}

let clock = 0
/** Each segment 1 ms and 1 ns after the one before. */
function say(
  info: ConnectionInfo,
  direction: Direction,
  position: number,
  text: string,
  flags = 0,
  length = 0,
): Segment {
  clock += 1
  const payload = text === '' ? NO_BYTES : Buffer.from(text, 'latin1')
  const size = Math.max(length, payload.length)
  return new Segment(info, direction, position, size, payload, START_US + clock * 1000, clock % 1000, flags)
}

async function roundTrip(segments: readonly Segment[]) {
  const path = join(folder, 'out.pcapng')
  const writer = new PcapngWriter(path)
  writer.write(segments)
  writer.close()
  const result = await readCapture(readFileSync(path))
  assert.equal(result.code, '')
  assert.equal(statSync(path).mode & 0o077, 0)
  return { ...result, writer }
}

const withData = (segments: readonly Segment[]) => segments.filter((each) => each.length > 0)
const timesOf = (segments: readonly Segment[]) =>
  withData(segments).map((each) => `${each.direction} ${each.position} ${each.timeUs} ${each.timeRestNs}`)

for (const serverIp of ['10.0.0.2', '2001:db8::2']) {
  test(`bytes, positions, addresses and times are kept: ${serverIp}`, async () => {
    const info = connection(1n, serverIp)
    const long = 'x'.repeat(5000)
    const sent = [
      say(info, 0, 0, 'request', OPEN),
      say(info, 1, 0, 'answer'),
      say(info, 0, 7, 'a'),
      say(info, 1, 6, long),
      say(info, 0, 8, '', CLOSE),
      say(info, 1, 5006, '', CLOSE),
    ]
    const { segments } = await roundTrip(sent)
    assert.equal(textOf(segments, 0), 'requesta')
    assert.equal(textOf(segments, 1), `answer${long}`)
    const read = timesOf(segments)
    for (const time of timesOf(sent)) assert.ok(read.includes(time), time)
    assert.equal(segments[0].flags, OPEN)
    const { clientIp, clientPort, serverPort } = segments[0].connection
    assert.deepEqual(
      [clientIp, clientPort, segments[0].connection.serverIp, serverPort],
      [info.clientIp, 40_000, serverIp, 80],
    )
    const closes = segments.filter((each) => (each.flags & CLOSE) !== 0)
    assert.deepEqual(
      closes.map((each) => [each.direction, each.position]),
      [
        [0, 8],
        [1, 5006],
      ],
    )
  })
}

test('missing bytes are a jump', async () => {
  const info = connection(2n)
  const { segments } = await roundTrip([
    say(info, 0, 0, 'abc', OPEN | TRUNCATED, 100),
    say(info, 0, 100, 'def'),
    say(info, 0, 5_000_000, 'ghi', GAP_BEFORE),
    say(info, 1, 0, 'x'),
  ])
  assert.deepEqual(
    withData(segments).map((each) => [each.direction, each.position, each.payload.toString(), each.flags & GAP_BEFORE]),
    [
      [0, 0, 'abc', 0],
      [0, 100, 'def', GAP_BEFORE],
      [0, 5_000_000, 'ghi', GAP_BEFORE],
      [1, 0, 'x', 0],
    ],
  )
})

test('positions beyond 4 GiB wrap on the wire', async () => {
  const info = connection(3n)
  const far = 2 ** 32 - 1_000_003
  const { segments } = await roundTrip([say(info, 0, far, 'abc', MIDSTREAM), say(info, 0, far + 3, 'def')])
  assert.equal(textOf(segments, 0), 'abcdef')
})

test('a reset is a reset, a connection joined mid-way has no handshake', async () => {
  const info = connection(4n)
  const reset = await roundTrip([
    say(info, 0, 0, 'abc', OPEN),
    say(info, 0, 3, '', CLOSE | RESET),
    say(info, 1, 0, '', CLOSE | RESET),
  ])
  assert.equal(reset.segments.filter((each) => (each.flags & RESET) !== 0).length, 2)
  const joined = await roundTrip([say(connection(5n), 1, 0, 'abc', MIDSTREAM)])
  assert.ok((joined.segments[0].flags & MIDSTREAM) !== 0)
})

test('the same ports used again are another connection', async () => {
  const lives = [6n, 7n, 8n].flatMap((id) => {
    const info = connection(id)
    return [say(info, 0, 0, `life ${id}`, OPEN), say(info, 0, 6, '', CLOSE), say(info, 1, 0, '', CLOSE)]
  })
  const { segments } = await roundTrip(lives)
  assert.equal(new Set(segments.map((each) => each.connection.id)).size, 3)
  assert.equal(textOf(segments, 0), 'life 6life 7life 8')
})

test('a connection captured at both ends comes out once', async () => {
  const [client, server] = [connection(9n), connection(10n)]
  const { segments } = await roundTrip([
    say(client, 0, 0, 'ask', OPEN),
    say(server, 0, 0, 'ask', OPEN),
    say(server, 1, 0, 'tell'),
    say(client, 1, 0, 'tell'),
  ])
  assert.equal(textOf(segments, 0), 'ask')
  assert.equal(textOf(segments, 1), 'tell')
  assert.equal(new Set(segments.map((each) => each.connection.id)).size, 1)
})

test('segments wait for the addresses of their connection, with their own times', async () => {
  const unbound = new ConnectionInfo(11n)
  const sent = [say(unbound, 0, 0, 'early', OPEN), say(connection(12n, '10.0.0.3'), 0, 0, 'other', OPEN)]
  const { segments } = await roundTrip([
    ...sent,
    say(connection(11n), 0, 5, '', BIND),
    say(connection(11n), 0, 5, 'late'),
  ])
  const early = segments.find((each) => each.payload.toString() === 'early')
  assert.equal(early?.connection.serverIp, '10.0.0.2')
  assert.equal(early?.timeUs, sent[0].timeUs)
  const never = await roundTrip([say(new ConnectionInfo(13n), 0, 0, 'never', OPEN)])
  assert.deepEqual([textOf(never.segments, 0), never.segments[0].connection.serverIp], ['never', '0.0.0.0'])
})

test('datagrams keep their borders and lengths', async () => {
  const info = connection(14n, '10.0.0.2', 'udp')
  const { segments } = await roundTrip([
    say(info, 0, 0, 'ask', OPEN),
    say(info, 1, 0, 'x'.repeat(60_000)),
    say(info, 0, 3, 'cut', TRUNCATED, 500),
    say(info, 0, 503, ''),
    say(info, 0, 503, '', CLOSE),
  ])
  assert.deepEqual(
    segments.map((each) => [each.direction, each.position, each.length, each.payload.length]),
    [
      [0, 0, 3, 3],
      [1, 0, 60_000, 60_000],
      [0, 3, 500, 3],
      [0, 503, 0, 0],
    ],
  )
})

test('a socket without addresses is left out and counted', async () => {
  const { segments, writer } = await roundTrip([say(connection(15n, '', 'unix'), 0, 0, 'abc')])
  assert.deepEqual([segments.length, writer.skippedSegments], [0, 1])
})

test('what cannot be written is one line', () => {
  assert.throws(() => new PcapngWriter(join(folder, 'no/such/folder')), { code: 'UNWRITABLE' })
})
