/** What lies between a captured record and IP: link headers, tags, labels. */
import type { Network } from './network.js'
import { frameBody } from './wifi.js'

/** Link types, from the registry of www.tcpdump.org/linktypes.html. */
const LINK_NULL = 0
const LINK_ETHERNET = 1
const LINK_PPP = 9
const LINK_RAW_OLD = 12
const LINK_RAW_BSD = 14
const LINK_PPP_HDLC = 50
const LINK_RAW = 101
const LINK_CHDLC = 104
const LINK_WIFI = 105
const LINK_LOOP = 108
const LINK_COOKED = 113
const LINK_WIFI_PRISM = 119
const LINK_WIFI_RADIOTAP = 127
const LINK_WIFI_AVS = 163
const LINK_PPI = 192
const LINK_IPV4 = 228
const LINK_IPV6 = 229
const LINK_NFLOG = 239
const LINK_COOKED2 = 276

const ETHER_IPV4 = 0x0800
const ETHER_BRIDGE = 0x6558
const ETHER_VLAN = 0x8100
const ETHER_IPV6 = 0x86dd
const ETHER_PPP = 0x880b
const ETHER_WCCP = 0x883e
const ETHER_MPLS = 0x8847
const ETHER_MPLS_MULTICAST = 0x8848
const ETHER_PPPOE = 0x8864
const ETHER_QINQ = 0x88a8
const ETHER_BACKBONE = 0x88e7
const ETHER_CISCO_META = 0x8909
const ETHER_VN_TAG = 0x8926
const ETHER_E_TAG = 0x893f
const ETHER_NSH = 0x894f
const ETHER_QINQ_OLD = 0x9100
const ETHER_QINQ_OLD2 = 0x9200

export class LinkLayers {
  readonly #network: Network

  constructor(network: Network) {
    this.#network = network
  }

  frame(linkType: number, bytes: Buffer, start: number, end: number, wireEnd: number): void {
    switch (linkType) {
      case LINK_ETHERNET:
        return this.ethernet(bytes, start, end, wireEnd)
      case LINK_RAW:
      case LINK_RAW_OLD:
      case LINK_RAW_BSD:
      case LINK_IPV4:
      case LINK_IPV6:
        return this.#network.ip(bytes, start, end, wireEnd)
      case LINK_NULL:
      case LINK_LOOP:
        // The address family, in the byte order of the host or of the network; the IP version says the same.
        return this.#network.ip(bytes, start + 4, end, wireEnd)
      case LINK_COOKED:
        if (end - start < 16) return this.#malformed(start, end)
        return this.ether(u16(bytes, start + 14), bytes, start + 16, end, wireEnd)
      case LINK_COOKED2:
        if (end - start < 20) return this.#malformed(start, end)
        return this.ether(u16(bytes, start), bytes, start + 20, end, wireEnd)
      case LINK_NFLOG:
        return this.#nflog(bytes, start, end, wireEnd)
      case LINK_CHDLC:
        if (end - start < 4) return this.#malformed(start, end)
        return this.ether(u16(bytes, start + 2), bytes, start + 4, end, wireEnd)
      case LINK_PPP:
      case LINK_PPP_HDLC:
        return this.ppp(bytes, start, end, wireEnd)
      case LINK_WIFI:
      case LINK_WIFI_PRISM:
      case LINK_WIFI_RADIOTAP:
      case LINK_WIFI_AVS:
      case LINK_PPI:
        return this.#monitored(linkType, bytes, start, end, wireEnd)
      default:
        this.#network.skip('unknown_link_type', end - start)
    }
  }

