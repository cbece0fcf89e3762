/** Tunnels over IP and UDP whose inside is what klartext wants to see. */
import type { LinkLayers } from './link_layers.js'
import type { Network } from './network.js'

const GRE_ERSPAN1_2 = 0x88be
const GRE_ERSPAN3 = 0x22eb
/** Aruba access points tunnel 802.11 frames; the last digits are the queue. */
const GRE_ARUBA_FIRST = 0x8200
const GRE_ARUBA_LAST = 0x8370
const GRE_IPV4 = 0x0800
const GRE_IPV6 = 0x86dd
const GRE_BRIDGE = 0x6558

const PORT_GTP = 2152
const PORT_TEREDO = 3544
const PORT_GRE = 4754
const PORT_VXLAN = 4789
const PORT_VXLAN_GPE = 4790
const PORT_AYIYA = 5072
const PORT_GENEVE = 6081
/** Linux's and Flannel's VXLAN before the number was assigned. */
const PORT_VXLAN_OLD = 8472

export class Tunnels {
  readonly #network: Network
  readonly #links: LinkLayers

  constructor(network: Network, links: LinkLayers) {
    this.#network = network
    this.#links = links
  }

  /** RFC 2784 and 2890, version 1 as in RFC 2637 (PPTP), and ERSPAN above it. */
  gre(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (at + 4 > end) return this.#network.skip('malformed', end - at)
    const flags = u16(bytes, at)
    const type = u16(bytes, at + 2)
    let from = at + 4
    if (flags & 0x8000) from += 4
    if (flags & 0x2000) from += 4
    if (flags & 0x1000) from += 4
    if ((flags & 7) === 1 && flags & 0x0080) from += 4
    if (from >= end) return this.#network.skip('malformed', end - at)
    if (type === GRE_ERSPAN1_2) {
      // Type I has no header of its own and then no sequence number either.
      return this.#links.ethernet(bytes, flags & 0x1000 ? from + 8 : from, end, wireEnd)
    }
    if (type === GRE_ERSPAN3) {
      const subHeader = from + 12 <= end && bytes[from + 11] & 1 ? 8 : 0
      return this.#links.ethernet(bytes, from + 12 + subHeader, end, wireEnd)
    }
    if (type >= GRE_ARUBA_FIRST && type <= GRE_ARUBA_LAST) return this.#links.wifi(bytes, from, end, wireEnd)
    this.#links.ether(type, bytes, from, end, wireEnd)
  }

  /** True where the datagram was a tunnel's and its inside has been handled. Ports alone do not decide: the inside must fit. */
  udp(bytes: Buffer, at: number, end: number, wireEnd: number): boolean {
    const source = u16(bytes, at)
    const target = u16(bytes, at + 2)
    const body = at + 8
    switch (target) {
      case PORT_VXLAN:
      case PORT_VXLAN_OLD:
        return this.#vxlan(bytes, body, end, wireEnd)
      case PORT_VXLAN_GPE:
        return this.#vxlanGpe(bytes, body, end, wireEnd)
      case PORT_GENEVE:
        return this.#geneve(bytes, body, end, wireEnd)
      case PORT_GRE:
        return this.#greOverUdp(bytes, body, end, wireEnd)
    }
    if (target === PORT_GTP || source === PORT_GTP) return this.#gtp(bytes, body, end, wireEnd)
    if (target === PORT_TEREDO || source === PORT_TEREDO) return this.#teredo(bytes, body, end, wireEnd)
    if (target === PORT_AYIYA || source === PORT_AYIYA) return this.#ayiya(bytes, body, end, wireEnd)
    if (!isDirectTeredo(bytes, body, end)) return false
    this.#network.ip(bytes, body, end, wireEnd)
    return true
  }

