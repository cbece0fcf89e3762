/** The sink: every message of klartext.flows, klartext.connections and klartext.coverage becomes a row, once. */
import type { Bus, BusConsumer } from '../core/ports/bus.js'
import type { Clock } from '../core/ports/clock.js'
import type { Store } from '../core/ports/store.js'
import type { ReadPosition } from '../core/telemetry/lag.js'
import { SinkMetrics } from './metrics.js'
import { type BlockLimits, PartitionSink, type PartitionSinkOptions } from './partition_sink.js'
import { SINK_TABLES, type SinkTable } from './tables.js'

export interface SinkOptions {
  readonly bus: Bus
  readonly store: Store
  readonly clock: Clock
  readonly group: string
  readonly epoch: string
  readonly limits?: Partial<BlockLimits>
  /** Told what went wrong and is tried again, or passed over. */
  readonly onError?: (error: unknown) => void
  /** Told whenever the loop has come on: a sink that is silent for long hangs. */
  readonly onProgress?: () => void
}

/** Large blocks keep the number of parts low; a person who waits for a row waits about `ageMs`. */
const LIMITS: BlockLimits = { rows: 50_000, bytes: 64 << 20, ageMs: 400 }
/**
 * Rows that all partitions hold in memory together, and the bytes of their records: a store that is away must not fill it. A
 * flow is held as its record, other rows are some times theirs. Where blocks are larger two of them fit at any rate.
 */
const HELD_ROWS_MAX = 200_000
const HELD_BYTES_MAX = 64 << 20
const POLL_BYTES = 4 << 20
const POLL_WAIT_MS = 50
const RETRY_MS = 250

export class Sink {
  readonly #options: SinkOptions
  readonly #limits: BlockLimits
  readonly metrics = new SinkMetrics()
  readonly #partitions = new Map<string, PartitionSink>()
  /** Assigned, but could not be taken, or failed: to be taken again. */
  readonly #broken = new Map<
    string,
    { readonly target: SinkTable; readonly partition: number; readonly error: Error }
  >()
  readonly #paused = new Set<string>()
  #consumer: BusConsumer | null = null
  /** Topics of which it is known what is ours. */
  readonly #joined = new Set<string>()
  /** What the last poll failed with. */
  #pollFailure: unknown = null
  /** How often a partition was taken: what was polled before says nothing of what it goes on from. */
  #takes = 0
  #retryAt = 0
  #stopping = false
  #running: Promise<void> | null = null

  constructor(options: SinkOptions) {
    this.#options = options
    this.#limits = { ...LIMITS, ...options.limits }
  }

  async start(): Promise<void> {
    const consumer = await this.#options.bus.consumer(this.#options.group)
    this.#consumer = consumer
    try {
      for (const target of SINK_TABLES) {
        await consumer.subscribe(target.topic, (partitions) => this.#assigned(target, partitions))
      }
    } catch (error) {
      await consumer.close()
      throw error
    }
  }

  get #nowMs(): number {
    return this.#options.clock.elapsedMs()
  }

  /** Blocks in hand are made anew from what was committed: little is lost, and nothing has to be compared. */
  async #assigned(target: SinkTable, partitions: readonly number[]): Promise<void> {
    for (const [key, sink] of this.#partitions) {
      if (sink.input.topic !== target.topic) continue
      sink.abandon()
      this.#forget(key)
    }
    for (const [key, broken] of this.#broken) if (broken.target === target) this.#broken.delete(key)
    for (const partition of partitions) {
      await this.#take(target, partition)
      this.#options.onProgress?.()
    }
    this.#joined.add(target.topic)
  }

