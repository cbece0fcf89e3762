import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CLIENT,
  ethernet,
  fromClient,
  fromServer,
  HANDSHAKE,
  ipv4,
  type Packet,
  pcap,
  readCapture,
  SERVER,
  START_US,
  TCP_FLAG,
  tcp,
  textOf,
} from '../../../test/fakes/packets.js'
import { type Segment, SegmentFlag, TO_CLIENT, TO_SERVER } from '../../core/segment.js'
import { SkipCounter } from './skipped.js'
import { type TcpLimits, TcpTracker } from './tcp.js'
import { TransportPacket } from './transport_packet.js'

const { FIN, SYN, RST, ACK, PSH } = TCP_FLAG

const read = (...frames: (Buffer | Packet)[]) => readCapture(pcap(frames))
const withData = (segments: readonly Segment[]) => segments.filter((each) => each.length > 0)
const positions = (segments: readonly Segment[], direction: number) =>
  withData(segments)
    .filter((each) => each.direction === direction)
    .map((each) => each.position)
const closes = (segments: readonly Segment[]) => segments.filter((each) => (each.flags & SegmentFlag.CLOSE) !== 0)

test('a whole connection: opened once, both directions, closed with final positions', async () => {
  const { segments } = await read(
    ...HANDSHAKE,
    fromClient(100, 'request', PSH | ACK),
    fromServer(500, 'answer', PSH | ACK, 107),
    fromServer(506, '', FIN | ACK, 107),
    fromClient(107, '', FIN | ACK, 507),
    fromServer(507, '', ACK, 108),
  )
  assert.equal(textOf(segments, TO_SERVER), 'request')
  assert.equal(textOf(segments, TO_CLIENT), 'answer')
  assert.equal(new Set(segments.map((each) => each.connection)).size, 1)
  assert.equal(segments.filter((each) => (each.flags & SegmentFlag.OPEN) !== 0).length, 1)
  const [{ connection }] = segments
  const ends = [connection.clientIp, connection.clientPort, connection.serverIp, connection.serverPort]
  assert.deepEqual(ends, [CLIENT, 40_000, SERVER, 80])
  assert.deepEqual([connection.source, connection.side, connection.transport], ['pcap', 'unknown', 'tcp'])
  assert.deepEqual(
    closes(segments).map((each) => [each.direction, each.position, each.flags & SegmentFlag.RESET]),
    [
      [TO_CLIENT, 6, 0],
      [TO_SERVER, 7, 0],
    ],
  )
})

test('disorder and retransmission: each byte once, in order', async () => {
  const { segments, skipped } = await read(
    ...HANDSHAKE,
    fromClient(103, 'def'),
    fromClient(103, 'def'),
    fromClient(100, 'abc'),
    fromClient(100, 'ABC'),
    fromClient(104, 'EFGH'),
    fromClient(108, 'ij'),
  )
  assert.equal(textOf(segments, TO_SERVER), 'abcdefGHij')
  assert.deepEqual(positions(segments, TO_SERVER), [0, 3, 6, 8])
  assert.equal(skipped('retransmission').bytes, 3 + 3 + 2)
})

test('a keep-alive below the stream and a probe of a closed window add nothing', async () => {
  const { segments } = await read(
    ...HANDSHAKE,
    fromClient(100, 'abc'),
    fromClient(102, '\0'),
    fromClient(103, 'd'),
    fromClient(103, 'd'),
    fromClient(103, 'def'),
  )
  assert.equal(textOf(segments, TO_SERVER), 'abcdef')
})

test('copies that wait and differ: what begins earlier wins', async () => {
  const { segments } = await read(
    ...HANDSHAKE,
    fromClient(106, 'GHIJ'),
    fromClient(103, 'defgh'),
    fromClient(100, 'abc'),
  )
  assert.equal(textOf(segments, TO_SERVER), 'abcdefghIJ')
})

test('sequence numbers wrap', async () => {
  const { segments } = await read(
    fromClient(0xfffffffd, '', SYN),
    fromClient(0xfffffffe, 'abcd'),
    fromClient(4, 'gh'),
    fromClient(2, 'ef'),
  )
  assert.equal(textOf(segments, TO_SERVER), 'abcdefgh')
  assert.deepEqual(positions(segments, TO_SERVER), [0, 4, 6])
})

