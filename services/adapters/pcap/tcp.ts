/**
 * TCP reassembly: sequence numbers become positions, data leaves in order. What has left in order stays; of copies that wait
 * and differ, the one that begins earlier wins, as in Linux and tshark. Missing bytes become a gap when the receiver
 * acknowledged them (it had them, the capture has not), when too much is held back behind them or for too long, or when the
 * connection ends. RFC 9293. While one direction holds back, what the other says is put aside, so that both come out in the
 * order in which they were said: of what was lost nobody else can tell which answer is whose.
 */
import { type Direction, NO_BYTES, Segment, SegmentFlag } from '../../core/segment.js'
import { EndpointTable, PacketEnds } from './endpoints.js'
import { inTimeOrder, ownCopy } from './set_aside.js'
import type { SkipCounter } from './skipped.js'
import { ACK, FIN, type Half, RST, SYN, TcpConnection } from './tcp_connection.js'
import type { TransportPacket } from './transport_packet.js'
import { Views } from './views.js'

/** Held back of one direction: above Linux's largest receive window (tcp_rmem, 6 MiB), which bounds what can be in flight. */
const HELD_BYTES_MAX = 8 << 20
const HELD_SEGMENTS_MAX = 8192
/** What an object and its buffer cost beside the bytes. */
const HELD_OVERHEAD_BYTES = 256
/** Retransmissions stop long before; with one direction captured no acknowledgement tells. Capture time. */
const HELD_US = 60_000_000
/** A captured ACK may stand before the data it acknowledges (several receive queues): wait this long, or so many packets. */
const ACK_PATIENCE_US = 1000
const ACK_PATIENCE_PACKETS = 4
/** The largest window with scaling is 1 GiB (RFC 7323); data further ahead does not belong to this stream. */
const AHEAD_BYTES_MAX = 1 << 30
/** A reset is believed this close to the next byte: in the window, as far as a capture can know it. */
const RESET_WINDOW_BYTES = 8 << 20
/** A connection silent for so long in capture time is closed, its memory freed. */
const IDLE_US = 3600_000_000
const CLOSED_LINGER_US = 30_000_000
const SWEEP_PACKETS = 65_536

export interface TcpLimits {
  /** Held back of all connections; many directions with a hole at once are a capture that lost packets. */
  readonly heldTotalBytes: number
  /** Followed at once; above it a quarter goes: ended ones, half-open ones, then the longest silent. 1 to 2 KiB each. */
  readonly connections: number
}

const LIMITS: TcpLimits = { heldTotalBytes: 256 << 20, connections: 65_536 }

export class TcpTracker {
  readonly #out: Segment[]
  readonly #skipped: SkipCounter
  readonly #limits: TcpLimits
  readonly #table = new EndpointTable<TcpConnection>()
  readonly #ends = new PacketEnds()
  readonly #views = new Views()
  #heldBytes = 0
  #packets = 0
  #ordinal = 0

  /** Segments are appended to `out`, which the caller empties. */
  constructor(out: Segment[], skipped: SkipCounter, limits: TcpLimits = LIMITS) {
    this.#out = out
    this.#skipped = skipped
    this.#limits = limits
  }

