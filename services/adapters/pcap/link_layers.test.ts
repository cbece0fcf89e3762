import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ethernet, ipv4, ipv6, pcap, readCapture, tcp, textOf, u16 } from '../../../test/fakes/packets.js'

const segment = tcp({ from: 40_000, to: 80, seq: 1, data: 'hello' })
const packet4 = ipv4({ protocol: 6 }, segment)
const packet6 = ipv6(6, segment)
const join = (...parts: (Buffer | number[])[]) => Buffer.concat(parts.map((part) => Buffer.from(part)))
const SNAP = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0]

/** 802.11 data frame from a station, with QoS where `qos` is not null. */
function wifi(qos: number | null, body: Buffer, flags = 1): Buffer {
  const header = join([qos === null ? 0x08 : 0x88, flags, 0, 0], Buffer.alloc(20), qos === null ? [] : [qos, 0])
  return join(header, body)
}

const radiotap = (frame: Buffer) => join([0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0], frame)
const attribute = (type: number, body: Buffer) =>
  join([(4 + body.length) & 0xff, (4 + body.length) >> 8, type, 0], body, Buffer.alloc((4 - (body.length % 4)) % 4))
const aggregated = join(Buffer.alloc(12), u16(SNAP.length + packet4.length), SNAP, packet4)

const CASES: [name: string, linkType: number, frame: Buffer][] = [
  ['Ethernet, IPv4', 1, ethernet(0x0800, packet4)],
  ['Ethernet, IPv6', 1, ethernet(0x86dd, packet6)],
  ['VLAN', 1, ethernet(0x8100, join([0, 5], u16(0x0800), packet4))],
  ['two VLANs', 1, ethernet(0x88a8, join([0, 5], u16(0x8100), [0, 6], u16(0x86dd), packet6))],
  ['802.1BR tag', 1, ethernet(0x893f, join(Buffer.alloc(6), u16(0x0800), packet4))],
  ['VN tag', 1, ethernet(0x8926, join(Buffer.alloc(4), u16(0x0800), packet4))],
  ['Cisco metadata', 1, ethernet(0x8909, join([1, 1, 0, 1, 0, 9], u16(0x0800), packet4))],
  ['backbone bridge', 1, ethernet(0x88e7, join(Buffer.alloc(4), ethernet(0x0800, packet4)))],
  ['service header', 1, ethernet(0x894f, join([0, 6, 1, 1], Buffer.alloc(20), packet4))],
  ['802.3 with SNAP', 1, ethernet(100, join(SNAP, packet4))],
  ['802.3 with the IP service point', 1, ethernet(100, join([6, 6, 3], packet4))],
  ['MPLS, two labels', 1, ethernet(0x8847, join([0, 1, 0x00, 64, 0, 2, 0x01, 64], packet4))],
  ['MPLS pseudowire', 1, ethernet(0x8847, join([0, 1, 1, 64, 0, 0, 0, 0], ethernet(0x0800, packet4)))],
  ['PPPoE', 1, ethernet(0x8864, join([0x11, 0, 0, 1], u16(2 + packet4.length), [0, 0x21], packet4, Buffer.alloc(9)))],
  ['Linux cooked', 113, join(Buffer.alloc(14), u16(0x0800), packet4)],
  ['Linux cooked, version 2', 276, join(u16(0x86dd), Buffer.alloc(18), packet6)],
  ['null, this order', 0, join([2, 0, 0, 0], packet4)],
  ['null, that order', 0, join([0, 0, 0, 30], packet6)],
  ['loopback', 108, join([0, 0, 0, 2], packet4)],
  ['raw', 101, packet4],
  ['raw, OpenBSD', 14, packet6],
  ['raw, older', 12, packet4],
  ['raw IPv4', 228, packet4],
  ['raw IPv6', 229, packet6],
  ['PPP', 9, join([0xff, 3, 0, 0x21], packet4)],
  ['PPP, compressed', 9, join([0x57], packet6)],
  ['Cisco HDLC', 104, join([0x0f, 0], u16(0x0800), packet4)],
  ['netfilter log', 239, join([2, 0, 0, 0], attribute(1, Buffer.alloc(5)), attribute(9, packet4))],
  ['802.11', 105, wifi(null, join(SNAP, packet4))],
  ['802.11 with QoS behind radiotap', 127, radiotap(wifi(0, join(SNAP, packet4)))],
  ['802.11 with a padded header', 127, radiotap(wifi(0, join([0, 0], SNAP, packet4)))],
  ['802.11 of four addresses', 105, wifi(null, join(Buffer.alloc(6), SNAP, packet4), 3)],
  ['802.11, aggregated', 105, wifi(0x80, aggregated)],
  ['802.11 behind PPI', 192, join([0, 0, 8, 0, 105, 0, 0, 0], wifi(null, join(SNAP, packet4)))],
  ['802.11 behind Prism', 119, join([0, 0, 0, 0, 144, 0, 0, 0], Buffer.alloc(136), wifi(null, join(SNAP, packet4)))],
  ['802.11 behind AVS', 163, join([0, 0, 0, 0, 0, 0, 0, 64], Buffer.alloc(56), wifi(null, join(SNAP, packet4)))],
]