test('a stream of more than 4 GiB keeps its positions', async () => {
  const step = 0x3000_0000
  const frames = HANDSHAKE.slice(0, 2)
  // Only the ends of long runs are in the file: the rest is known by its acknowledgement.
  let seq = 100
  for (let i = 0; i < 8; i++) {
    frames.push(fromClient(seq, 'x'), fromServer(500, '', ACK, (seq + step) >>> 0))
    seq += step
    frames.push(fromClient(seq, 'y'), fromServer(500, '', ACK, (seq + 1) >>> 0), fromServer(500, '', ACK, seq + 1))
    seq += 1
  }
  const { segments } = await read(...frames)
  assert.equal(textOf(segments, TO_SERVER), 'xy'.repeat(8))
  assert.equal(positions(segments, TO_SERVER).at(-1), 8 * (step + 1) - 1)
})

test('acknowledged bytes that the capture has not are a gap', async () => {
  const { segments } = await read(
    ...HANDSHAKE,
    fromClient(100, 'ab'),
    fromClient(105, 'fg'),
    fromServer(500, '', ACK, 107),
    fromServer(500, '', ACK, 107),
    fromServer(500, 'reply', ACK, 107),
    fromClient(107, 'h'),
  )
  assert.equal(textOf(segments, TO_SERVER), 'abfgh')
  const afterGap = segments.find((each) => each.position === 5 && each.direction === TO_SERVER)
  assert.ok(afterGap && (afterGap.flags & SegmentFlag.GAP_BEFORE) !== 0)
  assert.equal(segments.filter((each) => (each.flags & SegmentFlag.GAP_BEFORE) !== 0).length, 1)
  // The gap is known before the reply that answers what was lost.
  assert.ok(segments.indexOf(afterGap) < segments.findIndex((each) => each.direction === TO_CLIENT) + 2)
})

test('an acknowledgement that stands a little before its data is no gap', async () => {
  const at = (bytes: Buffer, us: number) => ({ bytes, timeUs: START_US + us })
  const { segments } = await readCapture(
    pcap([
      ...HANDSHAKE.map((bytes) => at(bytes, 0)),
      at(fromClient(103, 'def'), 10),
      at(fromServer(500, '', ACK, 106), 20),
      at(fromClient(100, 'abc'), 30),
    ]),
  )
  assert.equal(textOf(segments, TO_SERVER), 'abcdef')
  assert.ok(segments.every((each) => (each.flags & SegmentFlag.GAP_BEFORE) === 0))
})

test('a hole that nobody acknowledges is given up after a minute', async () => {
  const at = (bytes: Buffer, seconds: number) => ({ bytes, timeUs: START_US + seconds * 1e6 })
  const oneWay = [...HANDSHAKE.map((bytes) => at(bytes, 0)), at(fromClient(105, 'fg'), 1), at(fromClient(107, 'h'), 50)]
  const { segments } = await readCapture(pcap([...oneWay, at(fromClient(108, 'i'), 62), at(fromClient(109, 'j'), 63)]))
  const afterGap = segments.find((each) => each.length > 0)
  assert.ok(afterGap && (afterGap.flags & SegmentFlag.GAP_BEFORE) !== 0)
  assert.equal(textOf(segments, TO_SERVER), 'fghij')
  assert.equal(afterGap.timeUs, START_US + 1e6)
})

test('what waits behind a hole comes out at the end of the capture, of the connection, and by a reset', async () => {
  const hole = [...HANDSHAKE, fromClient(105, 'fg')]
  for (const more of [[], [fromClient(107, '', RST)], [fromClient(9000, '', SYN)]]) {
    const { segments } = await read(...hole, ...more)
    assert.equal(textOf(segments, TO_SERVER), 'fg')
    assert.deepEqual(positions(segments, TO_SERVER), [5])
    assert.ok((withData(segments)[0].flags & SegmentFlag.GAP_BEFORE) !== 0)
  }
})

