/**
 * From link layer to TCP and UDP: finds the innermost IP packet of a record, through VLAN tags and the usual tunnels, and
 * hands its transport header to the trackers. Checksums are not verified: with offloading, captures hold wrong ones.
 */

import type { PacketRecord } from './capture_file.js'
import { FragmentTable } from './fragments.js'
import type { SkipCounter } from './skipped.js'

/** Where a transport header lies; one object, reused for every packet. */
export class TransportPacket {
  bytes: Buffer = Buffer.alloc(0)
  sourceAt = 0
  targetAt = 0
  /** 4 or 16. */
  addressSize = 4
  /** Start of the TCP or UDP header, end of the captured bytes, end of what was on the wire. */
  start = 0
  end = 0
  wireEnd = 0
  timeUs = 0
  timeRestNs = 0
}

export interface TransportHandler {
  tcp(packet: TransportPacket): void
  udp(packet: TransportPacket): void
}

/** Link types, from the registry of www.tcpdump.org/linktypes.html. */
const LINK_NULL = 0
const LINK_ETHERNET = 1
const LINK_PPP = 9
const LINK_RAW_OLD = 12
const LINK_RAW_BSD = 14
const LINK_PPP_HDLC = 50
const LINK_RAW = 101
const LINK_CHDLC = 104
const LINK_LOOP = 108
const LINK_COOKED = 113
const LINK_IPV4 = 228
const LINK_IPV6 = 229
const LINK_COOKED2 = 276
const LINK_NFLOG = 239

const ETHER_IPV4 = 0x0800
const ETHER_IPV6 = 0x86dd
const ETHER_VLAN = 0x8100
const ETHER_QINQ = 0x88a8
const ETHER_QINQ_OLD = 0x9100
const ETHER_MPLS = 0x8847
const ETHER_MPLS_MULTICAST = 0x8848
const ETHER_PPPOE = 0x8864
const ETHER_BRIDGE = 0x6558
const ETHER_ERSPAN2 = 0x88be
const ETHER_ERSPAN3 = 0x22eb
const ETHER_PPP = 0x880b
const ETHER_CISCO_META = 0x8909

const IP_TCP = 6
const IP_UDP = 17
const IP_IPV4 = 4
const IP_IPV6 = 41
const IP_GRE = 47

const PORT_VXLAN = 4789
const PORT_VXLAN_OLD = 8472
const PORT_GENEVE = 6081
const PORT_GTP = 2152
const PORT_TEREDO = 3544
const PORT_GRE = 4754
const PORT_AYIYA = 5072

/** Tunnels within tunnels; real ones have two or three levels. */
const DEPTH_MAX = 8

export class Dissector {
  readonly #handler: TransportHandler
  readonly #skipped: SkipCounter
  readonly #fragments = new FragmentTable()
  readonly #transport = new TransportPacket()
  #depth = 0

  constructor(handler: TransportHandler, skipped: SkipCounter) {
    this.#handler = handler
    this.#skipped = skipped
  }

  packet(record: PacketRecord): void {
    const { bytes, start, end } = record
    const wireEnd = start + record.wireLength
    const transport = this.#transport
    transport.timeUs = record.timeUs
    transport.timeRestNs = record.timeRestNs
    this.#depth = 0
    switch (record.linkType) {
      case LINK_ETHERNET:
        return this.#ethernet(bytes, start, end, wireEnd)
      case LINK_RAW:
      case LINK_RAW_OLD:
      case LINK_RAW_BSD:
      case LINK_IPV4:
      case LINK_IPV6:
        return this.#ip(bytes, start, end, wireEnd)
      case LINK_NULL:
      case LINK_LOOP:
        return this.#ip(bytes, start + 4, end, wireEnd)
      case LINK_COOKED:
        if (end - start < 16) return this.#skip('malformed', end - start)
        return this.#ether(u16(bytes, start + 14), bytes, start + 16, end, wireEnd)
      case LINK_COOKED2:
        if (end - start < 20) return this.#skip('malformed', end - start)
        return this.#ether(u16(bytes, start), bytes, start + 20, end, wireEnd)
      case LINK_NFLOG:
        return this.#nflog(bytes, start, end, wireEnd)
      case LINK_CHDLC:
        if (end - start < 4) return this.#skip('malformed', end - start)
        return this.#ether(u16(bytes, start + 2), bytes, start + 4, end, wireEnd)
      case LINK_PPP:
      case LINK_PPP_HDLC:
        return this.#ppp(bytes, start, end, wireEnd)
      default:
        this.#skip('unknown_link_type', end - start)
    }
  }