for (const [name, linkType, frame] of CASES) {
  test(name, async () => {
    const { segments, source } = await readCapture(pcap([frame], { linkType }))
    assert.equal(textOf(segments, 0), 'hello', JSON.stringify(source.coverage()))
    assert.equal(segments[0].connection.serverPort, 80)
  })
}

test('a frame cut anywhere is counted or read, never a crash', async () => {
  for (const [name, linkType, frame] of CASES) {
    const cuts = Array.from({ length: frame.length }, (_, size) => frame.subarray(0, size))
    const { segments, source, code } = await readCapture(pcap(cuts, { linkType }))
    assert.equal(code, '', name)
    const counted = source.coverage().reduce((sum, row) => sum + row.count, 0)
    assert.ok(counted + segments.length >= cuts.length - 60, name)
  }
})

test('two packets of one aggregated frame', async () => {
  const other = ipv4({ protocol: 6 }, tcp({ from: 40_000, to: 80, seq: 6, data: ' world' }))
  const first = join(aggregated, Buffer.alloc((4 - (aggregated.length % 4)) % 4))
  const second = join(Buffer.alloc(12), u16(SNAP.length + other.length), SNAP, other)
  const { segments } = await readCapture(pcap([wifi(0x80, join(first, second))], { linkType: 105 }))
  assert.equal(textOf(segments, 0), 'hello world')
})

test('what is no IP is counted by what it is', async () => {
  const { skipped } = await readCapture(pcap([ethernet(0x0806, Buffer.alloc(28)), ethernet(0x8863, Buffer.alloc(40))]))
  assert.equal(skipped('not_ip').packets, 2)
  const air = await readCapture(
    pcap([join([0x80, 0], Buffer.alloc(40)), wifi(0, join(SNAP, packet4), 0x41)], { linkType: 105 }),
  )
  assert.deepEqual([air.skipped('not_ip').packets, air.skipped('encrypted').packets], [1, 1])
  const usb = await readCapture(pcap([Buffer.alloc(64)], { linkType: 220 }))
  assert.deepEqual(usb.skipped('unknown_link_type'), { packets: 1, bytes: 64 })
})

test('tags and frames within frames without end are given up', async () => {
  const deep = (make: (inside: Buffer) => Buffer, levels: number) => {
    let frame = ethernet(0x0800, packet4)
    for (let i = 0; i < levels; i++) frame = make(frame)
    return frame
  }
  const bridges = deep((inside) => ethernet(0x6558, inside), 4000)
  const backbones = deep((inside) => ethernet(0x88e7, join([0, 0, 0, 0], inside)), 4000)
  const tags = ethernet(0x8100, join(...Array.from({ length: 20_000 }, () => [0, 1, 0x81, 0]), [0, 1, 8, 0], packet4))
  const { segments, skipped, code } = await readCapture(pcap([bridges, backbones, tags]))
  assert.equal(code, '')
  assert.equal(skipped('tunnel_too_deep').packets, 2)
  assert.equal(textOf(segments, 0), 'hello')
})
