import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ethernet, ipv4, ipv6, pcap, readCapture, tcp, textOf, u16, udp } from '../../../test/fakes/packets.js'

const join = (...parts: (Buffer | number[])[]) => Buffer.concat(parts.map((part) => Buffer.from(part)))
const inner4 = ipv4({ protocol: 6, source: '172.16.0.1' }, tcp({ from: 40_000, to: 80, seq: 1, data: 'hello' }))
const inner6 = ipv6(6, tcp({ from: 40_000, to: 80, seq: 1, data: 'hello' }), '2001:0:1::1')
const frame = ethernet(0x0800, inner4)
const gre = (flags: number, type: number, ...rest: Buffer[]) =>
  ipv4({ protocol: 47 }, join(u16(flags), u16(type), ...rest))
const overUdp = (port: number, ...rest: (Buffer | number[])[]) =>
  ipv4({ protocol: 17 }, udp(55_555, port, join(...rest)))

const CASES: [name: string, packet: Buffer][] = [
  ['IPv4 in IPv4', ipv4({ protocol: 4 }, inner4)],
  ['IPv6 in IPv4', ipv4({ protocol: 41 }, inner6)],
  ['three levels', ipv4({ protocol: 4 }, ipv4({ protocol: 41 }, ipv6(4, inner4)))],
  ['authenticated (AH)', ipv4({ protocol: 51 }, join([4, 4], Buffer.alloc(22), inner4))],
  ['GRE', gre(0, 0x0800, inner4)],
  ['GRE with checksum, key and number', gre(0xb000, 0x86dd, Buffer.alloc(12), inner6)],
  ['GRE around a frame', gre(0x2000, 0x6558, Buffer.alloc(4), frame)],
  ['PPTP', gre(0x3081, 0x880b, Buffer.alloc(12), join([0xff, 3, 0, 0x21], inner4))],
  ['ERSPAN I', gre(0, 0x88be, frame)],
  ['ERSPAN II', gre(0x1000, 0x88be, Buffer.alloc(4), Buffer.alloc(8), frame)],
  ['ERSPAN III', gre(0x1000, 0x22eb, Buffer.alloc(4), Buffer.alloc(12), frame)],
  [
    'ERSPAN III with its subheader',
    gre(0x1000, 0x22eb, Buffer.alloc(4), join(Buffer.alloc(11), [1]), Buffer.alloc(8), frame),
  ],
  ['Aruba', gre(0, 0x8200, join([8, 1], Buffer.alloc(22), [0xaa, 0xaa, 3, 0, 0, 0, 8, 0], inner4))],
  ['WCCP 2', gre(0, 0x883e, Buffer.alloc(4), inner4)],
  ['VXLAN', overUdp(4789, [8, 0, 0, 0, 0, 0, 1, 0], frame)],
  ['VXLAN, Linux port', overUdp(8472, [8, 0, 0, 0, 0, 0, 1, 0], frame)],
  ['VXLAN-GPE', overUdp(4790, [0x0c, 0, 0, 1, 0, 0, 1, 0], inner4)],
  ['VXLAN-GPE with a service header', overUdp(4790, [0x0c, 0, 0, 4, 0, 0, 1, 0], [0, 2, 1, 3, 0, 0, 0, 0], frame)],
  ['GENEVE with options', overUdp(6081, [2, 0, 0x65, 0x58, 0, 0, 1, 0], Buffer.alloc(8), frame)],
  ['GTP-U', overUdp(2152, [0x30, 255], u16(inner4.length), Buffer.alloc(4), inner4)],
  [
    'GTP-U with numbers and extensions',
    overUdp(2152, [0x34, 255, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0x85], [1, 0, 0, 0], inner6),
  ],
  ['Teredo', overUdp(3544, inner6)],
  ['Teredo with authentication and origin', overUdp(3544, [0, 1, 0, 0], Buffer.alloc(9), Buffer.alloc(8), inner6)],
  ['Teredo between peers', overUdp(1234, inner6)],
  ['GRE over UDP', overUdp(4754, [0, 0, 8, 0], inner4)],
  ['AYIYA', overUdp(5072, [0x44, 0x52, 0x11, 0x29], Buffer.alloc(4), Buffer.alloc(16 + 20), inner6)],
]

for (const [name, packet] of CASES) {
  test(name, async () => {
    const { segments, source } = await readCapture(pcap([ethernet(0x0800, packet)]))
    assert.equal(textOf(segments, 0), 'hello', JSON.stringify(source.coverage()))
    assert.equal(segments.length, 1)
    assert.notEqual(segments[0].connection.clientIp, '10.0.0.1')
  })
}

test('a tunnel cut anywhere is counted or read, never a crash', async () => {
  for (const [name, packet] of CASES) {
    const whole = ethernet(0x0800, packet)
    const cuts = Array.from({ length: whole.length }, (_, captured) => ({ bytes: whole, captured }))
    const { code } = await readCapture(pcap(cuts))
    assert.equal(code, '', name)
  }
})

test('a port of a tunnel without one inside is a datagram like others', async () => {
  for (const port of [4789, 4790, 6081, 2152, 3544, 4754, 5072, 8472]) {
    const { segments } = await readCapture(
      pcap([ethernet(0x0800, overUdp(port, Buffer.from('\xff just text', 'latin1')))]),
    )
    assert.equal(segments.length, 1, String(port))
    assert.equal(segments[0].connection.transport, 'udp')
    assert.equal(segments[0].payload.length, 11)
  }
})