test('while a lost request holds its direction back the answers wait: both come out as they were said', async () => {
  const frames = [
    ...HANDSHAKE,
    // The request at 100 was lost; its answer and the next exchanges were not.
    fromServer(500, 'A', PSH | ACK, 101),
    fromClient(101, 'b', PSH | ACK, 501),
    fromServer(501, 'B', PSH | ACK, 102),
    fromClient(102, 'c', PSH | ACK, 502),
    fromServer(502, 'C', PSH | ACK, 103),
  ]
  const { segments } = await read(...frames.map((bytes, i) => ({ bytes, timeUs: START_US + 50 * i })))
  const gap = ({ flags }: Segment) => ((flags & SegmentFlag.GAP_BEFORE) !== 0 ? '!' : '')
  assert.deepEqual(
    withData(segments).map((each) => `${each.payload}${gap(each)}`),
    ['A', 'b!', 'B', 'c', 'C'],
  )
})

test('a hole does not hold back more than its bound', () => {
  const { out, tracker, say } = direct()
  say(80, 99, SYN)
  for (let i = 0; i < 10_000; i++) say(80, 200 + i * PART, ACK)
  const first = withData(out)[0]
  assert.equal(first.position, 100)
  assert.ok((first.flags & SegmentFlag.GAP_BEFORE) !== 0)
  tracker.finish()
  assert.equal(withData(out).length, 10_000)
})

test('all holes together do not hold back more than theirs', () => {
  const { out, tracker, say } = direct({ heldTotalBytes: 4 << 20, connections: 1000 })
  let peak = 0
  for (let turn = 0; turn < 100; turn++) {
    for (let port = 1; port <= 60; port++) {
      say(port, turn === 0 ? 99 : 1000 + turn * PART, turn === 0 ? SYN : ACK)
      peak = Math.max(peak, tracker.heldBytes)
    }
    out.length = 0
  }
  assert.ok(peak > 3 << 20 && peak <= (4 << 20) + 2 * PART, String(peak))
  tracker.finish()
  assert.equal(tracker.heldBytes, 0)
})

test('joined mid-way: marked, roles by port, positions from the first byte', async () => {
  const { segments } = await read(fromServer(7000, 'answer', ACK, 300), fromClient(300, 'request', ACK, 7006))
  const guessed = SegmentFlag.MIDSTREAM | SegmentFlag.ROLE_GUESSED
  assert.ok(segments.every((each) => (each.flags & guessed) === guessed && (each.flags & SegmentFlag.OPEN) === 0))
  assert.equal(textOf(segments, TO_CLIENT), 'answer')
  assert.equal(textOf(segments, TO_SERVER), 'request')
  assert.equal(segments[0].connection.serverPort, 80)
})

test('joined mid-way: the acknowledgement says where the other end goes on', async () => {
  const { segments } = await read(fromServer(7000, 'answer', ACK, 300), fromClient(303, 'def'), fromClient(300, 'abc'))
  assert.equal(textOf(segments, TO_SERVER), 'abcdef')
})

test('only the answer of the handshake was captured: the client is known all the same', async () => {
  const high = { from: 9999, to: 80, seq: 499, ack: 100, flags: SYN | ACK }
  const frame = ethernet(0x0800, ipv4({ protocol: 6, source: SERVER, target: CLIENT }, tcp(high)))
  const data = ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ from: 80, to: 9999, seq: 100, data: 'hello' })))
  const { segments } = await read(frame, data)
  assert.equal(segments[0].direction, TO_SERVER)
  assert.deepEqual([segments[0].connection.clientPort, segments[0].connection.serverPort], [80, 9999])
  assert.equal(segments[0].flags, SegmentFlag.OPEN)
})

test('a SYN that stands behind its answer begins no second connection', async () => {
  const [syn, answer, ack] = HANDSHAKE
  const { segments } = await read(answer, syn, ack, fromClient(100, 'abc'), fromServer(500, 'def'))
  assert.equal(new Set(segments.map((each) => each.connection.id)).size, 1)
  assert.equal(textOf(segments, TO_SERVER), 'abc')
})