  packet(packet: TransportPacket): void {
    const { bytes, start, end, wireEnd, timeUs } = packet
    const headerBytes = (bytes[start + 12] >> 4) * 4
    const tcpFlags = bytes[start + 13]
    if (headerBytes < 20 || start + headerBytes > wireEnd) return this.#skipped.count('malformed', end - start)
    if (++this.#packets % SWEEP_PACKETS === 0) this.#sweep(timeUs)
    const seq = u32(bytes, start + 4)
    const dataAt = start + headerBytes
    const dataLength = wireEnd - dataAt

    const connection = this.#connection(packet, tcpFlags, seq)
    if (connection === null) return this.#skipped.count('no_connection', dataLength)
    connection.lastUs = timeUs
    const fromA = this.#table.side === 0
    const half = fromA ? connection.fromA : connection.fromB
    const peer = fromA ? connection.fromB : connection.fromA
    const direction = (fromA ? connection.aDirection : 1 - connection.aDirection) as Direction
    if (connection.reset) {
      if (dataLength > 0) this.#skipped.count('after_reset', dataLength)
      return
    }
    if ((tcpFlags & RST) !== 0) return this.#rst(connection, half, seq, packet)

    let dataSeq = seq
    if ((tcpFlags & SYN) !== 0) {
      dataSeq = (seq + 1) >>> 0
      if (!half.started) half.start(dataSeq)
      half.synSeen = true
    }
    // First what this end has received: a gap in the request is known before the answer to it comes out.
    if ((tcpFlags & ACK) !== 0) this.#acknowledge(peer, u32(bytes, start + 8), timeUs)
    if (peer.held.length > 0) this.#settle(connection, peer, (1 - direction) as Direction, timeUs)
    if (dataLength > 0) this.#data(connection, half, direction, dataSeq, dataAt, dataLength, packet)
    if ((tcpFlags & FIN) !== 0) this.#fin(half, (dataSeq + dataLength) >>> 0)
    if (half.held.length > 0) this.#settle(connection, half, direction, timeUs)
    if (half.finPosition >= 0) this.#closeIfDone(connection, half, direction, packet)
    if (peer.finPosition >= 0) this.#closeIfDone(connection, peer, (1 - direction) as Direction, packet)
    if (connection.aside.length > 0) this.#letOut(connection)
  }

  /** Ends every connection that is still open: what is held back behind a gap comes out, nothing is closed. */
  finish(): void {
    for (const connection of this.#table.values()) this.#flush(connection)
  }

  /** Sum of what is held back, with its overhead; for tests. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  get connections(): number {
    return this.#table.size
  }

  /** The connection of the packet, a new one where it is none's; null for a reset of one that was never seen. */
  #connection(packet: TransportPacket, tcpFlags: number, seq: number): TcpConnection | null {
    const ends = this.#ends
    ends.read(packet)
    const known = this.#table.find(ends)
    if (known !== undefined) {
      if ((tcpFlags & (SYN | ACK)) !== SYN) return known
      if (!known.isNewLife(this.#table.side === 0 ? known.fromA : known.fromB, seq)) return known
      this.#forget(known)
    }
    if ((tcpFlags & RST) !== 0) return null
    if (this.#table.size >= this.#limits.connections) this.#evict()
    const crowded = this.#table.overflow(ends)
    if (crowded !== undefined) this.#giveUp(crowded)
    const connection = new TcpConnection(packet, ends, tcpFlags, this.#ordinal++)
    this.#table.add(connection)
    this.#table.side = 0
    return connection
  }

  #data(
    connection: TcpConnection,
    half: Half,
    direction: Direction,
    seq: number,
    dataAt: number,
    dataLength: number,
    packet: TransportPacket,
  ): void {
    if (!half.started) half.start(seq)
    let position = half.positionOf(seq)
    let at = dataAt
    let length = dataLength
    if (Math.abs(position - half.position) > AHEAD_BYTES_MAX) return this.#skipped.count('out_of_window', length)
    if (half.finPosition >= 0 && position + length > half.finPosition) {
      // Bytes after the FIN are not part of the stream.
      this.#skipped.count('out_of_window', Math.min(length, position + length - half.finPosition))
      if (position >= half.finPosition) return
      length = half.finPosition - position
    }
    if (position < half.position) {
      const old = half.position - position
      this.#skipped.count(position < 0 ? 'before_start' : 'retransmission', Math.min(old, length))
      if (old >= length) return
      position = half.position
      at += old
      length -= old
    }
    const capturedEnd = Math.min(packet.end, at + length)
    const payload = capturedEnd > at ? this.#views.of(packet.bytes, at, capturedEnd) : NO_BYTES
    if (position === half.position) {
      this.#emit(connection, half, direction, length, payload, packet.timeUs, packet.timeRestNs)
      if (half.held.length > 0) this.#drain(connection, half, direction)
      return
    }
    this.#heldBytes -= heldCost(half)
    const isNew = half.hold(position, length, payload, packet.timeUs, packet.timeRestNs)
    this.#heldBytes += heldCost(half)
    if (!isNew) return this.#skipped.count('retransmission', length)
    const full = half.heldBytes > HELD_BYTES_MAX || half.held.length > HELD_SEGMENTS_MAX
    if (full || this.#heldBytes > this.#limits.heldTotalBytes) {
      half.skipGap()
      this.#drain(connection, half, direction)
    }
  }

  /** Lets out what has become contiguous. */
  #drain(connection: TcpConnection, half: Half, direction: Direction): void {
    const held = half.held
    this.#heldBytes -= heldCost(half)
    let done = 0
    while (done < held.length && held[done].position <= half.position) {
      const segment = held[done++]
      half.heldBytes -= segment.length
      const old = half.position - segment.position
      if (old > 0) this.#skipped.count('retransmission', Math.min(old, segment.length))
      if (old >= segment.length) continue
      const payload = old === 0 ? segment.payload : segment.payload.subarray(old)
      this.#emit(connection, half, direction, segment.length - old, payload, segment.timeUs, segment.timeRestNs)
    }
    half.release(done)
    this.#heldBytes += heldCost(half)
  }

  #emit(
    connection: TcpConnection,
    half: Half,
    direction: Direction,
    length: number,
    payload: Buffer,
    timeUs: number,
    timeRestNs: number,
  ): void {
    let flags = connection.flags
    if (!connection.opened) {
      connection.opened = true
      if ((flags & SegmentFlag.MIDSTREAM) === 0) flags |= SegmentFlag.OPEN
    }
    if (half.gapPending) {
      half.gapPending = false
      flags |= SegmentFlag.GAP_BEFORE
    }
    if (payload.length < length) flags |= SegmentFlag.TRUNCATED
    const { position } = half
    this.#push(
      connection,
      new Segment(connection.info, direction, position, length, payload, timeUs, timeRestNs, flags),
    )
    half.advance(length)
  }

  #push(connection: TcpConnection, segment: Segment): void {
    if (!connection.holds) this.#out.push(segment)
    else {
      connection.putAside(ownCopy(segment))
      this.#heldBytes += segment.payload.length + HELD_OVERHEAD_BYTES
    }
  }

