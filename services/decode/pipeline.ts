/**
 * Segments in, flows out: finds the connection, puts bytes in order, chooses a decoder, and turns what it hands over into
 * rows. Synchronous; one instance per partition or file. Runs on segment time only, so that the same segments always give
 * the same flows.
 */
import type { Exchange } from '../core/exchange.js'
import type { Flow } from '../core/flow.js'
import { BAD, type CloseReason, MORE, type Protocol, SWITCH, WITHDRAW } from '../core/protocol.js'
import type { ConnectionRow, UndecodedReason } from '../core/rows.js'
import { type Direction, type Segment, SegmentFlag, TO_CLIENT, TO_SERVER } from '../core/segment.js'
import { Connection } from './connection.js'
import { type Detection, detect } from './detection.js'
import { FlowContext, FlowRow } from './flow_row.js'
import * as limits from './limits.js'
import type { FlowPolicy } from './policy.js'
import type { Half } from './reassembler.js'

export interface PipelineOptions {
  readonly protocols: readonly Protocol[]
  readonly policy: FlowPolicy
  readonly onFlow: (flow: Flow) => void
  readonly onConnection: (row: ConnectionRow) => void
  /** Told of a decoder's own failure: where it was, never what the bytes were. */
  readonly onDecoderFailure?: (connection: string, protocol: string, error: unknown) => void
}

export class DecodePipeline {
  readonly #options: PipelineOptions
  readonly #connections = new Map<bigint, Connection>()
  #last: Connection | null = null
  #nowUs = 0
  #untilSweep = limits.SWEEP_SEGMENTS
  segments = 0
  flows = 0
  decoderFailures = 0

  constructor(options: PipelineOptions) {
    this.#options = options
  }

  push(segments: readonly Segment[]): void {
    for (let i = 0; i < segments.length; i++) this.#segment(segments[i])
    this.segments += segments.length
    this.#untilSweep -= segments.length
    if (this.#untilSweep <= 0) {
      this.#untilSweep = limits.SWEEP_SEGMENTS
      this.#closeIdle()
    }
  }

  /** Nothing more will come: open exchanges and connections are handed over as they stand. */
  finish(): void {
    for (const connection of this.#connections.values()) this.#close(connection, 'input_end')
    this.#connections.clear()
    this.#last = null
  }

  get openConnections(): number {
    return this.#connections.size
  }

  /** For tests and debug runs: the first connection whose sums do not hold, or null. */
  checkInvariants(): string | null {
    for (const [id, connection] of this.#connections) {
      const broken = connection.checkInvariants()
      if (broken !== null) return `connection ${id}: ${broken}`
    }
    return null
  }

  #segment(segment: Segment): void {
    const connection = this.#find(segment)
    const { flags, timeUs } = segment
    if (timeUs > connection.lastUs) connection.lastUs = timeUs
    if (timeUs > this.#nowUs) this.#nowUs = timeUs
    const direction = (segment.direction ^ connection.turned) as Direction
    const half = connection.half(direction)
    if ((flags & SegmentFlag.BIND) !== 0) return
    this.#inOrder(connection, half, direction, segment)
    if ((flags & SegmentFlag.CLOSE) === 0) return
    this.#flushHeld(connection, half)
    if ((flags & SegmentFlag.RESET) !== 0) connection.reset = true
    // The socket under a TLS object: its bytes were captured as plaintext.
    if ((flags & SegmentFlag.MUTED) !== 0 && connection.exchanges === 0) connection.reason = 'muted'
    if (!half.ended) this.#end(connection, half, timeUs)
    if (connection.closed) this.#remove(connection, connection.reset ? 'reset' : 'closed')
  }

  #find(segment: Segment): Connection {
    const info = segment.connection
    let connection = this.#last
    if (connection !== null && connection.info === info) return connection
    connection = this.#connections.get(info.id) ?? null
    if (connection === null) {
      if (this.#connections.size >= limits.CONNECTIONS_MAX) this.#evict()
      connection = new Connection(info, segment.flags, segment.timeUs)
      this.#connections.set(info.id, connection)
    } else if (connection.info !== info) {
      connection.info = info
      connection.context = null
      if (info.clientIp !== '' && connection.unbound.length > 0) this.#releaseUnbound(connection)
    }
    this.#last = connection
    return connection
  }

  #inOrder(connection: Connection, half: Half, direction: Direction, segment: Segment): void {
    if (!half.started) {
      half.started = true
      half.position = connection.midstream ? segment.position : 0
    }
    if (segment.position > half.position) {
      const certain = (segment.flags & (SegmentFlag.GAP_BEFORE | SegmentFlag.CLOSE)) !== 0
      if (!certain && half.hold(segment)) return
      this.#flushHeld(connection, half)
      this.#gap(connection, half, direction, segment.position - half.position, segment.timeUs)
    }
    this.#take(connection, half, segment)
    while (half.held.length > 0 && half.held[0].position <= half.position) {
      this.#take(connection, half, half.takeHeld())
    }
  }

