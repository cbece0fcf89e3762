/** UDP: each datagram is a segment; a conversation is the ends it runs between, until it is silent for long. */
import { type ConnectionInfo, type Direction, Segment, SegmentFlag, TO_CLIENT, TO_SERVER } from '../../core/segment.js'
import { clientRank, makeConnectionInfo } from './connection_info.js'
import { EndpointPair, EndpointTable, PacketEnds } from './endpoints.js'
import type { SkipCounter } from './skipped.js'
import type { TransportPacket } from './transport_packet.js'
import { Views } from './views.js'

/** As conntrack does for a stream: after this silence the same ends are a new conversation. */
const IDLE_US = 180_000_000
/** Above it the longest silent quarter is forgotten; what comes later begins anew. */
const CONVERSATIONS_MAX = 65_536

class Conversation extends EndpointPair {
  readonly info: ConnectionInfo
  readonly aDirection: Direction
  lastUs: number
  readonly positions: [number, number] = [0, 0]
  opened = false

  /** The client is told by the ports, and where they look alike, by who spoke first. */
  constructor(packet: TransportPacket, ends: PacketEnds, ordinal: number) {
    super(ends)
    this.lastUs = packet.timeUs
    const clientIsA = clientRank(ends.source.port, ends.target.port) >= 0
    this.aDirection = clientIsA ? TO_SERVER : TO_CLIENT
    this.info = makeConnectionInfo(this, 'udp', clientIsA, packet.timeUs, ordinal)
  }
}

export class UdpTracker {
  readonly #out: Segment[]
  readonly #skipped: SkipCounter
  readonly #table = new EndpointTable<Conversation>()
  readonly #ends = new PacketEnds()
  readonly #views = new Views()
  #ordinal = 0

  /** Segments are appended to `out`, which the caller empties. */
  constructor(out: Segment[], skipped: SkipCounter) {
    this.#out = out
    this.#skipped = skipped
  }

  packet(packet: TransportPacket): void {
    const { bytes, start, end, wireEnd, timeUs } = packet
    const size = (bytes[start + 4] << 8) | bytes[start + 5]
    // Length 0 stands for a jumbogram (RFC 2675); anything else below the header is broken.
    if (size !== 0 && size < 8) return this.#skipped.count('malformed', end - start)
    const datagramEnd = size === 0 ? wireEnd : Math.min(wireEnd, start + size)
    const conversation = this.#conversation(packet)
    const fromA = this.#table.side === 0
    const direction = (fromA ? conversation.aDirection : 1 - conversation.aDirection) as Direction
    const length = Math.max(0, datagramEnd - start - 8)
    const payload = this.#views.of(bytes, start + 8, Math.max(start + 8, Math.min(end, datagramEnd)))
    let flags = SegmentFlag.ROLE_GUESSED as number
    if (!conversation.opened) {
      conversation.opened = true
      flags |= SegmentFlag.OPEN
    }
    if (payload.length < length) flags |= SegmentFlag.TRUNCATED
    const position = conversation.positions[direction]
    conversation.positions[direction] += length
    this.#out.push(
      new Segment(conversation.info, direction, position, length, payload, timeUs, packet.timeRestNs, flags),
    )
  }

  #conversation(packet: TransportPacket): Conversation {
    const ends = this.#ends
    ends.read(packet)
    const known = this.#table.find(ends)
    if (known !== undefined) {
      const silentUs = packet.timeUs - known.lastUs
      known.lastUs = packet.timeUs
      if (silentUs <= IDLE_US) return known
      this.#table.remove(known)
    }
    if (this.#table.size >= CONVERSATIONS_MAX) this.#evict()
    const crowded = this.#table.overflow(ends)
    if (crowded !== undefined) this.#forget(crowded)
    const conversation = new Conversation(packet, ends, this.#ordinal++)
    this.#table.add(conversation)
    this.#table.side = 0
    return conversation
  }

  #forget(conversation: Conversation): void {
    this.#skipped.count('connection_limit', 0)
    this.#table.remove(conversation)
  }

  #evict(): void {
    const all = [...this.#table.values()].sort((x, y) => x.lastUs - y.lastUs)
    for (const conversation of all.slice(0, all.length >> 2)) this.#forget(conversation)
  }
}