test('data in the SYN is the first data', async () => {
  const { segments } = await read(
    fromClient(99, 'abc', SYN),
    fromServer(499, '', SYN | ACK, 103),
    fromClient(103, 'def'),
  )
  assert.equal(textOf(segments, TO_SERVER), 'abcdef')
  assert.equal(segments[0].position, 0)
})

test('ports used again are another connection, with the same number only after the end', async () => {
  const first = [...HANDSHAKE, fromClient(100, 'old')]
  const again = [fromClient(6999, '', SYN), fromClient(7000, 'new')]
  const ids = (segments: readonly Segment[]) => new Set(segments.map((each) => each.connection.id)).size
  const reused = await read(...first, ...again)
  assert.equal(ids(reused.segments), 2)
  assert.equal(closes(reused.segments).length, 2)
  assert.equal(positions(reused.segments, TO_SERVER).at(-1), 0)
  const repeated = await read(...first, HANDSHAKE[0], fromClient(103, 'more'))
  assert.equal(ids(repeated.segments), 1)
  const afterReset = await read(...first, fromServer(500, '', RST), HANDSHAKE[0], fromClient(100, 'new'))
  assert.equal(ids(afterReset.segments), 2)
})

test('bytes after the FIN are none of the stream', async () => {
  const { segments, skipped } = await read(
    ...HANDSHAKE,
    fromClient(100, 'abc', FIN | ACK),
    fromServer(500, '', ACK, 104),
    fromClient(103, 'xyz'),
  )
  assert.equal(textOf(segments, TO_SERVER), 'abc')
  assert.equal(skipped('out_of_window').bytes, 3)
})

test('only one direction was captured: what it acknowledges was said by the other', async () => {
  const { segments } = await read(
    fromClient(99, '', SYN),
    fromClient(100, '', ACK, 500),
    fromClient(100, 'one', ACK, 500),
    fromClient(103, '', ACK, 540),
    fromClient(103, 'two', ACK, 540),
    fromClient(106, '', ACK, 601),
  )
  assert.equal(textOf(segments, TO_SERVER), 'onetwo')
  const [missing, ...more] = segments.filter((each) => each.direction === TO_CLIENT)
  assert.deepEqual([missing.position, missing.length, missing.payload.length, more.length], [0, 101, 0, 0])
  // A handshake and a FIN are numbers without bytes.
  for (const ack of [500, 501]) {
    const quiet = await read(fromClient(99, '', SYN), fromClient(100, 'one', ACK, 500), fromClient(103, '', ACK, ack))
    assert.ok(quiet.segments.every((each) => each.direction === TO_SERVER))
  }
})

test('a FIN waits for the bytes before it', async () => {
  const { segments } = await read(...HANDSHAKE, fromClient(103, 'def', FIN | ACK), fromClient(100, 'abc'))
  assert.equal(textOf(segments, TO_SERVER), 'abcdef')
  assert.equal(closes(segments)[0].position, 6)
  assert.equal(segments.indexOf(closes(segments)[0]), segments.length - 1)
})

test('a FIN whose last bytes are acknowledged but missing closes behind them', async () => {
  const { segments } = await read(
    ...HANDSHAKE,
    fromClient(100, 'abc'),
    fromClient(110, '', FIN | ACK),
    fromServer(500, '', ACK, 111),
    fromClient(103, 'late'),
  )
  assert.deepEqual(
    closes(segments).map((each) => each.position),
    [10],
  )
  assert.equal(textOf(segments, TO_SERVER), 'abc')
})

test('a reset ends both directions; one outside the window ends nothing', async () => {
  const ended = await read(...HANDSHAKE, fromClient(100, 'abc'), fromServer(500, '', RST), fromClient(103, 'def'))
  assert.equal(textOf(ended.segments, TO_SERVER), 'abc')
  assert.deepEqual(
    closes(ended.segments).map((each) => [each.direction, each.position, (each.flags & SegmentFlag.RESET) !== 0]),
    [
      [TO_CLIENT, 0, true],
      [TO_SERVER, 3, true],
    ],
  )
  assert.equal(ended.skipped('after_reset').bytes, 3)
  const forged = await read(...HANDSHAKE, fromClient(100, 'abc'), fromServer(0x7f000000, '', RST), fromClient(103, 'd'))
  assert.equal(textOf(forged.segments, TO_SERVER), 'abcd')
  assert.equal(closes(forged.segments).length, 0)
})

