/** UDP: each datagram is a segment; a conversation is the ends it runs between, until it is silent for long. */
import { type ConnectionInfo, type Direction, Segment, SegmentFlag, TO_CLIENT, TO_SERVER } from '../../core/segment.js'
import { looksLikeClient, makeConnectionInfo } from './connection_info.js'
import type { TransportPacket } from './dissect.js'
import { EndpointPair, EndpointTable, pairHash } from './endpoints.js'
import type { SkipCounter } from './skipped.js'

/** As conntrack does for a stream: after this silence the same ends are a new conversation. */
const IDLE_US = 180_000_000
const CONVERSATIONS_MAX = 65_536

class Conversation extends EndpointPair {
  readonly hash: number
  readonly info: ConnectionInfo
  readonly aDirection: Direction
  lastUs: number
  readonly positions: [number, number] = [0, 0]
  opened = false

  constructor(packet: TransportPacket, ports: [number, number], hash: number, ordinal: number) {
    super(packet, ports[0], ports[1])
    this.hash = hash
    this.lastUs = packet.timeUs
    const clientIsA = looksLikeClient(ports[0], ports[1])
    this.aDirection = clientIsA ? TO_SERVER : TO_CLIENT
    this.info = makeConnectionInfo(this, 'udp', clientIsA, packet.timeUs, ordinal)
  }
}

export class UdpTracker {
  readonly #out: Segment[]
  readonly #skipped: SkipCounter
  readonly #table = new EndpointTable<Conversation>()
  #ordinal = 0

  constructor(out: Segment[], skipped: SkipCounter) {
    this.#out = out
    this.#skipped = skipped
  }

  packet(packet: TransportPacket): void {
    const { bytes, start, end, wireEnd, timeUs } = packet
    const sourcePort = (bytes[start] << 8) | bytes[start + 1]
    const targetPort = (bytes[start + 2] << 8) | bytes[start + 3]
    const size = (bytes[start + 4] << 8) | bytes[start + 5]
    // Length 0 stands for a jumbogram (RFC 2675); anything else below the header is broken.
    const datagramEnd = size === 0 ? wireEnd : Math.min(wireEnd, start + size)
    if (size !== 0 && size < 8) return this.#skipped.count('malformed', end - start)
    const hash = pairHash(packet, sourcePort, targetPort)
    let conversation = this.#table.first(hash)
    while (conversation !== undefined && conversation.side(packet, sourcePort, targetPort) < 0) {
      conversation = (conversation.next ?? undefined) as Conversation | undefined
    }
    if (conversation !== undefined && timeUs - conversation.lastUs > IDLE_US) {
      this.#table.remove(conversation.hash, conversation)
      conversation = undefined
    }
    if (conversation === undefined) {
      if (this.#table.size >= CONVERSATIONS_MAX) this.#evict()
      conversation = new Conversation(packet, [sourcePort, targetPort], hash, this.#ordinal++)
      this.#table.add(hash, conversation)
    }
    conversation.lastUs = timeUs
    const fromA = conversation.side(packet, sourcePort, targetPort) === 0
    const direction = (fromA ? conversation.aDirection : 1 - conversation.aDirection) as Direction
    const length = Math.max(0, datagramEnd - start - 8)
    const payload = bytes.subarray(start + 8, Math.max(start + 8, Math.min(end, datagramEnd)))
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

  #evict(): void {
    const all = [...this.#table.values()].sort((x, y) => x.lastUs - y.lastUs)
    for (const conversation of all.slice(0, all.length >> 2)) this.#table.remove(conversation.hash, conversation)
  }
}
