/**
 * The decode worker: polls klartext.segments, decodes each assigned partition by itself, and commits it at every tick. Any
 * number of workers share the partitions.
 */
import type { Bus, BusConsumer } from '../core/ports/bus.js'
import type { ReadPosition } from '../core/telemetry/lag.js'
import { TOPICS } from '../core/topics.js'
import { Accounting } from './accounting.js'
import { WorkerMetrics } from './metrics.js'
import { type PartitionOptions, PartitionWorker } from './partition_worker.js'

export interface WorkerOptions extends Omit<PartitionOptions, 'metrics' | 'bus'> {
  readonly bus: Bus
  /** Between two transactions of a partition. Flows wait for it, and each costs the state of what was touched. */
  readonly tickMs?: number
  /** Told what went wrong and is tried again. */
  readonly onError?: (error: unknown) => void
  /** Told whenever the loop has come on: a worker that is silent for long hangs. */
  readonly onProgress?: () => void
}

const TICK_MS = 200
const POLL_BYTES = 2 << 20
const POLL_WAIT_MS = 50
/** Where nothing waits to be named or committed. What arrives ends the wait. */
const IDLE_WAIT_MS = 1_000
/**
 * Where the states of very many connections are written at each tick, ticks come less often: so many times the time that it
 * took, and not later than this.
 */
const STATE_PAUSES = 10
const STATE_PAUSE_MS_MAX = 2_000
/** So much output of a partition is committed before its tick. */
const OUTPUT_BYTES = 4 << 20
const OUTPUT_SEGMENTS = 20_000
/** A partition with more than this waiting is not read until its transaction is through. */
const WAITING_BYTES_MAX = 16 << 20
const WAITING_SEGMENTS_MAX = 80_000
const RETRY_MS = 250

