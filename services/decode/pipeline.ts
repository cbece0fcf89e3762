/**
 * Segments in, flows out: finds the connection, puts its segments in order, has them decoded, and turns what comes out into
 * rows. Synchronous; one instance per partition or file. Runs on segment time only, so that the same segments always give
 * the same flows.
 */
import type { PodDirectory } from '../core/ports/pods.js'
import type { CloseReason, Protocol } from '../core/protocol.js'
import type { ConnectionRow } from '../core/rows.js'
import { type Segment, SegmentFlag } from '../core/segment.js'
import { MESSAGE_BYTES_MAX } from '../core/topics.js'
import { Accounting } from './accounting.js'
import { restoreConnection, saveConnection } from './checkpoint.js'
import { type CheckpointEntry, closedKey, connectionKey, isClosedKey, isConnectionKey } from './checkpoint_keys.js'
import type { Connection } from './connection.js'
import { connectionRow } from './connection_row.js'
import { Connections } from './connections.js'
import { Driver } from './driver.js'
import { Evidence } from './evidence.js'
import { FlowMaker, type FlowMakerOptions } from './flow_maker.js'
import * as limits from './limits.js'
import type { Half } from './reassembler.js'
import { SegmentOrder } from './segment_order.js'

/** Below this in one direction the other cannot make the connection too large. */
const HALF_BYTES_LOOKED_AT = limits.CONNECTION_BYTES_MAX / 4

export interface PipelineOptions extends FlowMakerOptions {
  readonly protocols: readonly Protocol[]
  /** Names the ends; without one they stay unknown. */
  readonly pods?: PodDirectory
  readonly onConnection: (row: ConnectionRow) => void
  /** The input begins in the middle of connections: what comes first of one is not taken for its beginning. */
  readonly joins?: boolean
  /** Nobody looks at `attrs`, nor at what was left out of them: decoders need not make them. */
  readonly withoutAttrs?: boolean
  /** Told of a decoder's own failure: where it was, never what the bytes were. */
  readonly onDecoderFailure?: (connection: string, protocol: string, error: unknown) => void
}

export class DecodePipeline {
  readonly #options: PipelineOptions
  readonly #pods: PodDirectory | null
  readonly accounting = new Accounting()
  readonly #connections: Connections
  readonly #driver: Driver
  readonly #order: SegmentOrder
  readonly #flows: FlowMaker
  /** Offset of the message that is being decoded; -1 where segments come from no log. */
  #offset = -1
  /** Connections that changed since the last checkpoint; null where nobody asks for checkpoints. */
  #touched: Connection[] | null = null
  /** Connections that are over since then, and of which an older checkpoint exists. */
  #over: bigint[] = []
  #nowUs = 0
  #untilSweep = limits.SWEEP_SEGMENTS
  #sweptUs = 0

