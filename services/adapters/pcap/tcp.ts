/**
 * TCP reassembly: sequence numbers become positions, data leaves in order. The first copy of a byte wins. Missing bytes
 * become a gap when the receiver acknowledged them (it had them, the capture has not), when too much is held back behind
 * them, or when the connection ends. RFC 9293.
 */
import {
  type ConnectionInfo,
  type Direction,
  NO_BYTES,
  Segment,
  SegmentFlag,
  TO_CLIENT,
  TO_SERVER,
} from '../../core/segment.js'
import { looksLikeClient, makeConnectionInfo } from './connection_info.js'
import type { TransportPacket } from './dissect.js'
import { EndpointPair, EndpointTable, pairHash } from './endpoints.js'
import type { SkipCounter } from './skipped.js'

const FIN = 0x01
const SYN = 0x02
const RST = 0x04
const ACK = 0x10

/** Held-back bytes of one direction: four times the usual receive window; beyond it the missing bytes are given up. */
const HELD_BYTES_MAX = 4 << 20
const HELD_SEGMENTS_MAX = 4096
/** A captured ACK may stand before the data it acknowledges (several receive queues): wait this long, or so many packets. */
const ACK_PATIENCE_US = 1000
const ACK_PATIENCE_PACKETS = 4
/** The largest window with scaling is 1 GiB (RFC 7323); data further ahead does not belong to this stream. */
const AHEAD_BYTES_MAX = 1 << 30
/** Connections followed at once; above it the longest silent ones are closed. 64 Ki of them take about 60 MB. */
const CONNECTIONS_MAX = 65_536
/** A connection silent for so long in capture time is closed, its memory freed. */
const IDLE_US = 3600_000_000
const CLOSED_LINGER_US = 30_000_000
const SWEEP_PACKETS = 65_536

class HeldSegment {
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
}

/** One direction: what one end sends. */
class Half {
  started = false
  synSeen = false
  /** Sequence number of the next byte in order. */
  nextSeq = 0
  /** Its position. */
  position = 0
  held: HeldSegment[] = []
  heldBytes = 0
  /** Position up to which the other end acknowledged, where that is beyond `position`; -1 = it is not. */
  ackedPosition = -1
  ackedUs = 0
  packetsSinceAck = 0
  /** Position of the FIN; -1 = none seen. */
  finPosition = -1
  closed = false
  /** The next segment is the first after a gap. */
  gapPending = false
}

class TcpConnection extends EndpointPair {
  readonly hash: number
  info: ConnectionInfo
  /** Direction of what `a` sends. */
  aDirection: Direction
  /** Flags every segment carries. */
  flags: number
  opened = false
  lastUs: number
  reset = false
  readonly fromA = new Half()
  readonly fromB = new Half()

  constructor(packet: TransportPacket, ports: [number, number], hash: number, tcpFlags: number, ordinal: number) {
    super(packet, ports[0], ports[1])
    this.hash = hash
    this.lastUs = packet.timeUs
    const handshake = (tcpFlags & SYN) !== 0
    const clientIsA = handshake ? (tcpFlags & ACK) === 0 : looksLikeClient(ports[0], ports[1])
    this.aDirection = clientIsA ? TO_SERVER : TO_CLIENT
    this.flags = handshake ? 0 : SegmentFlag.MIDSTREAM | SegmentFlag.ROLE_GUESSED
    this.info = makeConnectionInfo(this, 'tcp', clientIsA, packet.timeUs, ordinal)
  }

  get finished(): boolean {
    return this.reset || (this.fromA.closed && this.fromB.closed)
  }
}

export class TcpTracker {
  readonly #out: Segment[]
  readonly #skipped: SkipCounter
  readonly #table = new EndpointTable<TcpConnection>()
  #packets = 0
  #ordinal = 0

  /** Segments are appended to `out`, which the caller empties. */
  constructor(out: Segment[], skipped: SkipCounter) {
    this.#out = out
    this.#skipped = skipped
  }