export class DecodeWorker {
  readonly #options: WorkerOptions
  readonly #tickMs: number
  readonly metrics = new WorkerMetrics()
  readonly #partitions = new Map<number, PartitionWorker>()
  /** Assigned, but could not be taken, or failed: to be taken again. */
  readonly #broken = new Map<number, Error>()
  readonly #paused = new Set<number>()
  #consumer: BusConsumer | null = null
  #joined = false
  /** What the last poll failed with. */
  #trouble: unknown = null
  /** How often a partition was taken: what was polled before says nothing of what it goes on from. */
  #takes = 0
  #ticked = 0
  /** Until the next tick. */
  #pauseMs: number
  #retryAt = 0
  #stopping = false
  #running: Promise<void> | null = null

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#tickMs = options.tickMs ?? TICK_MS
    this.#pauseMs = this.#tickMs
  }

  async start(): Promise<void> {
    const consumer = await this.#options.bus.consumer(this.#options.group)
    this.#consumer = consumer
    try {
      await consumer.subscribe(TOPICS.segments, (partitions) => this.#assigned(partitions))
    } catch (error) {
      await consumer.close()
      throw error
    }
  }

  get #nowMs(): number {
    return this.#options.clock.elapsedMs()
  }

  /** Partitions that were ours and still are keep their state if nobody has committed for them in between. */
  async #assigned(partitions: readonly number[]): Promise<void> {
    this.#paused.clear()
    this.#broken.clear()
    for (const [partition, worker] of this.#partitions) {
      if (partitions.includes(partition) && (await this.#stillOurs(worker))) continue
      this.#partitions.delete(partition)
      // Not waited for: its transaction is fenced by whoever has the partition now.
      void worker.close().catch(() => {})
    }
    for (const partition of partitions) {
      if (!this.#partitions.has(partition)) await this.#take(partition)
      this.#options.onProgress?.()
    }
    this.#joined = true
  }

  /** Why it does not decode, in one line; null where it does. */
  get notReady(): string | null {
    if (this.#trouble !== null) return (this.#trouble as Error).message
    if (!this.#joined) return 'no partitions are assigned yet'
    for (const { blocked, partition } of this.#partitions.values()) {
      if (blocked !== null) return `partition ${partition}: ${blocked.message}`
    }
    for (const [partition, { message }] of this.#broken) return `partition ${partition} is not taken yet: ${message}`
    return null
  }

  async #stillOurs(worker: PartitionWorker): Promise<boolean> {
    const consumer = this.#consumer as BusConsumer
    const input = { topic: TOPICS.segments, partition: worker.partition }
    try {
      await worker.settled()
      if (worker.failed) return false
      const { offset } = await consumer.committed(input)
      if ((offset < 0n ? 0n : offset) !== worker.committedOffset) return false
      worker.rewind()
      consumer.seek(input, worker.next)
      return true
    } catch (error) {
      this.#report(error)
      return false
    }
  }

  async #take(partition: number): Promise<void> {
    const consumer = this.#consumer as BusConsumer
    this.#takes += 1
    try {
      const options = { ...this.#options, metrics: this.metrics }
      this.#partitions.set(partition, await PartitionWorker.take(options, consumer, partition))
      this.metrics.takeovers += 1
    } catch (error) {
      this.#broken.set(partition, error as Error)
      consumer.pause({ topic: TOPICS.segments, partition })
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

  /** One poll and what follows from it. Answers the number of messages it brought. */
  async step(waitMs = POLL_WAIT_MS): Promise<number> {
    const consumer = this.#consumer as BusConsumer
    const records = await consumer.poll(POLL_BYTES, waitMs)
    const retaken = await this.#repair()
    for (const record of records) {
      // What was polled before a partition was taken again lies beyond where it goes on.
      if (!retaken.has(record.partition)) this.#partitions.get(record.partition)?.push(record)
    }
    const now = this.#nowMs
    const tick = now - this.#ticked >= this.#pauseMs
    if (tick) this.#ticked = now
    let neededUs = Number.POSITIVE_INFINITY
    for (const worker of this.#partitions.values()) {
      worker.advance()
      neededUs = Math.min(neededUs, worker.namesNeededUs)
      const much = worker.waitingBytes >= OUTPUT_BYTES || worker.waitingSegments >= OUTPUT_SEGMENTS
      if (tick || much) worker.commitSoon()
      this.#throttle(worker)
    }
    if (tick) this.#options.names?.release(neededUs)
    if (tick) {
      const spentMs = this.#nowMs - now
      this.#pauseMs = Math.max(this.#tickMs, Math.min(STATE_PAUSE_MS_MAX, STATE_PAUSES * spentMs))
    }
    return records.length
  }

  /** Runs behind the poll, which has learnt by then whether the partition is still ours. */
  async #repair(): Promise<Set<number>> {
    const retaken = new Set<number>()
    for (const [partition, worker] of this.#partitions) {
      if (!worker.failed) continue
      this.#partitions.delete(partition)
      this.#report(worker.failure)
      await worker.close().catch(() => {})
      await this.#take(partition)
      retaken.add(partition)
    }
    if (this.#broken.size === 0 || this.#nowMs < this.#retryAt) return retaken
    for (const partition of [...this.#broken.keys()]) {
      this.#broken.delete(partition)
      this.#consumer?.resume({ topic: TOPICS.segments, partition })
      await this.#take(partition)
      retaken.add(partition)
    }
    return retaken
  }

  #throttle(worker: PartitionWorker): void {
    const input = { topic: TOPICS.segments, partition: worker.partition }
    const isBlocked = worker.blocked !== null
    const waitingBytes = worker.waitingBytes + worker.unnamedBytes
    const full = isBlocked || waitingBytes > WAITING_BYTES_MAX || worker.waitingSegments > WAITING_SEGMENTS_MAX
    if (full === this.#paused.has(worker.partition)) return
    if (full) {
      if (isBlocked) this.#report(worker.blocked)
      this.#paused.add(worker.partition)
      this.metrics.pauses += 1
      this.#consumer?.pause(input)
    } else {
      this.#paused.delete(worker.partition)
      this.#consumer?.resume(input)
    }
  }

  /** Until `stop` or `drain`. Errors of the bus are reported and tried again; others end the worker. */
  run(): Promise<void> {
    this.#running = this.#run()
    return this.#running
  }

  get #isIdle(): boolean {
    if (this.#broken.size > 0) return false
    for (const { waitingSegments, waitingBytes, unnamedMessages, failed } of this.#partitions.values()) {
      if (waitingSegments > 0 || waitingBytes > 0 || unnamedMessages > 0 || failed) return false
    }
    return true
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#options.onProgress?.()
      try {
        await this.step(this.#isIdle ? IDLE_WAIT_MS : POLL_WAIT_MS)
        this.#trouble = null
      } catch (error) {
        if ((error as { retryable?: boolean }).retryable !== true) throw error
        this.#trouble = error
        this.#report(error)
        await this.#options.clock.sleep(RETRY_MS)
      }
    }
  }

  /** Commits what was decoded and leaves the group; what is open is in klartext.state for whoever comes next. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#running
    await this.#commitAll()
    await this.#close()
  }

  /**
   * For a bus that ends with this process: decodes all that is there, hands over what is open as the end of the input, and
   * leaves.
   */
  async drain(): Promise<void> {
    this.#stopping = true
    await this.#running
    do {
      while (!(await this.#readAll())) await this.#settled()
      for (const worker of this.#partitions.values()) worker.finish()
    } while (!(await this.#commitAll()))
    await this.#close()
  }

  /** True where a poll of all partitions brought nothing more. */
  async #readAll(): Promise<boolean> {
    // Where a newer klartext must go on, there is nothing more to read here.
    const ended = (partition: number) => (this.#partitions.get(partition)?.blocked ?? null) !== null
    const all = [...this.#paused].every(ended) && this.#broken.size === 0
    const takes = this.#takes
    const messages = await this.step(0)
    const unnamed = [...this.#partitions.values()].some(({ unnamedMessages }) => unnamedMessages > 0)
    if (messages === 0 && unnamed) await this.#options.clock.sleep(POLL_WAIT_MS)
    return all && messages === 0 && !unnamed && this.#takes === takes && this.#broken.size === 0
  }

  async #settled(): Promise<void> {
    for (const worker of this.#partitions.values()) await worker.settled()
    await this.#repair()
  }

  /** False where a transaction failed. */
  async #commitAll(): Promise<boolean> {
    let done = true
    for (const worker of this.#partitions.values()) {
      await worker.settled()
      worker.commitSoon()
      await worker.settled()
      if (!worker.failed) continue
      this.#report(worker.failure)
      done = false
    }
    return done
  }

  async #close(): Promise<void> {
    for (const worker of this.#partitions.values()) await worker.close().catch(() => {})
    this.#partitions.clear()
    await this.#consumer?.close()
  }

  /** Over all partitions since the start. */
  get accounting(): Accounting {
    const sum = new Accounting()
    sum.add(this.metrics.given)
    for (const { accounting } of this.#partitions.values()) sum.add(accounting)
    return sum
  }

  /** Of each partition the next offset to decode and the last committed one: what lag is measured by; and what it holds. */
  positions(): PartitionPosition[] {
    return [...this.#partitions.values()].map((worker) => ({
      topic: TOPICS.segments,
      partition: worker.partition,
      next: worker.next,
      committed: worker.committedOffset,
      committedMs: worker.committedMs,
      waitingBytes: worker.waitingBytes,
      heldBytes: worker.accounting.ownBytes,
      unnamedBytes: worker.unnamedBytes,
      blocked: worker.blocked?.message ?? null,
      open: worker.openConnections,
    }))
  }

  /** Positions, and per partition the connection that holds most. */
  status(): { readonly partitions: readonly object[] } {
    const holders = new Map([...this.#partitions].map(([partition, worker]) => [partition, worker.largestHolder]))
    return {
      partitions: this.positions().map((position) => ({
        ...position,
        holder: holders.get(position.partition) ?? null,
      })),
    }
  }
}

export interface PartitionPosition extends ReadPosition {
  readonly next: bigint
  /** Output that waits for its transaction. */
  readonly waitingBytes: number
  /** Input that waits for the rest of its frame. */
  readonly heldBytes: number
  /** Input that waits until its flows can be named. */
  readonly unnamedBytes: number
  readonly open: number
  /** Why it is not decoded any further, where that is so. */
  readonly blocked: string | null
}
