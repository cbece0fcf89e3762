import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CLIENT,
  ethernet,
  ipv4,
  pcap,
  readCapture,
  SERVER,
  START_US,
  textOf,
  udp,
} from '../../../test/fakes/packets.js'
import { type Segment, SegmentFlag } from '../../core/segment.js'
import { SkipCounter } from './skipped.js'
import { TransportPacket } from './transport_packet.js'
import { UdpTracker } from './udp.js'

const say = (from: number, to: number, data: string) => ethernet(0x0800, ipv4({ protocol: 17 }, udp(from, to, data)))
const answer = (from: number, to: number, data: string) =>
  ethernet(0x0800, ipv4({ protocol: 17, source: SERVER, target: CLIENT }, udp(from, to, data)))

test('datagrams are segments of a conversation; positions add up', async () => {
  const { segments } = await readCapture(pcap([say(5000, 53, 'ab'), answer(53, 5000, 'xyz'), say(5000, 53, 'cd')]))
  assert.deepEqual(
    segments.map((each) => [each.direction, each.position, each.length]),
    [
      [0, 0, 2],
      [1, 0, 3],
      [0, 2, 2],
    ],
  )
  assert.equal(new Set(segments.map((each) => each.connection)).size, 1)
  assert.equal(segments[0].connection.transport, 'udp')
  assert.deepEqual([segments[0].flags & SegmentFlag.OPEN, segments[1].flags & SegmentFlag.OPEN], [1, 0])
})

test('the answer alone names the server by its port; equal ports by who spoke first', async () => {
  const late = await readCapture(pcap([answer(53, 5000, 'xyz')]))
  assert.equal(late.segments[0].direction, 1)
  assert.equal(late.segments[0].connection.serverIp, SERVER)
  const equal = await readCapture(pcap([say(30_000, 40_000, 'x')]))
  assert.equal(equal.segments[0].direction, 0)
})

test('after three silent minutes the same ends are a new conversation', async () => {
  const at = (seconds: number) => ({ bytes: say(5000, 53, 'a'), timeUs: START_US + seconds * 1e6 })
  const { segments } = await readCapture(pcap([at(0), at(170), at(360)]))
  assert.deepEqual(
    segments.map((each) => each.position),
    [0, 1, 0],
  )
  assert.equal(new Set(segments.map((each) => each.connection.id)).size, 2)
})

test('lengths that lie: the smaller of header and packet; too small is malformed', async () => {
  const lie = (length: number) => {
    const bytes = udp(5000, 53, 'abcdef')
    bytes.writeUInt16BE(length, 4)
    return ethernet(0x0800, ipv4({ protocol: 17 }, bytes))
  }
  const { segments, skipped } = await readCapture(pcap([lie(11), lie(900), lie(7), lie(0)]))
  assert.equal(textOf(segments, 0), 'abcabcdefabcdef')
  assert.equal(skipped('malformed').packets, 1)
})

test('what was not captured keeps its place', async () => {
  const { segments } = await readCapture(
    pcap([{ bytes: say(5000, 53, 'abcdef'), captured: 14 + 20 + 8 + 2 }, say(5000, 53, 'g')]),
  )
  assert.deepEqual(
    segments.map((each) => [each.position, each.length, each.payload.length, each.flags & SegmentFlag.TRUNCATED]),
    [
      [0, 6, 2, SegmentFlag.TRUNCATED],
      [6, 1, 1, 0],
    ],
  )
})

test('conversations above the limit are forgotten, longest silent first, and counted', () => {
  const out: Segment[] = []
  const skipped = new SkipCounter()
  const tracker = new UdpTracker(out, skipped)
  const packet = new TransportPacket()
  const bytes = ipv4({ protocol: 17 }, udp(0, 0, 'x'))
  Object.assign(packet, { bytes, sourceAt: 12, targetAt: 16, start: 20, end: bytes.length, wireEnd: bytes.length })
  for (let i = 0; i < 70_000; i++) {
    bytes.writeUInt16BE(i % 50_000, 20)
    bytes.writeUInt16BE(60_000 + Math.floor(i / 50_000), 22)
    packet.timeUs = i
    tracker.packet(packet)
    out.length = 0
  }
  assert.equal(skipped.packets.get('connection_limit'), 65_536 >> 2)
})
