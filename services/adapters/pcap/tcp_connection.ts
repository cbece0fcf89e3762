/** What is known of one TCP connection of a capture. */
import {
  type ConnectionInfo,
  type Direction,
  type Segment,
  SegmentFlag,
  TO_CLIENT,
  TO_SERVER,
} from '../../core/segment.js'
import { clientRank, makeConnectionInfo } from './connection_info.js'
import { EndpointPair, type PacketEnds } from './endpoints.js'
import type { TransportPacket } from './transport_packet.js'

export const FIN = 0x01
export const SYN = 0x02
export const RST = 0x04
export const ACK = 0x10

/** Data that came before its turn. Its bytes are a copy: it waits longer than the block of the file it came in. */
export class HeldSegment {
  readonly position: number
  readonly length: number
  readonly payload: Buffer
  readonly timeUs: number
  readonly timeRestNs: number

  constructor(position: number, length: number, payload: Buffer, timeUs: number, timeRestNs: number) {
    this.position = position
    this.length = length
    this.payload = payload
    this.timeUs = timeUs
    this.timeRestNs = timeRestNs
  }

  get end(): number {
    return this.position + this.length
  }
}

const NOTHING_ASIDE: readonly Segment[] = []
const NOTHING_HELD: readonly HeldSegment[] = []

/** One direction: what one end sends. */
export class Half {
  started = false
  synSeen = false
  /** Sequence number of the next byte in order. */
  nextSeq = 0
  /** Its position. */
  position = 0
  /** By position, each behind `position`; they may overlap. Shared while empty: most directions never hold anything. */
  held: readonly HeldSegment[] = NOTHING_HELD
  heldBytes = 0
  /** Position up to which the other end acknowledged; -1 = nothing beyond the start. */
  ackedPosition = -1
  /** When it first did so beyond `position`, and packets of the connection since. */
  ackedUs = 0
  packetsSinceAck = 0
  /** Position of the FIN; -1 = none seen. */
  finPosition = -1
  closed = false
  /** The next segment is the first after a gap. */
  gapPending = false

  start(seq: number): void {
    this.started = true
    this.nextSeq = seq
  }

  /** Where `seq` lies; within 2^31 of the next byte either way. */
  positionOf(seq: number): number {
    return this.position + ((seq - this.nextSeq) | 0)
  }

  advance(length: number): void {
    this.position += length
    this.nextSeq = (this.nextSeq + length) >>> 0
  }

  /** Gives up what is missing before the first held segment. */
  skipGap(): void {
    this.advance(this.held[0].position - this.position)
    this.gapPending = true
  }

  /**
   * Takes data aside until what comes before it is here; false where it is all there already. Copies that overlap only in
   * part are kept: the one that begins earlier will win, as in Linux's receive queue.
   */
  hold(position: number, length: number, payload: Buffer, timeUs: number, timeRestNs: number): boolean {
    if (this.held === NOTHING_HELD) this.held = []
    const held = this.held as HeldSegment[]
    let at = held.length
    while (at > 0 && held[at - 1].position > position) at--
    if (at > 0 && held[at - 1].end >= position + length) return false
    held.splice(at, 0, new HeldSegment(position, length, copyOf(payload), timeUs, timeRestNs))
    this.heldBytes += length
    return true
  }

  /** The first `count` held segments have been dealt with. */
  release(count: number): void {
    if (count === this.held.length) this.held = NOTHING_HELD
    else if (count > 0) (this.held as HeldSegment[]).splice(0, count)
  }
}

function copyOf(payload: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(payload.length)
  payload.copy(copy)
  return copy
}

export class TcpConnection extends EndpointPair {
  /** Direction of what `a` sends. */
  readonly aDirection: Direction
  /** Flags every segment carries. */
  readonly flags: number
  opened = false
  readonly firstUs: number
  lastUs: number
  readonly #ordinal: number
  #info: ConnectionInfo | null = null
  reset = false
  /** Segments that are due, while a direction holds back; their payloads are our own. Shared while empty. */
  aside: readonly Segment[] = NOTHING_ASIDE
  asideBytes = 0
  readonly fromA = new Half()
  readonly fromB = new Half()

  /** Who is the client is told by SYN or SYN-ACK; without them by the ports, and then marked as guessed. */
  constructor(packet: TransportPacket, ends: PacketEnds, tcpFlags: number, ordinal: number) {
    super(ends)
    this.firstUs = packet.timeUs
    this.lastUs = packet.timeUs
    this.#ordinal = ordinal
    const handshake = (tcpFlags & SYN) !== 0
    const rank = clientRank(ends.source.port, ends.target.port)
    const guess = rank > 0 || (rank === 0 && ends.source.port >= ends.target.port)
    const clientIsA = handshake ? (tcpFlags & ACK) === 0 : guess
    this.aDirection = clientIsA ? TO_SERVER : TO_CLIENT
    this.flags = handshake ? 0 : SegmentFlag.MIDSTREAM | SegmentFlag.ROLE_GUESSED
  }

  /** Made when it is first needed: of a port scan nothing is. */
  get info(): ConnectionInfo {
    this.#info ??= makeConnectionInfo(this, 'tcp', this.aDirection === TO_SERVER, this.firstUs, this.#ordinal)
    return this.#info
  }

  /** What is due now waits: something of this connection is held back. */
  get holds(): boolean {
    return this.fromA.held.length > 0 || this.fromB.held.length > 0 || this.aside.length > 0
  }

  putAside(segment: Segment): void {
    if (this.aside === NOTHING_ASIDE) this.aside = []
    ;(this.aside as Segment[]).push(segment)
    this.asideBytes += segment.payload.length
  }

  takeAside(): readonly Segment[] {
    const { aside } = this
    this.aside = NOTHING_ASIDE
    this.asideBytes = 0
    return aside
  }

  get finished(): boolean {
    return this.reset || (this.fromA.closed && this.fromB.closed)
  }

  directionOf(half: Half): Direction {
    return (half === this.fromA ? this.aDirection : 1 - this.aDirection) as Direction
  }

  /**
   * The ports are used again: a SYN whose number is not the one this connection began with, or any SYN after its end. RFC
   * 5961 would have a live end answer it with a challenge ACK only, but a capture that lost the FIN must not join two lives.
   */
  isNewLife(half: Half, seq: number): boolean {
    if (this.finished) return true
    const peer = half === this.fromA ? this.fromB : this.fromA
    // Where only the other end was heard: its SYN-ACK may stand before the SYN in the file, its data may not.
    if (!half.started) return !peer.synSeen && peer.position > 0
    const begin = (half.nextSeq - half.position) >>> 0
    return (seq + 1) >>> 0 !== begin
  }

  /** Rank for eviction: the lowest goes first. */
  get worth(): number {
    if (this.finished) return 0
    return this.opened ? 2 : 1
  }
}