  packet(packet: TransportPacket): void {
    const { bytes, start, end, wireEnd, timeUs } = packet
    const sourcePort = (bytes[start] << 8) | bytes[start + 1]
    const targetPort = (bytes[start + 2] << 8) | bytes[start + 3]
    const seq = u32(bytes, start + 4)
    const ack = u32(bytes, start + 8)
    const headerBytes = (bytes[start + 12] >> 4) * 4
    const tcpFlags = bytes[start + 13]
    if (headerBytes < 20 || start + headerBytes > wireEnd) return this.#skipped.count('malformed', end - start)
    if (++this.#packets % SWEEP_PACKETS === 0) this.#sweep(timeUs)

    const hash = pairHash(packet, sourcePort, targetPort)
    let connection = this.#find(packet, hash, sourcePort, targetPort)
    if (connection !== undefined && (tcpFlags & (SYN | ACK)) === SYN) {
      const fromA = connection.side(packet, sourcePort, targetPort) === 0
      if (this.#isNewLife(connection, fromA, seq)) {
        this.#forget(connection)
        connection = undefined
      }
    }
    if (connection === undefined) {
      // A lone RST or bare ACK says nothing about a connection that was never seen.
      if ((tcpFlags & RST) !== 0) return
      if (this.#table.size >= CONNECTIONS_MAX) this.#evict()
      connection = new TcpConnection(packet, [sourcePort, targetPort], hash, tcpFlags, this.#ordinal++)
      this.#table.add(hash, connection)
    }
    connection.lastUs = timeUs
    const fromA = connection.side(packet, sourcePort, targetPort) === 0
    const half = fromA ? connection.fromA : connection.fromB
    const peer = fromA ? connection.fromB : connection.fromA
    const direction = (fromA ? connection.aDirection : 1 - connection.aDirection) as Direction

    const dataAt = start + headerBytes
    const dataLength = Math.max(0, wireEnd - dataAt)
    if (connection.reset) {
      if (dataLength > 0) this.#skipped.count('after_reset', dataLength)
      return
    }
    if ((tcpFlags & RST) !== 0) return this.#rst(connection, half, direction, seq, packet)
    let dataSeq = seq
    if ((tcpFlags & SYN) !== 0) {
      dataSeq = (seq + 1) >>> 0
      if (!half.started) {
        half.started = true
        half.synSeen = true
        half.nextSeq = dataSeq
      }
    }
    if (dataLength > 0) this.#data(connection, half, direction, dataSeq, dataAt, dataLength, packet)
    if ((tcpFlags & FIN) !== 0) this.#fin(half, (dataSeq + dataLength) >>> 0)
    if ((tcpFlags & ACK) !== 0) this.#acknowledge(peer, ack, packet)
    this.#settle(connection, peer, (1 - direction) as Direction, timeUs)
    this.#settle(connection, half, direction, timeUs)
    this.#closeIfDone(connection, half, direction, packet.timeUs, packet.timeRestNs)
    this.#closeIfDone(connection, peer, (1 - direction) as Direction, packet.timeUs, packet.timeRestNs)
  }

  /** Ends every connection that is still open: what is held back behind a gap comes out, nothing is closed. */
  finish(): void {
    for (const connection of this.#table.values()) this.#flush(connection)
  }

  #find(packet: TransportPacket, hash: number, sourcePort: number, targetPort: number): TcpConnection | undefined {
    let connection = this.#table.first(hash)
    while (connection !== undefined && connection.side(packet, sourcePort, targetPort) < 0) {
      connection = (connection.next ?? undefined) as TcpConnection | undefined
    }
    return connection
  }

  /**
   * The ports are used again: a SYN whose number is not the one this connection began with. RFC 5961 would have a live
   * end answer it with a challenge ACK only, but a capture that lost the FIN must not join two lives.
   */
  #isNewLife(connection: TcpConnection, fromA: boolean, seq: number): boolean {
    const half = fromA ? connection.fromA : connection.fromB
    const peer = fromA ? connection.fromB : connection.fromA
    if (!half.started) return connection.finished || (!peer.synSeen && peer.position > 0)
    const begin = (half.nextSeq - half.position) >>> 0
    return (seq + 1) >>> 0 !== begin || !half.synSeen
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
    if (!half.started) {
      half.started = true
      half.nextSeq = seq
    }
    const ahead = (seq - half.nextSeq) | 0
    if (ahead > AHEAD_BYTES_MAX || ahead < -AHEAD_BYTES_MAX) return this.#skipped.count('out_of_window', dataLength)
    let position = half.position + ahead
    let at = dataAt
    let length = dataLength
    if (half.finPosition >= 0 && position + length > half.finPosition) {
      // Bytes after the FIN are not part of the stream.
      if (position >= half.finPosition) return this.#skipped.count('out_of_window', length)
      length = half.finPosition - position
    }
    if (position < half.position) {
      const old = half.position - position
      this.#skipped.count('retransmission', Math.min(old, length))
      if (old >= length) return
      position = half.position
      at += old
      length -= old
    }
    const capturedEnd = Math.min(packet.end, at + length)
    const payload = capturedEnd > at ? packet.bytes.subarray(at, capturedEnd) : NO_BYTES
    if (position === half.position) {
      this.#emit(connection, half, direction, length, payload, packet.timeUs, packet.timeRestNs)
      if (half.held.length > 0) this.#drain(connection, half, direction)
      return
    }
    this.#hold(half, new HeldSegment(position, length, payload, packet.timeUs, packet.timeRestNs))
    if (half.heldBytes > HELD_BYTES_MAX || half.held.length > HELD_SEGMENTS_MAX) {
      this.#skipGap(half)
      this.#drain(connection, half, direction)
    }
  }

  #hold(half: Half, segment: HeldSegment): void {
    const held = half.held
    let at = held.length
    while (at > 0 && held[at - 1].position > segment.position) at--
    held.splice(at, 0, segment)
    half.heldBytes += segment.length
  }

  /** Lets out what has become contiguous. */
  #drain(connection: TcpConnection, half: Half, direction: Direction): void {
    const held = half.held
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
    if (done > 0) held.splice(0, done)
  }