  /** Datagrams whose fragments never became whole, counted at the end of the capture. */
  finish(): void {
    for (const size of this.#fragments.drop()) this.#skip('fragment_incomplete', size)
  }

  #skip(reason: Parameters<SkipCounter['count']>[0], size: number): void {
    this.#skipped.count(reason, Math.max(size, 0))
  }

  #ethernet(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (end - at < 14) return this.#skip('malformed', end - at)
    const type = u16(bytes, at + 12)
    if (type >= 0x0600) return this.#ether(type, bytes, at + 14, end, wireEnd)
    // IEEE 802.3 length: LLC, and SNAP (aa aa 03 + organisation) holds an EtherType again.
    if (end - at >= 22 && bytes[at + 14] === 0xaa && bytes[at + 15] === 0xaa) {
      return this.#ether(u16(bytes, at + 20), bytes, at + 22, end, wireEnd)
    }
    this.#skip('not_ip', end - at)
  }

  #ether(type: number, bytes: Buffer, at: number, end: number, wireEnd: number): void {
    let kind = type
    let from = at
    while (kind === ETHER_VLAN || kind === ETHER_QINQ || kind === ETHER_QINQ_OLD) {
      if (from + 4 > end) return this.#skip('malformed', end - at)
      kind = u16(bytes, from + 2)
      from += 4
    }
    switch (kind) {
      case ETHER_IPV4:
      case ETHER_IPV6:
        return this.#ip(bytes, from, end, wireEnd)
      case ETHER_MPLS:
      case ETHER_MPLS_MULTICAST:
        return this.#mpls(bytes, from, end, wireEnd)
      case ETHER_PPPOE:
        return this.#ppp(bytes, from + 6, end, wireEnd)
      case ETHER_PPP:
        return this.#ppp(bytes, from, end, wireEnd)
      case ETHER_BRIDGE:
        return this.#inner(() => this.#ethernet(bytes, from, end, wireEnd), end - from)
      case ETHER_CISCO_META:
        // Version, length in 4-byte words, options, then the EtherType.
        if (from + 8 > end) return this.#skip('malformed', end - at)
        return this.#ether(u16(bytes, from + 6), bytes, from + 8, end, wireEnd)
      default:
        this.#skip('not_ip', end - at)
    }
  }

  #inner(go: () => void, size: number): void {
    if (this.#depth >= DEPTH_MAX) return this.#skip('tunnel_too_deep', size)
    this.#depth += 1
    go()
  }

  /** Linux netfilter log: a 4-byte header, then attributes in the byte order of the host; number 9 is the packet. */
  #nflog(bytes: Buffer, start: number, end: number, wireEnd: number): void {
    for (let at = start + 4; at + 4 <= end; ) {
      // The length includes its own header and tells the order: a short attribute has a small number in it.
      const little = bytes[at + 3] === 0
      const size = little ? bytes[at] | (bytes[at + 1] << 8) : u16(bytes, at)
      const type = little ? bytes[at + 2] : u16(bytes, at + 2)
      if (size < 4) break
      if (type === 9)
        return this.#ip(bytes, at + 4, Math.min(end, at + size), Math.max(wireEnd - end + at + size, at + 4))
      at += (size + 3) & ~3
    }
    this.#skip('malformed', end - start)
  }

  /** RFC 3032: labels of 4 bytes until the bottom-of-stack bit; what follows shows itself by its first nibble. */
  #mpls(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    let from = at
    while (from + 4 <= end && (bytes[from + 2] & 1) === 0) from += 4
    from += 4
    if (from >= end) return this.#skip('malformed', end - at)
    const nibble = bytes[from] >> 4
    if (nibble === 4 || nibble === 6) return this.#ip(bytes, from, end, wireEnd)
    // Ethernet pseudowire, with the control word of RFC 4448 where the first nibble is 0.
    const frame = nibble === 0 ? from + 4 : from
    this.#inner(() => this.#ethernet(bytes, frame, end, wireEnd), end - at)
  }

  #ppp(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    let from = at
    if (from + 2 <= end && bytes[from] === 0xff && bytes[from + 1] === 0x03) from += 2
    if (from + 2 > end) return this.#skip('malformed', end - at)
    // RFC 1661 section 6.5: an odd first byte is a protocol number compressed to one byte.
    const short = (bytes[from] & 1) === 1
    const protocol = short ? bytes[from] : u16(bytes, from)
    from += short ? 1 : 2
    if (protocol === 0x21 || protocol === 0x57) return this.#ip(bytes, from, end, wireEnd)
    if (protocol === 0x281) return this.#mpls(bytes, from, end, wireEnd)
    this.#skip('not_ip', end - at)
  }

  #ip(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (at >= end) return this.#skip('malformed', 0)
    if (this.#depth++ >= DEPTH_MAX) return this.#skip('tunnel_too_deep', end - at)
    const version = bytes[at] >> 4
    if (version === 4) this.#ipv4(bytes, at, end, wireEnd)
    else if (version === 6) this.#ipv6(bytes, at, end, wireEnd)
    else this.#skip('not_ip', end - at)
  }

  #ipv4(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    const header = (bytes[at] & 15) * 4
    if (header < 20 || at + header > end) return this.#skip('malformed', end - at)
    const total = u16(bytes, at + 2)
    // With segmentation offload the kernel leaves the total length 0: the record's end is all there is.
    const packetEnd = total === 0 ? wireEnd : at + total
    if (total !== 0 && total < header) return this.#skip('malformed', end - at)
    const protocol = bytes[at + 9]
    const fragment = u16(bytes, at + 6)
    const transport = this.#transport
    if ((fragment & 0x3fff) !== 0) {
      const payload = bytes.subarray(at + header, Math.min(end, packetEnd))
      const key = `${bytes.toString('latin1', at + 12, at + 20)}${protocol},${u16(bytes, at + 4)}`
      const head = bytes.subarray(at, at + header)
      const offset = (fragment & 0x1fff) * 8
      const more = (fragment & 0x2000) !== 0
      const whole = this.#fragments.add(key, head, offset, more, payload, transport.timeUs)
      for (const size of this.#fragments.takeDropped()) this.#skip('fragment_incomplete', size)
      if (whole === null) return
      return this.#transportAt(protocol, whole, 12, 16, 4, header, whole.length, whole.length)
    }
    this.#transportAt(protocol, bytes, at + 12, at + 16, 4, at + header, Math.min(end, packetEnd), packetEnd)
  }

  #ipv6(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (at + 40 > end) return this.#skip('malformed', end - at)
    const length = u16(bytes, at + 4)
    const packetEnd = length === 0 ? wireEnd : at + 40 + length
    const limit = Math.min(end, packetEnd)
    let next = bytes[at + 6]
    let from = at + 40
    for (let hops = 0; hops < 16; hops++) {
      if (next === 0 || next === 43 || next === 60 || next === 135 || next === 139 || next === 140) {
        // Hop-by-hop, routing, destination options, mobility: next header and length in 8-byte units.
        if (from + 2 > limit) return this.#skip('malformed', end - at)
        next = bytes[from]
        from += (bytes[from + 1] + 1) * 8
      } else if (next === 51) {
        if (from + 2 > limit) return this.#skip('malformed', end - at)
        next = bytes[from]
        from += (bytes[from + 1] + 2) * 4
      } else if (next === 44) {
        if (from + 8 > limit) return this.#skip('malformed', end - at)
        const field = u16(bytes, from + 2)
        const id = bytes.toString('latin1', from + 4, from + 8)
        next = bytes[from]
        from += 8
        // An atomic fragment (offset 0, no more) is a whole datagram, RFC 6946.
        if ((field & 0xfff9) === 0) continue
        const key = `${bytes.toString('latin1', at + 8, at + 40)}${id}`
        const head = bytes.subarray(at, at + 40)
        const payload = bytes.subarray(from, limit)
        const whole = this.#fragments.add(key, head, field & 0xfff8, (field & 1) === 1, payload, this.#transport.timeUs)
        for (const size of this.#fragments.takeDropped()) this.#skip('fragment_incomplete', size)
        if (whole === null) return
        return this.#transportAt(next, whole, 8, 24, 16, 40, whole.length, whole.length)
      } else {
        return this.#transportAt(next, bytes, at + 8, at + 24, 16, from, limit, packetEnd)
      }
    }
    this.#skip('malformed', end - at)
  }

  #transportAt(
    protocol: number,
    bytes: Buffer,
    sourceAt: number,
    targetAt: number,
    addressSize: number,
    start: number,
    end: number,
    wireEnd: number,
  ): void {
    const transport = this.#transport
    transport.bytes = bytes
    transport.sourceAt = sourceAt
    transport.targetAt = targetAt
    transport.addressSize = addressSize
    transport.start = start
    transport.end = end
    transport.wireEnd = wireEnd
    switch (protocol) {
      case IP_TCP:
        if (end - start < 20) return this.#skip('malformed', end - start)
        return this.#handler.tcp(transport)
      case IP_UDP:
        if (end - start < 8) return this.#skip('malformed', end - start)
        if (this.#tunnelOverUdp(bytes, start, end, wireEnd)) return
        // A tunnel may have been tried and left the object pointing at its inside.
        return this.#handler.udp(transport)
      case IP_IPV4:
      case IP_IPV6:
        return this.#ip(bytes, start, end, wireEnd)
      case IP_GRE:
        return this.#gre(bytes, start, end, wireEnd)
      default:
        this.#skip('other_transport', end - start)
    }
  }

  /** RFC 2784 and 2890, version 1 as in RFC 2637 (PPTP), and ERSPAN above it. */
  #gre(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (at + 4 > end) return this.#skip('malformed', end - at)
    const flags = u16(bytes, at)
    const type = u16(bytes, at + 2)
    let from = at + 4
    if (flags & 0x8000) from += 4
    if (flags & 0x2000) from += 4
    if (flags & 0x1000) from += 4
    if ((flags & 7) === 1 && flags & 0x0080) from += 4
    if (from >= end) return this.#skip('malformed', end - at)
    if (type === ETHER_ERSPAN2) {
      // Type I has no header of its own and then no sequence number either.
      const header = flags & 0x1000 ? 8 : 0
      return this.#inner(() => this.#ethernet(bytes, from + header, end, wireEnd), end - at)
    }
    if (type === ETHER_ERSPAN3) {
      const subHeader = from + 12 <= end && bytes[from + 11] & 1 ? 8 : 0
      return this.#inner(() => this.#ethernet(bytes, from + 12 + subHeader, end, wireEnd), end - at)
    }
    this.#ether(type, bytes, from, end, wireEnd)
  }

  /** True where the datagram was a tunnel's and its inside has been handled. Ports alone do not decide: the inside must fit. */
  #tunnelOverUdp(bytes: Buffer, at: number, end: number, wireEnd: number): boolean {
    const source = u16(bytes, at)
    const target = u16(bytes, at + 2)
    const body = at + 8
    if (target === PORT_VXLAN || target === PORT_VXLAN_OLD) {
      if (end - body < 8 + 14 || (bytes[body] & 0x08) === 0 || !this.#holdsEther(bytes, body + 8, end)) return false
      this.#inner(() => this.#ethernet(bytes, body + 8, end, wireEnd), end - body)
      return true
    }
    if (target === PORT_GENEVE) {
      if (end - body < 8 || bytes[body] >> 6 !== 0) return false
      const inside = body + 8 + (bytes[body] & 0x3f) * 4
      if (inside >= end) return false
      this.#ether(u16(bytes, body + 2), bytes, inside, end, wireEnd)
      return true
    }
    if (target === PORT_GTP || source === PORT_GTP) {
      // 3GPP TS 29.281: version 1, message type 255 = user data.
      if (end - body < 8 || bytes[body] >> 5 !== 1 || bytes[body + 1] !== 255) return false
      let inside = body + 8
      if (bytes[body] & 0x07) {
        let next = bytes[body + 11]
        inside += 4
        while (next !== 0 && inside < end && bytes[inside] !== 0) {
          const size = bytes[inside] * 4
          next = bytes[inside + size - 1]
          inside += size
        }
      }
      if (inside >= end || !this.#holdsIp(bytes, inside, end)) return false
      this.#ip(bytes, inside, end, wireEnd)
      return true
    }
    if (target === PORT_TEREDO || source === PORT_TEREDO) {
      // RFC 4380 section 5.1.1: optional authentication and origin indications before the IPv6 packet.
      let inside = body
      if (inside + 13 <= end && bytes[inside] === 0 && bytes[inside + 1] === 1) {
        inside += 13 + bytes[inside + 2] + bytes[inside + 3]
      }
      if (inside + 8 <= end && bytes[inside] === 0 && bytes[inside + 1] === 0) inside += 8
      if (inside + 40 > end || bytes[inside] >> 4 !== 6) return false
      this.#ip(bytes, inside, end, wireEnd)
      return true
    }
    if (this.#isDirectTeredo(bytes, body, end)) {
      this.#ip(bytes, body, end, wireEnd)
      return true
    }
    if (target === PORT_GRE && end - body > 8 && (bytes[body] & 0x4f) === 0 && this.#isGreType(u16(bytes, body + 2))) {
      this.#gre(bytes, body, end, wireEnd)
      return true
    }
    if ((target === PORT_AYIYA || source === PORT_AYIYA) && end - body > 8) {
      // Anything In Anything: identity of 2^n bytes and signature of m words between the header and the packet.
      const inside = body + 8 + (1 << (bytes[body] >> 4)) + (bytes[body + 1] >> 4) * 4
      if (inside >= end || !this.#holdsIp(bytes, inside, end)) return false
      this.#ip(bytes, inside, end, wireEnd)
      return true
    }
    return false
  }

  /** Teredo peers talk from any port: an IPv6 packet of just this size, one of whose ends is in 2001::/32. */
  #isDirectTeredo(bytes: Buffer, at: number, end: number): boolean {
    if (end - at < 40 || bytes[at] >> 4 !== 6 || u16(bytes, at + 4) !== end - at - 40) return false
    return isTeredoAddress(bytes, at + 8) || isTeredoAddress(bytes, at + 24)
  }

  #isGreType(type: number): boolean {
    return type === ETHER_IPV4 || type === ETHER_IPV6 || type === ETHER_BRIDGE
  }

  #holdsEther(bytes: Buffer, at: number, end: number): boolean {
    return at + 14 <= end && u16(bytes, at + 12) >= 0x0600
  }

  #holdsIp(bytes: Buffer, at: number, end: number): boolean {
    const version = bytes[at] >> 4
    return (version === 4 && at + 20 <= end) || (version === 6 && at + 40 <= end)
  }
}

function isTeredoAddress(bytes: Buffer, at: number): boolean {
  return bytes[at] === 0x20 && bytes[at + 1] === 0x01 && bytes[at + 2] === 0 && bytes[at + 3] === 0
}

function u16(bytes: Buffer, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}