  constructor(options: PipelineOptions) {
    this.#options = options
    this.#pods = options.pods ?? null
    this.#connections = new Connections(this.accounting, (connection, reason) => this.#closed(connection, reason))
    const { protocols, onDecoderFailure, withoutAttrs } = options
    this.#driver = new Driver(
      protocols,
      this.accounting,
      ({ info, protocol }, error) => onDecoderFailure?.(info.id.toString(), protocol?.name ?? '', error),
      withoutAttrs,
    )
    this.#order = new SegmentOrder(this.#driver, this.accounting, options.joins === true)
    this.#flows = new FlowMaker(options, this.accounting)
  }

  /**
   * `offset`: of the message of klartext.segments that they came in. `knownUs`: the flows that come of them are named by what
   * was known of pods at that time, by default by all that is known.
   */
  push(segments: readonly Segment[], offset = -1, knownUs: number = Number.POSITIVE_INFINITY): void {
    this.#offset = offset
    if (this.#pods !== null) this.#flows.names = this.#pods.at(knownUs)
    for (let i = 0; i < segments.length; i++) this.#segment(segments[i])
    this.accounting.segments += segments.length
    if (this.accounting.ownBytes > limits.OWN_BYTES_MAX) this.#connections.shrink()
    this.#untilSweep -= segments.length
    if (this.#untilSweep <= 0 || this.#nowUs - this.#sweptUs > limits.SWEEP_US) {
      this.#untilSweep = limits.SWEEP_SEGMENTS
      this.#sweptUs = this.#nowUs
      this.#connections.closeIdle(this.#nowUs)
    }
  }

  /** Nothing more will come: open exchanges and connections are handed over as they stand. */
  finish(): void {
    this.#flows.names ??= this.#pods?.at(Number.POSITIVE_INFINITY) ?? null
    this.#connections.closeAll('input_end')
  }

  /** Rows of the connections that are open, as they stand. */
  openRows(): ConnectionRow[] {
    return [...this.#connections.values()].map((connection) => connectionRow(connection, 'open'))
  }

  /** From here on changes are kept for `takeCheckpoint`; before the first segment. */
  keepChanges(): void {
    this.#touched ??= []
  }

  /**
   * What changed since the last call. Another pipeline that restores all of it goes on with the same flows. A connection whose
   * state does not fit into a message is closed as `evicted`: its last flows are handed over here, and belong to this checkpoint.
   */
  takeCheckpoint(): CheckpointEntry[] {
    const changed: CheckpointEntry[] = []
    for (const connection of this.#touched ?? []) {
      connection.touched = false
      if (this.#connections.get(connection.info.id) !== connection) continue
      const value = this.#save(connection)
      if (value.length > MESSAGE_BYTES_MAX) {
        this.#connections.close(connection, 'evicted')
        continue
      }
      connection.saved = true
      changed.push({ key: connectionKey(connection.info.id), value })
    }
    const entries: CheckpointEntry[] = []
    for (const id of this.#over) {
      if (this.#connections.get(id) === undefined) entries.push({ key: connectionKey(id), value: null })
    }
    entries.push(...changed)
    for (const [part, value] of this.#connections.closed.takeChanges()) entries.push({ key: closedKey(part), value })
    this.#over = []
    this.#touched = []
    return entries
  }

  /** The pipeline's own few numbers: they belong beside the position, in one place. */
  saveClock(): number[] {
    return [this.#nowUs, this.#sweptUs, this.#untilSweep, this.#connections.closed.filling]
  }

  /** Into a new pipeline: `clock` of `saveClock`, and the newest value of each key that `takeCheckpoint` gave. */
  restore(clock: readonly number[], entries: Iterable<readonly [key: Buffer, value: Buffer]>): void {
    this.keepChanges()
    const [nowUs = 0, sweptUs = 0, untilSweep = limits.SWEEP_SEGMENTS, filling = 0] = clock
    this.#nowUs = nowUs
    this.#sweptUs = sweptUs
    this.#untilSweep = untilSweep
    const closed = new Map<number, Buffer>()
    for (const [key, value] of entries) {
      if (isClosedKey(key)) closed.set(key[1], value)
      else if (isConnectionKey(key)) this.#restoreConnection(key.readBigUInt64BE(1), value)
    }
    this.#connections.closed.restore(filling, closed)
  }

  #restoreConnection(id: bigint, state: Buffer): void {
    const restored = restoreConnection(id, state, this.accounting)
    if (restored === null) {
      this.accounting.statesUnreadable += 1
      // As if it were over: what comes of it is joined mid-way.
      this.#connections.closed.remember(id, 0)
      this.#over.push(id)
      return
    }
    const { connection, protocol, decoderState } = restored
    for (const half of [connection.toServer, connection.toClient]) {
      this.accounting.payloadBytes += half.cursor.length + half.heldBytes
    }
    this.#driver.restore(connection, protocol, decoderState)
    this.#connections.restore(connection)
  }

  #save(connection: Connection): Buffer {
    try {
      return saveConnection(connection)
    } catch (error) {
      this.#driver.fail(connection, error)
      return saveConnection(connection)
    }
  }

  #touch(connection: Connection): void {
    if (connection.touched || this.#touched === null) return
    connection.touched = true
    this.#touched.push(connection)
  }

  get openConnections(): number {
    return this.#connections.size
  }

  /** The connection that holds most memory for bytes that wait, and how much; null where none holds any. Looks at all. */
  get largestHolder(): { readonly connId: string; readonly bytes: number; readonly lastUs: number } | null {
    let largest: Connection | null = null
    for (const connection of this.#connections.values()) {
      if (connection.ownBytes > (largest?.ownBytes ?? 0)) largest = connection
    }
    if (largest === null) return null
    return { connId: String(largest.info.id), bytes: largest.ownBytes, lastUs: largest.lastUs }
  }

  get segments(): number {
    return this.accounting.segments
  }

  get flows(): number {
    return this.accounting.flows
  }

  get decoderFailures(): number {
    return this.accounting.decoderFailures
  }

  /** For tests and debug runs: the first sum that does not hold, or null. */
  checkInvariants(): string | null {
    let waiting = 0
    let own = 0
    for (const connection of this.#connections.values()) {
      const broken = connection.checkInvariants()
      if (broken !== null) return `connection ${connection.info.id}: ${broken}`
      for (const half of [connection.toServer, connection.toClient]) {
        waiting += half.cursor.length + half.heldBytes
        own += half.ownBytes
      }
    }
    const { payloadBytes, consumedBytes, allSkippedBytes, duplicateBytes, ownBytes } = this.accounting
    const accounted = consumedBytes + allSkippedBytes + duplicateBytes + waiting
    if (payloadBytes !== accounted) return `${payloadBytes} payload bytes came in, ${accounted} are accounted for`
    return own === ownBytes ? null : `${own} bytes of memory are held, ${ownBytes} counted`
  }

  #segment(segment: Segment): void {
    const connection = this.#connections.find(segment)
    if (connection.info !== segment.connection) this.#learn(connection, segment)
    const { flags, timeUs } = segment
    this.#touch(connection)
    if (this.#offset >= 0) {
      connection.evidence ??= new Evidence()
      connection.evidence.mark(this.#offset, connection.lastUs)
    }
    if (timeUs > connection.lastUs) {
      connection.lastUs = timeUs
      if (timeUs > this.#nowUs) this.#nowUs = timeUs
    }
    if ((flags & SegmentFlag.OPEN) !== 0) connection.opened = true
    this.accounting.payloadBytes += segment.payload.length
    const half = connection.half(segment.direction ^ connection.turned)
    if (segment.length > 0 || (flags & SegmentFlag.CLOSE) !== 0) this.#order.take(connection, half, segment)
    if ((flags & SegmentFlag.CLOSE) !== 0) this.#closeHalf(connection, half, segment)
    if (this.#driver.finishedCount > 0) this.#flows.handOver(connection, this.#driver)
    if (connection.unbound.length > 0 && timeUs - connection.unboundSinceUs > limits.UNBOUND_US_MAX) {
      connection.staysUnbound = true
      this.#flows.releaseUnbound(connection)
    }
    // One connection must not take the memory of many: waiting bytes, and segments held back.
    if (half.ownBytes > HALF_BYTES_LOOKED_AT && connection.ownBytes > limits.CONNECTION_BYTES_MAX) {
      return this.#connections.close(connection, 'evicted')
    }
    if (connection.closed) this.#connections.close(connection, connection.reset ? 'reset' : 'closed')
  }

  /** The source has found out more about a connection. */
  #learn(connection: Connection, segment: Segment): void {
    connection.info = segment.connection
    connection.context = null
    if (segment.connection.clientIp !== '') this.#flows.releaseUnbound(connection)
  }

  #closeHalf(connection: Connection, half: Half, segment: Segment): void {
    this.#order.flushHeld(connection, half, Number.POSITIVE_INFINITY)
    if ((segment.flags & SegmentFlag.RESET) !== 0) connection.reset = true
    // The socket under a TLS object: its bytes were captured as plaintext.
    if ((segment.flags & SegmentFlag.MUTED) !== 0 && connection.exchanges === 0)
      this.#driver.forget(connection, 'muted')
    if (!half.ended) this.#driver.end(connection, half, segment.timeUs)
  }

  /**
   * A socket that carries a captured TLS object says so when it closes. Where that was not seen, the hello that went by
   * before the two were known to belong together must not become a flow beside those of the plaintext.
   */
  #mayBeMuted(connection: Connection, reason: CloseReason): boolean {
    if (connection.info.source !== 'socket' || connection.exchanges > 0 || connection.protocol?.encrypted !== true)
      return false
    return reason === 'input_end' || reason === 'idle' || reason === 'evicted'
  }

  #closed(connection: Connection, reason: CloseReason): void {
    for (const half of [connection.toServer, connection.toClient]) {
      this.#order.flushHeld(connection, half, Number.POSITIVE_INFINITY)
    }
    if (this.#mayBeMuted(connection, reason)) this.#driver.forget(connection, 'encrypted')
    this.#driver.close(connection, reason)
    connection.staysUnbound = true
    this.#flows.releaseUnbound(connection)
    this.#flows.handOver(connection, this.#driver)
    this.#options.onConnection(connectionRow(connection, reason))
    if (connection.saved) this.#over.push(connection.info.id)
  }
}
