import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ethernet,
  ipv4,
  ipv6,
  pcap,
  readCapture,
  START_US,
  tcp,
  textOf,
  u16,
  udp,
} from '../../../test/fakes/packets.js'
import { FragmentTable } from './fragments.js'

const IP4 = 0x0800
const IP6 = 0x86dd
const data = tcp({ from: 40_000, to: 80, seq: 1, data: 'hello' })

const read = (...frames: Buffer[]) => readCapture(pcap(frames))

test('IPv4 with options, and padding behind the packet', async () => {
  const packet = ipv4({ protocol: 6, options: Buffer.alloc(8, 1) }, data)
  const { segments } = await read(ethernet(IP4, Buffer.concat([packet, Buffer.alloc(6)])))
  assert.equal(textOf(segments, 0), 'hello')
})

test('a length of 0 (segmentation offload) reaches to the end of the frame', async () => {
  const { segments } = await read(ethernet(IP4, ipv4({ protocol: 6, totalLength: 0 }, data)))
  assert.equal(textOf(segments, 0), 'hello')
})

test('a length beyond the frame is cut to the frame', async () => {
  const { segments } = await read(ethernet(IP4, ipv4({ protocol: 6, totalLength: 1500 }, data)))
  assert.deepEqual([segments[0].length, textOf(segments, 0)], [5, 'hello'])
})

test('IPv6 behind hop-by-hop, routing, destination and authentication headers', async () => {
  const chain = Buffer.concat([
    Buffer.from([43, 0, 1, 4, 0, 0, 0, 0]),
    Buffer.from([60, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    Buffer.from([51, 0, 1, 4, 0, 0, 0, 0]),
    Buffer.from([6, 4]),
    Buffer.alloc(22),
    data,
  ])
  const { segments } = await read(ethernet(IP6, ipv6(0, chain)))
  assert.equal(textOf(segments, 0), 'hello')
  assert.deepEqual([segments[0].connection.clientIp, segments[0].connection.serverIp], ['2001:db8::1', '2001:db8::2'])
})

const bytes = Buffer.from(Array.from({ length: 3000 }, (_, i) => i % 251))
const datagram = udp(5353, 53, bytes)

/** `datagram` in parts of 1000 bytes, with an IP header each. */
function parts4(id: number): Buffer[] {
  const cut = [0, 1000, 2000, 3000].map((from) => datagram.subarray(from, from + 1000))
  return cut.map((part, i) => ethernet(IP4, ipv4({ protocol: 17, id, offset: i * 1000, more: i < 3 }, part)))
}

function parts6(): Buffer[] {
  return [0, 1000, 2000, 3000].map((offset) => {
    const header = Buffer.concat([
      Buffer.from([17, 0]),
      u16(offset | (offset < 3000 ? 1 : 0)),
      Buffer.from([0, 0, 0, 9]),
    ])
    return ethernet(IP6, ipv6(44, Buffer.concat([header, datagram.subarray(offset, offset + 1000)])))
  })
}

test('fragments of IPv4 and IPv6 in any order make one datagram', async () => {
  for (const [a, b, c, d] of [parts4(7), parts6()]) {
    for (const order of [
      [a, b, c, d],
      [d, c, b, a],
      [b, d, d, a, c],
    ]) {
      const { segments, skipped } = await read(...order)
      assert.equal(segments.length, 1)
      assert.ok(segments[0].payload.equals(bytes))
      assert.equal(skipped('fragment_incomplete').packets, 0)
    }
  }
})

test('fragments of two datagrams do not mix; what never becomes whole is counted', async () => {
  const [a, b, c, d] = parts4(1)
  const [e, , g, h] = parts4(2)
  const { segments, skipped } = await read(a, e, b, g, c, h, d)
  assert.equal(segments.length, 1)
  assert.deepEqual(skipped('fragment_incomplete'), { packets: 1, bytes: 2008 })
})

test('an atomic fragment is a whole datagram', async () => {
  const header = Buffer.from([17, 0, 0, 0, 0, 0, 0, 1])
  const { segments } = await read(ethernet(IP6, ipv6(44, Buffer.concat([header, udp(1, 2, 'x')]))))
  assert.equal(segments.length, 1)
})

test('where fragments overlap the first copy of a byte wins', () => {
  const table = new FragmentTable()
  const head = Buffer.from('H')
  assert.equal(table.add('k', head, 8, false, Buffer.from('IJKLMNOP'), 0), null)
  assert.equal(table.add('k', head, 0, true, Buffer.from('abcdefghijkl'), 0)?.toString(), 'HabcdefghIJKLMNOP')
  assert.equal(table.heldBytes, 0)
})

test('bytes behind the end that the last fragment names do not count', () => {
  const table = new FragmentTable()
  assert.equal(table.add('k', Buffer.alloc(0), 8, true, Buffer.from('ijklmnopqrstuvwx'), 0), null)
  assert.equal(table.add('k', Buffer.alloc(0), 8, false, Buffer.from('IJKL'), 0), null)
  assert.equal(table.add('k', Buffer.alloc(0), 0, true, Buffer.from('abcdefgh'), 0)?.toString(), 'abcdefghijkl')
})

test('a fragment after 30 s belongs to another datagram', async () => {
  const [a, b, c, d] = parts4(3)
  const late = [a, b, c].map((each) => ({ bytes: each, timeUs: START_US }))
  const { segments, skipped } = await readCapture(pcap([...late, { bytes: d, timeUs: START_US + 31e6 }]))
  assert.equal(segments.length, 0)
  assert.equal(skipped('fragment_incomplete').packets, 2)
})

test('a flood of fragments stays within its bounds', () => {
  const table = new FragmentTable()
  let dropped = 0
  let peak = 0
  for (let i = 0; i < 1500; i++) {
    table.add(String(i), Buffer.alloc(20), 40_000, true, Buffer.alloc(20_000), i)
    dropped += table.takeDropped().length
    peak = Math.max(peak, table.heldBytes)
  }
  assert.ok(peak <= 16 << 20)
  table.drop()
  assert.equal(dropped + table.takeDropped().length, 1500)
  assert.equal(table.heldBytes, 0)
})

test('a fragment that ends behind 64 KiB is refused', () => {
  const table = new FragmentTable()
  assert.equal(table.add('k', Buffer.alloc(20), 65_528, false, Buffer.alloc(100), 0), null)
  assert.deepEqual(table.takeDropped(), [100])
})

test('broken headers are counted, whatever they say', async () => {
  const whole = ipv4({ protocol: 6 }, data)
  const bad = [
    whole.subarray(0, 1),
    whole.subarray(0, 19),
    Buffer.concat([Buffer.from([0x41]), whole.subarray(1)]),
    Buffer.concat([Buffer.from([0x4f]), whole.subarray(1, 30)]),
    ipv4({ protocol: 6, totalLength: 19 }, data),
    whole.subarray(0, 30),
    ipv4({ protocol: 51 }, Buffer.from([6, 255, 0, 0])),
  ]
  const { segments, skipped } = await read(...bad.map((packet) => ethernet(IP4, packet)))
  assert.equal(segments.length, 0)
  assert.equal(skipped('malformed').packets, bad.length)
  const chain = await read(ethernet(IP6, ipv6(0, Buffer.alloc(1000))), ethernet(IP6, ipv6(0, Buffer.from([6, 9]))))
  assert.equal(chain.skipped('malformed').packets, 2)
})

test('other transports are counted', async () => {
  const { skipped } = await read(ethernet(IP4, ipv4({ protocol: 1 }, Buffer.alloc(8))))
  assert.deepEqual(skipped('other_transport'), { packets: 1, bytes: 8 })
})