  /** What was held back comes out; the bytes that never came are gaps. */
  #flushHeld(connection: Connection, half: Half): void {
    while (half.held.length > 0) {
      const segment = half.takeHeld()
      const direction = this.#directionOf(connection, half)
      if (segment.position > half.position) {
        this.#gap(connection, half, direction, segment.position - half.position, segment.timeUs)
      }
      this.#take(connection, half, segment)
    }
  }

  #directionOf(connection: Connection, half: Half): Direction {
    return half === connection.toServer ? TO_SERVER : TO_CLIENT
  }

  /** A segment that begins at or before the next position: the new part of it is decoded. */
  #take(connection: Connection, half: Half, segment: Segment): void {
    const old = half.position - segment.position
    const length = segment.length - old
    if (length <= 0) return
    const payload = old === 0 ? segment.payload : segment.payload.subarray(Math.min(old, segment.payload.length))
    half.position += length
    half.passedBytes += length
    if (payload.length > 0) this.#bytes(connection, half, payload, segment.timeUs)
    const missing = length - payload.length
    if (missing > 0) {
      half.passedBytes -= missing
      half.position -= missing
      this.#gap(connection, half, this.#directionOf(connection, half), missing, segment.timeUs)
    }
  }

  #bytes(connection: Connection, half: Half, payload: Buffer, timeUs: number): void {
    if (connection.stage === 'undecoded') {
      half.skippedBytes += payload.length
      return
    }
    half.append(payload, timeUs)
    if (connection.stage === 'probing') this.#probe(connection, half)
    else this.#parse(connection, half)
    half.settle()
  }

  #probe(connection: Connection, half: Half): void {
    const direction = this.#directionOf(connection, half)
    const { protocols } = this.#options
    const found = detect(protocols, connection.info.transport, half.cursor, direction, connection.mayTurn)
    if (found.kind === 'found') return this.#open(connection, half, found)
    if (found.kind === 'encrypted') return this.#giveUp(connection, 'encrypted')
    if (found.kind === 'undecided' && half.cursor.length < limits.PROBE_BYTES_MAX && !half.ended) return
    // Not a message start. A connection seen from its beginning starts with one; one joined mid-way may reach one later.
    this.#skip(half, half.cursor.length)
    half.syncing = true
    half.probeSegments += 1
    const other = half === connection.toServer ? connection.toClient : connection.toServer
    if (connection.midstream || connection.withdrawn) {
      if (half.probeSegments >= limits.PROBE_SEGMENTS_MAX) this.#giveUp(connection, 'unknown_protocol')
    } else if (other.syncing || half.probeSegments >= limits.PROBE_SEGMENTS_MAX) {
      this.#giveUp(connection, 'unknown_protocol')
    }
  }

  #open(connection: Connection, half: Half, found: Extract<Detection, { kind: 'found' }>): void {
    if (found.turned) this.#turn(connection)
    connection.mayTurn = false
    connection.stage = 'decoding'
    connection.protocol = found.protocol
    connection.decoder = found.protocol.open({ exchange: (exchange) => this.#exchange(connection, exchange) })
    // This direction starts at a message; the other may have lost its beginning to the probe.
    half.syncing = false
    const other = half === connection.toServer ? connection.toClient : connection.toServer
    const otherFirst =
      other.cursor.length > 0 && other.cursor.timeUs(other.cursor.pos) < half.cursor.timeUs(half.cursor.pos)
    if (otherFirst) this.#parse(connection, other)
    this.#parse(connection, half)
    if (!otherFirst && other.cursor.length > 0) this.#parse(connection, other)
    other.settle()
  }

  /** Client and server were guessed the wrong way round: what is kept so far changes places. */
  #turn(connection: Connection): void {
    connection.turned ^= 1
    connection.context = null
    const { toServer, toClient } = connection
    const swapped = connection as { toServer: Half; toClient: Half }
    swapped.toServer = toClient
    swapped.toClient = toServer
  }

  #parse(connection: Connection, half: Half): void {
    const direction = this.#directionOf(connection, half)
    const cursor = half.cursor
    const decoder = connection.decoder
    if (decoder === null) return
    try {
      while (cursor.pos < cursor.end) {
        if (half.syncing && !this.#resync(connection, half, direction)) return
        if (cursor.neededBytes > cursor.end - cursor.pos && !half.ended) return
        cursor.ended = half.ended
        const consumed = decoder.parse(direction, cursor)
        if (consumed > 0) {
          cursor.pos += consumed
          half.consumedBytes += consumed
          cursor.neededBytes = 0
          cursor.searchedBytes = 0
        } else if (consumed === MORE) {
          if (cursor.end - cursor.pos < limits.PENDING_BYTES_MAX) return
          this.#skip(half, cursor.end - cursor.pos)
          this.#lose(connection, half, direction)
        } else if (consumed === BAD) {
          this.#skip(half, 1)
          half.syncing = true
        } else if (consumed === SWITCH || consumed === WITHDRAW) {
          return this.#probeAgain(connection, consumed)
        }
      }
    } catch (error) {
      this.#fail(connection, error)
    }
  }

  /** True once the window starts at a message again. */
  #resync(connection: Connection, half: Half, direction: Direction): boolean {
    const cursor = half.cursor
    cursor.neededBytes = 0
    const offset = connection.decoder?.resync(direction, cursor) ?? -1
    if (offset >= 0) {
      half.syncSearched = 0
      this.#skip(half, offset)
      half.syncing = false
      return true
    }
    const size = cursor.end - cursor.pos
    const drop = Math.max(0, size - limits.RESYNC_TAIL_BYTES)
    half.syncSearched += drop
    this.#skip(half, drop)
    if (half.syncSearched > limits.RESYNC_BYTES_MAX) this.#giveUp(connection, 'withdrawn')
    return false
  }

  #skip(half: Half, size: number): void {
    half.cursor.pos += size
    half.skippedBytes += size
    half.cursor.searchedBytes = 0
    half.cursor.neededBytes = 0
  }

  #gap(connection: Connection, half: Half, direction: Direction, size: number, timeUs: number): void {
    half.position += size
    half.passedBytes += size
    half.gapBytes += size
    if (connection.stage !== 'decoding' || connection.decoder === null) {
      this.#skip(half, half.cursor.length)
      half.settle()
      half.syncing = true
      return
    }
    // A frame that was begun cannot be finished.
    const left = half.cursor.length
    this.#skip(half, left)
    half.settle()
    try {
      if (half.syncing) connection.decoder.gap(direction, size + left, timeUs)
      else if (!connection.decoder.gap(direction, size + left, timeUs) || left > 0) half.syncing = true
    } catch (error) {
      this.#fail(connection, error)
    }
  }

  #lose(connection: Connection, half: Half, direction: Direction): void {
    connection.decoder?.gap(direction, 0, connection.lastUs)
    half.syncing = true
  }

  #end(connection: Connection, half: Half, timeUs: number): void {
    half.ended = true
    const direction = this.#directionOf(connection, half)
    if (connection.stage === 'probing' && half.cursor.length > 0) this.#probe(connection, half)
    if (connection.stage !== 'decoding' || connection.decoder === null) return
    if (half.cursor.length > 0) this.#parse(connection, half)
    half.settle()
    try {
      connection.decoder?.end(direction, timeUs)
    } catch (error) {
      this.#fail(connection, error)
    }
  }

  /** Another protocol follows, or this never was the one: the decoder is closed and the bytes are probed once more. */
  #probeAgain(connection: Connection, why: typeof SWITCH | typeof WITHDRAW): void {
    connection.decoder?.close('switched', connection.lastUs)
    connection.decoder = null
    connection.stage = 'probing'
    if (why === WITHDRAW) {
      if (connection.withdrawn) return this.#giveUp(connection, 'withdrawn')
      connection.withdrawn = true
    } else {
      connection.withdrawn = true
      connection.reason = ''
    }
    for (const half of [connection.toServer, connection.toClient]) {
      half.syncing = false
      half.probeSegments = 0
      half.cursor.neededBytes = 0
      half.cursor.searchedBytes = 0
    }
    for (const half of [connection.toServer, connection.toClient]) {
      if (half.cursor.length > 0 && connection.stage === 'probing') this.#probe(connection, half)
    }
  }

  #giveUp(connection: Connection, reason: UndecodedReason): void {
    connection.decoder?.close('switched', connection.lastUs)
    connection.stage = 'undecoded'
    connection.reason = reason
    connection.decoder = null
    for (const half of [connection.toServer, connection.toClient]) {
      this.#skip(half, half.cursor.length)
      half.settle()
    }
  }

  /** The fence: whatever a decoder throws costs this connection only. */
  #fail(connection: Connection, error: unknown): void {
    this.decoderFailures += 1
    this.#options.onDecoderFailure?.(connection.info.id.toString(), connection.protocol?.name ?? '', error)
    connection.decoder = null
    this.#giveUp(connection, 'decoder_failed')
  }

  #exchange(connection: Connection, exchange: Exchange): void {
    const { info, unbound } = connection
    if (info.clientIp === '' && info.source !== 'pcap' && unbound.length < limits.UNBOUND_EXCHANGES_MAX) {
      unbound.push(exchange)
      return
    }
    this.#flow(connection, exchange)
  }

  /** The addresses are known, or never will be. */
  #releaseUnbound(connection: Connection): void {
    for (const exchange of connection.unbound.splice(0)) this.#flow(connection, exchange)
  }

  #flow(connection: Connection, exchange: Exchange): void {
    if (connection.context === null) connection.context = new FlowContext(connection.info, connection.turned === 1)
    const flow = new FlowRow(connection.context, exchange, connection.exchanges)
    connection.exchanges += 1
    this.flows += 1
    this.#options.policy.apply(flow)
    this.#options.onFlow(flow)
  }

  #remove(connection: Connection, reason: CloseReason): void {
    this.#connections.delete(connection.info.id)
    if (this.#last === connection) this.#last = null
    this.#close(connection, reason)
  }

  #close(connection: Connection, reason: CloseReason): void {
    for (const half of [connection.toServer, connection.toClient]) this.#flushHeld(connection, half)
    try {
      connection.decoder?.close(reason, connection.lastUs)
    } catch (error) {
      this.#fail(connection, error)
    }
    this.#releaseUnbound(connection)
    this.#options.onConnection(connectionRow(connection, reason))
  }

  #closeIdle(): void {
    for (const connection of [...this.#connections.values()]) {
      if (this.#nowUs - connection.lastUs > limits.IDLE_US) this.#remove(connection, 'idle')
    }
  }

  #evict(): void {
    const all = [...this.#connections.values()].sort((a, b) => a.lastUs - b.lastUs)
    for (const connection of all.slice(0, all.length >> 2)) this.#remove(connection, 'evicted')
  }
}

