/** IPv4 (RFC 791) and IPv6 (RFC 8200) to the transport header: options, extension headers, fragments. */
import { FragmentTable } from './fragments.js'
import type { SkipCounter, SkipReason } from './skipped.js'
import { type TransportHandler, TransportPacket } from './transport_packet.js'
import type { Tunnels } from './tunnels.js'

const IP_IPV4 = 4
const IP_TCP = 6
const IP_UDP = 17
const IP_IPV6 = 41
const IP_GRE = 47
const IP_AH = 51

/** Frames and IP packets within each other; real tunnels have two or three levels of both. */
const DEPTH_MAX = 16
const EXTENSION_HEADERS_MAX = 16

export class Network {
  /** Set once, by the dissector: tunnels and IP need each other. */
  tunnels!: Tunnels
  readonly #handler: TransportHandler
  readonly #skipped: SkipCounter
  readonly #fragments = new FragmentTable()
  readonly #transport = new TransportPacket()
  #depth = 0

  constructor(handler: TransportHandler, skipped: SkipCounter) {
    this.#handler = handler
    this.#skipped = skipped
  }

  /** A new record of the capture. */
  begin(timeUs: number, timeRestNs: number): void {
    this.#transport.timeUs = timeUs
    this.#transport.timeRestNs = timeRestNs
    this.#depth = 0
  }

  finish(): void {
    this.#fragments.drop()
    this.#countDropped()
  }

  skip(reason: SkipReason, size: number): void {
    this.#skipped.count(reason, Math.max(size, 0))
  }

  /** One more frame or IP packet inside; false, and counted, where that is too deep. */
  enter(size: number): boolean {
    if (++this.#depth <= DEPTH_MAX) return true
    this.skip('tunnel_too_deep', size)
    return false
  }

  ip(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (at >= end) return this.skip('malformed', 0)
    if (!this.enter(end - at)) return
    const version = bytes[at] >> 4
    if (version === 4) this.#ipv4(bytes, at, end, wireEnd)
    else if (version === 6) this.#ipv6(bytes, at, end, wireEnd)
    else this.skip('not_ip', end - at)
  }

  #ipv4(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    const header = (bytes[at] & 15) * 4
    if (header < 20 || at + header > end) return this.skip('malformed', end - at)
    const total = (bytes[at + 2] << 8) | bytes[at + 3]
    // With segmentation offload the kernel leaves the total length 0: the record's end is all there is.
    // A packet cannot be longer than the frame around it, whatever it says.
    const packetEnd = total === 0 ? wireEnd : Math.min(at + total, wireEnd)
    if (total !== 0 && total < header) return this.skip('malformed', end - at)
    const limit = Math.min(packetEnd, end)
    const protocol = bytes[at + 9]
    const fragment = (bytes[at + 6] << 8) | bytes[at + 7]
    if ((fragment & 0x3fff) !== 0) {
      const id = bytes.toString('latin1', at + 4, at + 6)
      const key = `${bytes.toString('latin1', at + 12, at + 20)}${id}${protocol}`
      const more = (fragment & 0x2000) !== 0
      const head = bytes.subarray(at, at + header)
      const whole = this.#fragment(key, head, (fragment & 0x1fff) * 8, more, bytes.subarray(at + header, limit))
      if (whole !== null) this.#transportAt(protocol, whole, 12, 16, 4, header, whole.length, whole.length)
      return
    }
    this.#transportAt(protocol, bytes, at + 12, at + 16, 4, at + header, limit, packetEnd)
  }

  #ipv6(bytes: Buffer, at: number, end: number, wireEnd: number): void {
    if (at + 40 > end) return this.skip('malformed', end - at)
    const length = u16(bytes, at + 4)
    const packetEnd = length === 0 ? wireEnd : Math.min(at + 40 + length, wireEnd)
    const limit = Math.min(end, packetEnd)
    let next = bytes[at + 6]
    let from = at + 40
    for (let headers = 0; headers < EXTENSION_HEADERS_MAX; headers++) {
      if (next === 0 || next === 43 || next === 60 || next === 135 || next === 139 || next === 140) {
        // Hop-by-hop, routing, destination options, mobility, HIP, shim6: next header, length in 8-byte units.
        if (from + 2 > limit) return this.skip('malformed', end - at)
        next = bytes[from]
        from += (bytes[from + 1] + 1) * 8
      } else if (next === 44) {
        if (from + 8 > limit) return this.skip('malformed', end - at)
        const field = u16(bytes, from + 2)
        const id = bytes.toString('latin1', from + 4, from + 8)
        next = bytes[from]
        from += 8
        // An atomic fragment (offset 0, no more) is a whole datagram, RFC 6946.
        if ((field & 0xfff9) === 0) continue
        const key = `${bytes.toString('latin1', at + 8, at + 40)}${id}`
        const head = bytes.subarray(at, at + 40)
        const more = (field & 1) === 1
        const whole = this.#fragment(key, head, field & 0xfff8, more, bytes.subarray(from, limit))
        if (whole !== null) this.#transportAt(next, whole, 8, 24, 16, 40, whole.length, whole.length)
        return
      } else {
        return this.#transportAt(next, bytes, at + 8, at + 24, 16, from, limit, packetEnd)
      }
    }
    this.skip('malformed', end - at)
  }

  #fragment(key: string, head: Buffer, offset: number, more: boolean, payload: Buffer): Buffer | null {
    const whole = this.#fragments.add(key, head, offset, more, payload, this.#transport.timeUs)
    this.#countDropped()
    return whole
  }

  #countDropped(): void {
    for (const size of this.#fragments.takeDropped()) this.skip('fragment_incomplete', size)
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
    switch (protocol) {
      case IP_TCP:
        if (end - start < 20) return this.skip('malformed', end - start)
        break
      case IP_UDP:
        if (end - start < 8) return this.skip('malformed', end - start)
        if (this.tunnels.udp(bytes, start, end, wireEnd)) return
        break
      case IP_IPV4:
      case IP_IPV6:
        return this.ip(bytes, start, end, wireEnd)
      case IP_GRE:
        return this.tunnels.gre(bytes, start, end, wireEnd)
      case IP_AH: {
        // RFC 4302: next header, length in 4-byte words less 2; the payload is not encrypted.
        const inside = start + (bytes[start + 1] + 2) * 4
        if (start + 2 > end || inside >= end || !this.enter(end - start)) return this.skip('malformed', end - start)
        return this.#transportAt(bytes[start], bytes, sourceAt, targetAt, addressSize, inside, end, wireEnd)
      }
      default:
        return this.skip('other_transport', end - start)
    }
    const transport = this.#transport
    transport.bytes = bytes
    transport.sourceAt = sourceAt
    transport.targetAt = targetAt
    transport.addressSize = addressSize
    transport.start = start
    transport.end = end
    transport.wireEnd = wireEnd
    if (protocol === IP_TCP) this.#handler.tcp(transport)
    else this.#handler.udp(transport)
  }
}

function u16(bytes: Buffer, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}