test('bytes that were on the wire and not captured are counted, and keep their place', async () => {
  const cut = { bytes: fromClient(100, 'abcdefgh'), captured: 14 + 20 + 20 + 3 }
  const { segments } = await readCapture(pcap([...HANDSHAKE, cut, fromClient(108, 'ij')]))
  assert.equal(textOf(segments, TO_SERVER), 'abcij')
  assert.deepEqual(
    withData(segments).map((each) => [each.position, each.length, each.payload.length]),
    [
      [0, 8, 3],
      [8, 2, 2],
    ],
  )
  assert.ok((segments[0].flags & SegmentFlag.TRUNCATED) !== 0 && (segments[1].flags & SegmentFlag.TRUNCATED) === 0)
})

test('headers that lie are counted, not followed', async () => {
  const header = tcp({ from: 40_000, to: 80, seq: 1 })
  const lies = [0x00, 0x40, 0xf0].map((offset) => {
    const bytes = Buffer.from(header)
    bytes[12] = offset
    return ethernet(0x0800, ipv4({ protocol: 6 }, bytes))
  })
  const { segments, skipped } = await read(...lies, ethernet(0x0800, ipv4({ protocol: 6 }, header.subarray(0, 12))))
  assert.equal(segments.length, 0)
  assert.equal(skipped('malformed').packets, 4)
})

test('a hundred thousand half-open connections stay within the table and push out nobody who speaks', () => {
  const { out, skipped, tracker, say } = direct()
  say(80, 99, SYN)
  say(80, 100, ACK)
  for (let i = 0; i < 100_000; i++) say(1000 + (i % 60_000), i, SYN, 40_000 + Math.floor(i / 60_000))
  say(80, 100 + PART, ACK)
  assert.ok(tracker.connections <= 65_536)
  assert.equal(new Set(out.map((each) => each.connection)).size, 1)
  assert.deepEqual(positions(out, TO_SERVER), [0, PART])
  assert.ok((skipped.packets.get('half_open') ?? 0) >= 100_000 - 65_536)
  assert.equal(skipped.packets.get('connection_limit'), undefined)
})

test('connections above the limit are closed, longest silent first, and counted', () => {
  const { out, skipped, tracker, say } = direct({ heldTotalBytes: 1 << 20, connections: 1000 })
  for (let i = 0; i < 5000; i++) say(i, 5, ACK, 60_000)
  assert.ok(tracker.connections <= 1000)
  const closed = closes(out)
  assert.equal(closed.length, 2 * (skipped.packets.get('connection_limit') ?? 0))
  assert.ok(closed.length >= 2 * 4000)
  assert.equal(closed[0].connection.serverPort, 0)
})

const PART = 1400

/** A tracker that is given one packet again and again, with other ports and numbers; SYN without bytes, else `PART` of them. */
function direct(limits?: TcpLimits) {
  const out: Segment[] = []
  const skipped = new SkipCounter()
  const tracker = new TcpTracker(out, skipped, limits)
  const packet = new TransportPacket()
  const bytes = ipv4({ protocol: 6 }, tcp({ from: 0, to: 0, seq: 0, data: 'x'.repeat(PART) }))
  Object.assign(packet, { bytes, sourceAt: 12, targetAt: 16, start: 20 })
  const say = (port: number, seq: number, flags: number, from = 40_000) => {
    bytes.writeUInt16BE(from, 20)
    bytes.writeUInt16BE(port, 22)
    bytes.writeUInt32BE(seq, 24)
    bytes[33] = flags
    packet.end = packet.wireEnd = flags === SYN ? 40 : bytes.length
    packet.timeUs += 1
    tracker.packet(packet)
  }
  return { out, skipped, tracker, say }
}