  ethernet(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (end - at < 14) return this.#malformed(at, end)
    if (!this.#network.enter(end - at)) return
    const type = u16(bytes, at + 12)
    if (type >= 0x0600) this.ether(type, bytes, at + 14, end, wireEnd)
    else this.llc(bytes, at + 14, end, wireEnd)
  }

  /** IEEE 802.2: SNAP (aa aa 03, organisation) holds an EtherType again, 06 06 03 is IP. */
  llc(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (end - at >= 8 && bytes[at] === 0xaa && bytes[at + 1] === 0xaa) {
      return this.ether(u16(bytes, at + 6), bytes, at + 8, end, wireEnd)
    }
    if (end - at >= 3 && bytes[at] === 6 && bytes[at + 1] === 6) return this.#network.ip(bytes, at + 3, end, wireEnd)
    this.#network.skip('not_ip', end - at)
  }

  ether(type: number, bytes: Buffer, at: number, end: number, wireEnd: number): void {
    let kind = type
    let from = at
    for (let size = tagBytes(kind); size > 0; size = tagBytes(kind)) {
      from += size
      if (from > end) return this.#malformed(at, end)
      kind = u16(bytes, from - 2)
    }
    switch (kind) {
      case ETHER_IPV4:
      case ETHER_IPV6:
        return this.#network.ip(bytes, from, end, wireEnd)
      case ETHER_MPLS:
      case ETHER_MPLS_MULTICAST:
        return this.mpls(bytes, from, end, wireEnd)
      case ETHER_PPPOE:
        return this.pppoe(bytes, from, end, wireEnd)
      case ETHER_PPP:
        return this.ppp(bytes, from, end, wireEnd)
      case ETHER_BRIDGE:
        return this.ethernet(bytes, from, end, wireEnd)
      case ETHER_BACKBONE:
        // IEEE 802.1ah: flags and service identifier, then the customer's frame.
        return this.ethernet(bytes, from + 4, end, wireEnd)
      case ETHER_NSH:
        return this.nsh(bytes, from, end, wireEnd)
      case ETHER_WCCP:
        // Version 2 puts a redirect header of 4 bytes before the packet.
        return this.#network.ip(bytes, bytes[from] >> 4 === 4 ? from : from + 4, end, wireEnd)
      default:
        this.#network.skip('not_ip', end - at)
    }
  }

  /** RFC 3032: labels of 4 bytes until the bottom-of-stack bit; what follows shows itself by its first nibble. */
  mpls(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    let from = at
    while (from + 4 <= end && (bytes[from + 2] & 1) === 0) from += 4
    from += 4
    if (from >= end) return this.#malformed(at, end)
    const nibble = bytes[from] >> 4
    if (nibble === 4 || nibble === 6) return this.#network.ip(bytes, from, end, wireEnd)
    // Ethernet pseudowire, with the control word of RFC 4448 where the first nibble is 0.
    this.ethernet(bytes, nibble === 0 ? from + 4 : from, end, wireEnd)
  }

  /** RFC 8300: the low 6 bits of the first word's second byte are the header's length in words. */
  nsh(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (at + 8 > end) return this.#malformed(at, end)
    const inside = at + (bytes[at + 1] & 0x3f) * 4
    if (inside < at + 8 || inside >= end) return this.#malformed(at, end)
    this.byNextProtocol(bytes[at + 3], bytes, inside, end, wireEnd)
  }

  /** The numbers that NSH and VXLAN-GPE share. */
  byNextProtocol(protocol: number, bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (protocol === 1 || protocol === 2) return this.#network.ip(bytes, at, end, wireEnd)
    if (protocol === 3) return this.ethernet(bytes, at, end, wireEnd)
    if (protocol === 5) return this.mpls(bytes, at, end, wireEnd)
    this.#network.skip('not_ip', end - at)
  }

  /** RFC 2516: version, code (0 = data), session, length. The length excludes what pads the Ethernet frame. */
  pppoe(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (at + 6 > end) return this.#malformed(at, end)
    if (bytes[at + 1] !== 0) return this.#network.skip('not_ip', end - at)
    const limit = at + 6 + u16(bytes, at + 4)
    this.ppp(bytes, at + 6, Math.min(end, limit), Math.min(wireEnd, limit))
  }

  ppp(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    let from = at
    if (from + 2 <= end && bytes[from] === 0xff && bytes[from + 1] === 0x03) from += 2
    if (from + 2 > end) return this.#malformed(at, end)
    // RFC 1661 section 6.5: an odd first byte is a protocol number compressed to one byte.
    const short = (bytes[from] & 1) === 1
    const protocol = short ? bytes[from] : u16(bytes, from)
    from += short ? 1 : 2
    if (protocol === 0x21 || protocol === 0x57) return this.#network.ip(bytes, from, end, wireEnd)
    if (protocol === 0x281) return this.mpls(bytes, from, end, wireEnd)
    this.#network.skip('not_ip', end - at)
  }

  /** A frame of IEEE 802.11, as captured on air or tunnelled by an access point. */
  wifi(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (!this.#network.enter(end - at)) return
    const body = frameBody(bytes, at, end)
    if (body.at < 0) return this.#network.skip(body.reason, end - at)
    if (!body.aggregated) return this.llc(bytes, body.at, end, wireEnd)
    // A-MSDU: subframes of target, source, length and payload, each but the last padded to 4 bytes.
    for (let from = body.at; from + 14 < end; ) {
      const size = u16(bytes, from + 12)
      const inside = from + 14
      this.llc(bytes, inside, Math.min(end, inside + size), inside + size)
      from = from + ((14 + size + 3) & ~3)
    }
  }

  /** 802.11 behind what the driver says of its reception; each form of it tells its own length. */
  #monitored(linkType: number, bytes: Buffer, start: number, end: number, wireEnd: number): void {
    if (linkType === LINK_WIFI) return this.wifi(bytes, start, end, wireEnd)
    if (end - start < 8) return this.#malformed(start, end)
    let size = bytes[start + 2] | (bytes[start + 3] << 8)
    if (linkType === LINK_WIFI_PRISM) size = bytes[start + 4] | (bytes[start + 5] << 8)
    else if (linkType === LINK_WIFI_AVS) size = u16(bytes, start + 6)
    if (size < 8 || start + size >= end) return this.#malformed(start, end)
    if (linkType !== LINK_PPI) return this.wifi(bytes, start + size, end, wireEnd)
    const inner = bytes[start + 4] | (bytes[start + 5] << 8)
    if (!this.#network.enter(end - start)) return
    this.frame(inner, bytes, start + size, end, wireEnd)
  }

  /** Linux netfilter log: a 4-byte header, then attributes in the byte order of the host; number 9 is the packet. */
  #nflog(bytes: Buffer, start: number, end: number, wireEnd: number): void {
    for (let at = start + 4; at + 4 <= end; ) {
      // The attribute numbers are small: the byte that is 0 in them tells the order.
      const little = bytes[at + 3] === 0
      const size = little ? bytes[at] | (bytes[at + 1] << 8) : u16(bytes, at)
      const type = little ? bytes[at + 2] : u16(bytes, at + 2)
      if (size < 4) break
      const limit = at + size
      if (type === 9) {
        return this.#network.ip(bytes, at + 4, Math.min(end, limit), Math.max(wireEnd - end + limit, at + 4))
      }
      at += (size + 3) & ~3
    }
    this.#malformed(start, end)
  }

  #malformed(at: number, end: number): void {
    this.#network.skip('malformed', end - at)
  }
}

/** Bytes from behind this EtherType to behind the next one, where it is that of a tag; else 0. */
function tagBytes(type: number): number {
  switch (type) {
    case ETHER_VLAN:
    case ETHER_QINQ:
    case ETHER_QINQ_OLD:
    case ETHER_QINQ_OLD2:
      return 4
    case ETHER_VN_TAG:
      return 6
    case ETHER_E_TAG:
    case ETHER_CISCO_META:
      // Cisco's: version, length, option, tag.
      return 8
    default:
      return 0
  }
}

function u16(bytes: Buffer, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}