  /** Gives up what is missing before the first held segment. */
  #skipGap(half: Half): void {
    const to = half.held[0].position
    half.nextSeq = (half.nextSeq + (to - half.position)) >>> 0
    half.position = to
    half.gapPending = true
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
    this.#out.push(new Segment(connection.info, direction, half.position, length, payload, timeUs, timeRestNs, flags))
    half.position += length
    half.nextSeq = (half.nextSeq + length) >>> 0
  }

  #fin(half: Half, seq: number): void {
    if (!half.started) {
      half.started = true
      half.nextSeq = seq
    }
    const position = half.position + ((seq - half.nextSeq) | 0)
    if (half.finPosition < 0 && position >= half.position) half.finPosition = position
  }

  #acknowledge(peer: Half, ack: number, packet: TransportPacket): void {
    if (!peer.started) return
    const position = peer.position + ((ack - peer.nextSeq) | 0)
    if (position <= peer.position || position - peer.position > AHEAD_BYTES_MAX) return
    if (position > peer.ackedPosition) {
      if (peer.ackedPosition < peer.position) {
        peer.ackedUs = packet.timeUs
        peer.packetsSinceAck = 0
      }
      peer.ackedPosition = position
    }
  }

  /** Declares the gap before held data once the receiver has shown that it had those bytes. */
  #settle(connection: TcpConnection, half: Half, direction: Direction, timeUs: number): void {
    if (half.held.length === 0 || half.ackedPosition < half.held[0].position) return
    half.packetsSinceAck += 1
    if (half.packetsSinceAck <= ACK_PATIENCE_PACKETS && timeUs - half.ackedUs < ACK_PATIENCE_US) return
    this.#skipGap(half)
    this.#drain(connection, half, direction)
  }

  #closeIfDone(connection: TcpConnection, half: Half, direction: Direction, timeUs: number, timeRestNs: number): void {
    if (half.closed || half.finPosition < 0) return
    const acknowledged = half.ackedPosition >= half.finPosition && half.held.length === 0
    if (half.position < half.finPosition && !acknowledged) return
    half.closed = true
    const flags = connection.flags | SegmentFlag.CLOSE
    this.#out.push(new Segment(connection.info, direction, half.finPosition, 0, NO_BYTES, timeUs, timeRestNs, flags))
  }

  /** A reset counts only where its number lies in the window; forged ones elsewhere are ignored (RFC 5961 section 3). */
  #rst(connection: TcpConnection, half: Half, direction: Direction, seq: number, packet: TransportPacket): void {
    const ahead = (seq - half.nextSeq) | 0
    if (half.started && (ahead < -(1 << 20) || ahead > 1 << 20)) return this.#skipped.count('out_of_window', 0)
    this.#flush(connection)
    connection.reset = true
    const peer = half === connection.fromA ? connection.fromB : connection.fromA
    const flags = connection.flags | SegmentFlag.CLOSE | SegmentFlag.RESET
    const { timeUs, timeRestNs } = packet
    for (const [end, way] of [
      [half, direction],
      [peer, (1 - direction) as Direction],
    ] as const) {
      if (end.closed) continue
      end.closed = true
      this.#out.push(new Segment(connection.info, way, end.position, 0, NO_BYTES, timeUs, timeRestNs, flags))
    }
  }

  #flush(connection: TcpConnection): void {
    for (const half of [connection.fromA, connection.fromB]) {
      const direction = (half === connection.fromA ? connection.aDirection : 1 - connection.aDirection) as Direction
      while (half.held.length > 0) {
        if (half.held[0].position > half.position) this.#skipGap(half)
        this.#drain(connection, half, direction)
      }
    }
  }

  #forget(connection: TcpConnection): void {
    this.#flush(connection)
    for (const half of [connection.fromA, connection.fromB]) {
      if (half.closed) continue
      half.closed = true
      const direction = (half === connection.fromA ? connection.aDirection : 1 - connection.aDirection) as Direction
      const position = Math.max(half.position, half.finPosition)
      const flags = connection.flags | SegmentFlag.CLOSE
      this.#out.push(new Segment(connection.info, direction, position, 0, NO_BYTES, connection.lastUs, 0, flags))
    }
    this.#table.remove(connection.hash, connection)
  }

  #sweep(nowUs: number): void {
    for (const connection of [...this.#table.values()]) {
      const limit = connection.finished ? CLOSED_LINGER_US : IDLE_US
      if (nowUs - connection.lastUs > limit) this.#forget(connection)
    }
  }

  /** Room for new connections: the longest silent quarter goes. */
  #evict(): void {
    const all = [...this.#table.values()].sort((x, y) => x.lastUs - y.lastUs)
    for (const connection of all.slice(0, all.length >> 2)) {
      if (!connection.finished) this.#skipped.count('connection_limit', 0)
      this.#forget(connection)
    }
  }
}

function u32(bytes: Buffer, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}