function connectionRow(connection: Connection, reason: CloseReason): ConnectionRow {
  const context = connection.context ?? new FlowContext(connection.info, connection.turned === 1)
  const { toServer, toClient } = connection
  return {
    ts: connection.firstUs,
    end_ts: connection.lastUs,
    cluster: context.cluster,
    node: context.node,
    capture_side: context.captureSide,
    capture_source: context.captureSource,
    conn_id: context.connId,
    transport: context.transport,
    client_ip: context.clientIp,
    client_port: context.clientPort,
    server_ip: context.serverIp,
    server_port: context.serverPort,
    pid: context.pid,
    comm: context.comm,
    container: context.container,
    protocol: connection.protocol?.name ?? '',
    undecoded_reason: connection.exchanges > 0 ? connection.reason : undecodedReason(connection),
    tls_version: context.tlsVersion,
    bytes_to_server: toServer.passedBytes,
    bytes_to_client: toClient.passedBytes,
    gap_bytes_to_server: toServer.gapBytes,
    gap_bytes_to_client: toClient.gapBytes,
    exchanges: connection.exchanges,
    state: reason,
    midstream: connection.midstream ? 1 : 0,
  }
}

function undecodedReason(connection: Connection): UndecodedReason {
  if (connection.reason !== '' || connection.stage === 'decoding') return connection.reason
  const { toServer, toClient } = connection
  const passed = toServer.passedBytes + toClient.passedBytes
  if (passed === 0) return 'no_payload'
  if (passed === toServer.gapBytes + toClient.gapBytes) return 'muted'
  return toServer.syncing || toClient.syncing ? 'unknown_protocol' : 'too_little'
}