  /** The store's last refusal, while it refuses; null where inserts go through. */
  get trouble(): string | null {
    for (const { trouble } of this.#partitions.values()) if (trouble !== null) return trouble.message
    return null
  }

  /** Why it does not store, in one line; null where it does. */
  get notReady(): string | null {
    if (this.#pollFailure !== null) return (this.#pollFailure as Error).message
    if (this.#joined.size < SINK_TABLES.length) return 'no partitions are assigned yet'
    if (this.trouble !== null) return this.trouble
    for (const [key, { blocked }] of this.#partitions) if (blocked !== null) return `${key}: ${blocked.message}`
    for (const [key, { error }] of this.#broken) return `${key} is not taken yet: ${error.message}`
    return null
  }

  /** What lag is measured by. */
  positions(): ReadPosition[] {
    return [...this.#partitions.values()].map(({ position }) => position)
  }

  status(): { readonly partitions: readonly object[] } {
    const partitions = [...this.#partitions.values()]
    return {
      partitions: partitions.map((sink) => ({
        ...sink.position,
        waitingRows: sink.waitingRows,
        waitingBytes: sink.waitingBytes,
        inserting: sink.flushing,
        trouble: sink.trouble?.message ?? null,
        blocked: sink.blocked?.message ?? null,
      })),
    }
  }

  #forget(key: string): void {
    this.#partitions.delete(key)
    this.#paused.delete(key)
  }

  async #take(target: SinkTable, partition: number): Promise<void> {
    const consumer = this.#consumer as BusConsumer
    const key = `${target.topic}/${partition}`
    this.#takes += 1
    try {
      const { store, clock, epoch, onError } = this.#options
      const options: PartitionSinkOptions = {
        store,
        consumer,
        clock,
        epoch,
        limits: this.#limits,
        metrics: this.metrics,
        ...(onError === undefined ? {} : { onError }),
      }
      this.#partitions.set(key, await PartitionSink.take(options, target, partition))
    } catch (error) {
      if ((error as { code?: string }).code === 'BAD_INTENT') throw error
      consumer.pause({ topic: target.topic, partition })
      this.#broken.set(key, { target, partition, error: error as Error })
      this.#retryAt = this.#nowMs + RETRY_MS
      this.#report(error)
    }
  }

  #report(error: unknown): void {
    if ((error as { code?: string }).code === 'FENCED') this.metrics.fenced += 1
    else {
      this.metrics.failures += 1
      this.#options.onError?.(error)
    }
  }

  /** One poll and what follows from it. Answers the number of records. Throws what the store refuses for good. */
  async step(waitMs = POLL_WAIT_MS): Promise<number> {
    const consumer = this.#consumer as BusConsumer
    const records = await consumer.poll(POLL_BYTES, waitMs)
    const retaken = await this.#repair()
    const now = this.#nowMs
    for (const record of records) {
      const key = `${record.topic}/${record.partition}`
      if (!retaken.has(key)) this.#partitions.get(key)?.push(record, now)
    }
    const isCrowded = this.#isCrowded()
    for (const [key, sink] of this.#partitions) {
      sink.flushIfDue(now)
      this.#throttle(key, sink, isCrowded)
    }
    return records.length
  }

  async #repair(): Promise<Set<string>> {
    const retaken = new Set<string>()
    for (const [key, sink] of this.#partitions) {
      const { failure, input } = sink
      if (failure === null) continue
      if (!retryable(failure)) throw failure
      this.#report(failure)
      sink.abandon()
      this.#forget(key)
      await this.#take(SINK_TABLES.find(({ topic }) => topic === input.topic) as SinkTable, input.partition)
      retaken.add(key)
    }
    if (this.#broken.size === 0 || this.#nowMs < this.#retryAt) return retaken
    for (const [key, { target, partition }] of [...this.#broken]) {
      this.#broken.delete(key)
      this.#consumer?.resume({ topic: target.topic, partition })
      await this.#take(target, partition)
      retaken.add(key)
    }
    return retaken
  }

  #isCrowded(): boolean {
    let [rows, bytes] = [0, 0]
    for (const sink of this.#partitions.values()) {
      rows += sink.heldRows
      bytes += sink.heldBytes
    }
    return (
      rows >= Math.max(HELD_ROWS_MAX, 2 * this.#limits.rows) ||
      bytes >= Math.max(HELD_BYTES_MAX, 2 * this.#limits.bytes)
    )
  }

  /** While the store is away, a partition whose next block is full is not read on. */
  #throttle(key: string, sink: PartitionSink, isCrowded: boolean): void {
    const { rows, bytes } = this.#limits
    const isBlocked = sink.blocked !== null
    const isFull = sink.waitingRows >= rows || sink.waitingBytes >= bytes || (isCrowded && !sink.replaying)
    const full = isBlocked || isFull
    if (full === this.#paused.has(key)) return
    if (full) {
      if (isBlocked) this.#report(sink.blocked)
      this.#paused.add(key)
      this.metrics.pauses += 1
      this.#consumer?.pause(sink.input)
    } else {
      this.#paused.delete(key)
      this.#consumer?.resume(sink.input)
    }
  }

  /** Until `stop` or `drain`; rejects with what the store refuses for good. */
  run(): Promise<void> {
    this.#running = this.#run()
    return this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#options.onProgress?.()
      try {
        await this.step()
        this.#pollFailure = null
      } catch (error) {
        if (!retryable(error)) throw error
        this.#pollFailure = error
        this.#report(error)
        await this.#options.clock.sleep(RETRY_MS)
      }
    }
  }

  /** Stores what is in hand and leaves the group. While the store is away that waits; a second signal may kill it. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#running
    await this.#flushAll()
    await this.#consumer?.close()
  }

  /** Stores all that is in the topics, then leaves: for a bus that ends with this process. */
  async drain(): Promise<void> {
    this.#stopping = true
    await this.#running
    for (;;) {
      // A poll that brings nothing while a partition is paused says nothing, nor does one before a partition is taken again.
      const all = this.#allRead && this.#broken.size === 0
      const takes = this.#takes
      const records = await this.step(0)
      await this.#flushAll()
      if (all && records === 0 && this.#takes === takes && this.#broken.size === 0 && this.#idle) break
    }
    await this.#consumer?.close()
  }

  /** No partition is paused, but for those that end here until a newer klartext goes on. */
  get #allRead(): boolean {
    return [...this.#paused].every((key) => (this.#partitions.get(key)?.blocked ?? null) !== null)
  }

  get #idle(): boolean {
    return [...this.#partitions.values()].every((sink) => sink.failure === null && sink.waitingBytes === 0)
  }

  async #flushAll(): Promise<void> {
    for (const sink of this.#partitions.values()) {
      await sink.settled()
      sink.flushIfDue(this.#nowMs, true)
      await sink.settled()
      if (sink.failure !== null && !retryable(sink.failure)) throw sink.failure
    }
  }

  /** Rows that are gathered or on their way to the store. */
  get waitingRows(): number {
    let rows = 0
    for (const sink of this.#partitions.values()) rows += sink.heldRows
    return rows
  }
}

/** The bus and a store that is away may come back; what the store refuses for good does not. */
function retryable(error: unknown): boolean {
  const { code, retryable: yes } = error as { code?: string; retryable?: boolean }
  return yes === true || code === 'FENCED'
}