  /** RFC 7348: flags with the I bit, network identifier, frame. */
  #vxlan(bytes: Buffer, body: number, end: number, wireEnd: number): boolean {
    const inside = body + 8
    if (inside + 14 > end || (bytes[body] & 0x08) === 0 || u16(bytes, inside + 12) < 0x0600) return false
    this.#links.ethernet(bytes, inside, end, wireEnd)
    return true
  }

  /** draft-ietf-nvo3-vxlan-gpe: with the P bit the fourth byte says what is inside. */
  #vxlanGpe(bytes: Buffer, body: number, end: number, wireEnd: number): boolean {
    if (body + 8 >= end || (bytes[body] & 0x38) !== 0x08) return false
    if ((bytes[body] & 0x04) === 0) return this.#vxlan(bytes, body, end, wireEnd)
    if (bytes[body + 3] === 0 || bytes[body + 3] > 5) return false
    if (bytes[body + 3] === 4) this.#links.nsh(bytes, body + 8, end, wireEnd)
    else this.#links.byNextProtocol(bytes[body + 3], bytes, body + 8, end, wireEnd)
    return true
  }

  /** RFC 8926. */
  #geneve(bytes: Buffer, body: number, end: number, wireEnd: number): boolean {
    if (end - body < 8 || bytes[body] >> 6 !== 0) return false
    const inside = body + 8 + (bytes[body] & 0x3f) * 4
    if (inside >= end) return false
    this.#links.ether(u16(bytes, body + 2), bytes, inside, end, wireEnd)
    return true
  }

  /** 3GPP TS 29.281: version 1, message type 255 = user data; extension headers in units of 4 bytes. */
  #gtp(bytes: Buffer, body: number, end: number, wireEnd: number): boolean {
    if (end - body < 8 || bytes[body] >> 5 !== 1 || bytes[body + 1] !== 255) return false
    let inside = body + 8
    if (bytes[body] & 0x07) {
      let next = bytes[body] & 0x04 ? bytes[body + 11] : 0
      inside += 4
      while (next !== 0 && inside < end && bytes[inside] !== 0) {
        const size = bytes[inside] * 4
        next = bytes[inside + size - 1]
        inside += size
      }
    }
    return this.#ipInside(bytes, inside, end, wireEnd)
  }

  /** RFC 4380 section 5.1.1: optional authentication and origin indications before the IPv6 packet. */
  #teredo(bytes: Buffer, body: number, end: number, wireEnd: number): boolean {
    let inside = body
    if (inside + 13 <= end && bytes[inside] === 0 && bytes[inside + 1] === 1) {
      inside += 13 + bytes[inside + 2] + bytes[inside + 3]
    }
    if (inside + 8 <= end && bytes[inside] === 0 && bytes[inside + 1] === 0) inside += 8
    return inside < end && bytes[inside] >> 4 === 6 && this.#ipInside(bytes, inside, end, wireEnd)
  }

  /** RFC 8086; the port was in use by others before, so that only what IP tunnels carry is believed. */
  #greOverUdp(bytes: Buffer, body: number, end: number, wireEnd: number): boolean {
    if (end - body <= 8 || (bytes[body] & 0x4f) !== 0) return false
    const type = u16(bytes, body + 2)
    if (type !== GRE_IPV4 && type !== GRE_IPV6 && type !== GRE_BRIDGE) return false
    this.gre(bytes, body, end, wireEnd)
    return true
  }

  /** Anything In Anything: identity of 2^n bytes and signature of m words between the header and the packet. */
  #ayiya(bytes: Buffer, body: number, end: number, wireEnd: number): boolean {
    if (end - body <= 8) return false
    return this.#ipInside(bytes, body + 8 + (1 << (bytes[body] >> 4)) + (bytes[body + 1] >> 4) * 4, end, wireEnd)
  }

  #ipInside(bytes: Buffer, at: number, end: number, wireEnd: number): boolean {
    if (at >= end) return false
    const version = bytes[at] >> 4
    if (!((version === 4 && at + 20 <= end) || (version === 6 && at + 40 <= end))) return false
    this.#network.ip(bytes, at, end, wireEnd)
    return true
  }
}

/** Teredo peers talk from any port: an IPv6 packet of just this size, one of whose ends is in 2001::/32. */
function isDirectTeredo(bytes: Buffer, at: number, end: number): boolean {
  if (end - at < 40 || bytes[at] >> 4 !== 6 || u16(bytes, at + 4) !== end - at - 40) return false
  return isTeredoAddress(bytes, at + 8) || isTeredoAddress(bytes, at + 24)
}

function isTeredoAddress(bytes: Buffer, at: number): boolean {
  return bytes[at] === 0x20 && bytes[at + 1] === 0x01 && bytes[at + 2] === 0 && bytes[at + 3] === 0
}

function u16(bytes: Buffer, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}