  /** What was put aside comes out once nothing is held back any more, or when it is too much. */
  #letOut(connection: TcpConnection): void {
    const { aside, asideBytes } = connection
    const full = asideBytes > HELD_BYTES_MAX || aside.length > HELD_SEGMENTS_MAX
    const waits = connection.fromA.held.length > 0 || connection.fromB.held.length > 0
    if (waits && !full && this.#heldBytes <= this.#limits.heldTotalBytes) return
    this.#heldBytes -= asideBytes + aside.length * HELD_OVERHEAD_BYTES
    for (const segment of inTimeOrder(connection.takeAside())) this.#out.push(segment)
  }

  #fin(half: Half, seq: number): void {
    if (!half.started) half.start(seq)
    const position = half.positionOf(seq)
    if (half.finPosition < 0 && position >= half.position) half.finPosition = position
  }

  #acknowledge(peer: Half, ack: number, timeUs: number): void {
    // The other end has not been heard yet: what is acknowledged is where it goes on.
    if (!peer.started) return peer.start(ack)
    const position = peer.positionOf(ack)
    if (position <= peer.position || position - peer.position > AHEAD_BYTES_MAX) return
    if (position > peer.ackedPosition) {
      if (peer.ackedPosition < peer.position) {
        peer.ackedUs = timeUs
        peer.packetsSinceAck = 0
      }
      peer.ackedPosition = position
    }
  }

  /** Declares the gap before held data once the receiver has shown that it had those bytes, or nobody sends them any more. */
  #settle(connection: TcpConnection, half: Half, direction: Direction, timeUs: number): void {
    const first = half.held[0]
    if (timeUs - first.timeUs < HELD_US) {
      if (half.ackedPosition < first.position) return
      half.packetsSinceAck += 1
      if (half.packetsSinceAck <= ACK_PATIENCE_PACKETS && timeUs - half.ackedUs < ACK_PATIENCE_US) return
    }
    half.skipGap()
    this.#drain(connection, half, direction)
  }

  #closeIfDone(connection: TcpConnection, half: Half, direction: Direction, packet: TransportPacket): void {
    if (half.closed) return
    const acknowledged = half.ackedPosition >= half.finPosition && half.held.length === 0
    if (half.position < half.finPosition && !acknowledged) return
    // Bytes that were acknowledged and are not here by now come too late; data held from before the FIN may lie behind it.
    half.advance(Math.max(0, half.finPosition - half.position))
    this.#close(connection, half, direction, half.position, packet.timeUs, packet.timeRestNs, 0)
  }

  #close(
    connection: TcpConnection,
    half: Half,
    direction: Direction,
    position: number,
    timeUs: number,
    timeRestNs: number,
    more: number,
  ): void {
    half.closed = true
    const flags = connection.flags | SegmentFlag.CLOSE | more
    this.#push(connection, new Segment(connection.info, direction, position, 0, NO_BYTES, timeUs, timeRestNs, flags))
  }

  /** A reset counts only where its number lies in the window; forged ones elsewhere are ignored (RFC 5961 section 3). */
  #rst(connection: TcpConnection, half: Half, seq: number, packet: TransportPacket): void {
    if (half.started && Math.abs(half.positionOf(seq) - half.position) > RESET_WINDOW_BYTES) {
      return this.#skipped.count('out_of_window', 0)
    }
    this.#flush(connection)
    connection.reset = true
    const peer = half === connection.fromA ? connection.fromB : connection.fromA
    for (const end of [half, peer]) {
      if (end.closed) continue
      const direction = connection.directionOf(end)
      this.#close(connection, end, direction, end.position, packet.timeUs, packet.timeRestNs, SegmentFlag.RESET)
    }
  }

  #flush(connection: TcpConnection): void {
    for (const half of [connection.fromA, connection.fromB]) {
      while (half.held.length > 0) {
        half.skipGap()
        this.#drain(connection, half, connection.directionOf(half))
      }
      this.#neverSeen(connection, half)
    }
    if (connection.aside.length > 0) this.#letOut(connection)
  }

  /**
   * The other end acknowledged bytes that were not captured, and nothing came behind them: one direction was not captured at
   * all, or its end was lost. A FIN takes a number too, so that one alone says nothing.
   */
  #neverSeen(connection: TcpConnection, half: Half): void {
    const size = half.ackedPosition - half.position
    if (size < 2 || half.closed || half.finPosition >= 0 || !connection.opened) return
    const direction = connection.directionOf(half)
    this.#emit(connection, half, direction, size, NO_BYTES, connection.lastUs, 0)
  }

  /** Forgets a connection. One that never carried a byte leaves nothing but a count. */
  #forget(connection: TcpConnection): void {
    this.#flush(connection)
    this.#table.remove(connection)
    if (connection.finished) return
    if (!connection.opened) return this.#skipped.count('half_open', 0)
    for (const half of [connection.fromA, connection.fromB]) {
      if (half.closed) continue
      const position = Math.max(half.position, half.finPosition)
      this.#close(connection, half, connection.directionOf(half), position, connection.lastUs, 0, 0)
    }
  }

  #giveUp(connection: TcpConnection): void {
    if (connection.worth > 1) this.#skipped.count('connection_limit', 0)
    this.#forget(connection)
  }

  #sweep(nowUs: number): void {
    for (const connection of [...this.#table.values()]) {
      const limit = connection.finished ? CLOSED_LINGER_US : IDLE_US
      if (nowUs - connection.lastUs > limit) this.#forget(connection)
    }
  }

  #evict(): void {
    const all = [...this.#table.values()].sort((x, y) => x.worth - y.worth || x.lastUs - y.lastUs)
    for (const connection of all.slice(0, all.length >> 2)) this.#giveUp(connection)
  }
}

function heldCost(half: Half): number {
  return half.held.length === 0 ? 0 : half.heldBytes + half.held.length * HELD_OVERHEAD_BYTES
}

function u32(bytes: Buffer, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}
