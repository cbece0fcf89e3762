/**
 * One partition on its way into one table, strictly in order: gather a block, write down its range (intent), insert it under
 * a token made of that range, commit. A sink that dies at any point leaves either no trace or an intent that says exactly
 * which block to insert again.
 */
import { KlartextError, NewerSchemaError } from '../core/errors.js'
import type { BusConsumer, BusRecord, TopicPartition } from '../core/ports/bus.js'
import type { Clock } from '../core/ports/clock.js'
import type { Store } from '../core/ports/store.js'
import type { ReadPosition } from '../core/telemetry/lag.js'
import { blockToken, type Intent, intentText, parseIntent } from './ledger.js'
import type { SinkMetrics } from './metrics.js'
import type { SinkTable } from './tables.js'

export interface BlockLimits {
  readonly rows: number
  readonly bytes: number
  /** A row waits at most so long for its block to fill. */
  readonly ageMs: number
}

export interface PartitionSinkOptions {
  readonly store: Store
  readonly consumer: BusConsumer
  readonly clock: Clock
  readonly limits: BlockLimits
  /** Part of every token: another one where offsets may begin anew. */
  readonly epoch: string
  readonly metrics: SinkMetrics
  /** Told what went wrong and is tried again, and of what is passed over. */
  readonly onError?: (error: KlartextError) => void
}

const RETRY_MS_MIN = 100
const RETRY_MS_MAX = 5_000

class Block {
  readonly rows: unknown[] = []
  first = -1n
  last = -1n
  bytes = 0
  sinceMs = 0
  /** Time of its newest message, ms since 1970. */
  newestMs = 0
}

export class PartitionSink {
  readonly #options: PartitionSinkOptions
  readonly #target: SinkTable
  readonly #input: TopicPartition
  /** The block that was on its way when this partition was taken; it must come out again just so. */
  #replay: Intent | null
  #expected: bigint
  #block = new Block()
  #flushing: Promise<void> | null = null
  /** The block that is on its way. */
  #sent: Block | null = null
  /** The store's last refusal of the block that is on its way. */
  #trouble: KlartextError | null = null
  /** Time of the newest message as of the last commit, ms since 1970. */
  #committedMs: number
  #committed: bigint
  #abandoned = false
  #blocked: NewerSchemaError | null = null
  #failure: unknown = null

  private constructor(
    options: PartitionSinkOptions,
    target: SinkTable,
    input: TopicPartition,
    next: bigint,
    replay: Intent | null,
  ) {
    this.#options = options
    this.#target = target
    this.#input = input
    this.#expected = next
    this.#committed = next
    this.#committedMs = options.clock.nowUs() / 1000
    this.#replay = replay
  }

  static async take(options: PartitionSinkOptions, target: SinkTable, partition: number): Promise<PartitionSink> {
    const input = { topic: target.topic, partition }
    const { offset, metadata } = await options.consumer.committed(input)
    const next = offset < 0n ? 0n : offset
    const replay = target.repeatable === true ? null : parseIntent(metadata)
    options.consumer.seek(input, next)
    return new PartitionSink(options, target, input, next, replay)
  }

  get input(): TopicPartition {
    return this.#input
  }

  get failure(): unknown {
    return this.#failure
  }

  get trouble(): KlartextError | null {
    return this.#trouble
  }

  /** A newer klartext wrote what comes next: nothing of this partition is stored here any more. */
  get blocked(): NewerSchemaError | null {
    return this.#blocked
  }

  get position(): ReadPosition {
    return { ...this.#input, committed: this.#committed, committedMs: this.#committedMs }
  }

  get waitingRows(): number {
    return this.#block.rows.length
  }

  get waitingBytes(): number {
    return this.#block.bytes
  }

  get flushing(): boolean {
    return this.#flushing !== null
  }

  /** Rows in memory, and the bytes of their records: those that are gathered and those on their way. */
  get heldRows(): number {
    return this.#block.rows.length + (this.#sent?.rows.length ?? 0)
  }

  get heldBytes(): number {
    return this.#block.bytes + (this.#sent?.bytes ?? 0)
  }

  /** A block has to come out just as it was before: it is read to its end, whatever is held already. */
  get replaying(): boolean {
    return this.#replay !== null
  }

  push(record: BusRecord, nowMs: number): void {
    if (record.offset < this.#expected || this.#abandoned || this.#blocked !== null) return
    if (this.#isIntentLost(record)) this.#passOver(record)
    if (record.offset < this.#expected) return
    const replay = this.#replay
    const row = this.#row(record)
    if (this.#blocked !== null) return
    this.#expected = record.offset + 1n
    const block = this.#block
    if (block.first < 0n) {
      block.first = record.offset
      block.sinceMs = nowMs
    }
    block.last = record.offset
    block.newestMs = record.timestampMs ?? block.newestMs
    block.bytes += record.value.length
    this.#options.metrics.records += 1
    this.#options.metrics.recordBytes += record.value.length
    // What gives no row is passed over again in a replay: the block stays the same.
    if (row !== null) block.rows.push(row)
    if (replay !== null && record.offset === replay.last) this.#flushSoon(replay.epoch, true)
  }

  /** null, and counted, where the message is none; then or when a newer klartext wrote it. */
  #row(record: BusRecord): unknown {
    try {
      return this.#target.row(record)
    } catch (error) {
      if (!(error instanceof KlartextError)) throw error
      if (error instanceof NewerSchemaError) this.#blocked = error
      else this.#options.metrics.unreadable += 1
      return null
    }
  }

  /** Retention has removed the beginning of the block that must come out just so. */
  #isIntentLost({ offset }: BusRecord): boolean {
    if (this.#replay === null) return false
    return offset > this.#replay.last || (this.#block.first < 0n && offset !== this.#expected)
  }

  /**
   * Whether that block was stored nobody knows any more. What is left of it is not stored: it might be there twice. It is
   * counted, and what comes behind it goes on.
   */
  #passOver({ offset }: BusRecord): void {
    const { last } = this.#replay as Intent
    const { topic, partition } = this.#input
    const block = `${topic}/${partition}: of the block that was on its way, ${this.#expected} to ${last}`
    this.#replay = null
    this.#block = new Block()
    this.#expected = last + 1n
    const left = offset > last ? 0 : Number(last - offset + 1n)
    this.#options.metrics.inDoubt += left
    this.#options.onError?.(
      new KlartextError('INTENT_LOST', `${block}, the log has lost the beginning; ${left} messages are passed over`),
    )
  }

  /** Starts the insert of a block that is full or old enough, unless one is under way. */
  flushIfDue(nowMs: number, force = false): void {
    const { limits, epoch } = this.#options
    const block = this.#block
    if (block.first < 0n || this.#flushing !== null || this.#replay !== null || this.#failure !== null) return
    const due = block.rows.length >= limits.rows || block.bytes >= limits.bytes || nowMs - block.sinceMs >= limits.ageMs
    if (due || force) this.#flushSoon(epoch, false)
  }

  #flushSoon(epoch: string, replayed: boolean): void {
    const block = this.#block
    this.#block = new Block()
    this.#replay = null
    this.#sent = block
    this.#flushing = this.#flush(block, epoch, replayed)
      .catch((error: unknown) => {
        this.#failure = error
      })
      .finally(() => {
        this.#flushing = null
        this.#sent = null
      })
  }

  async #flush(block: Block, epoch: string, replayed: boolean): Promise<void> {
    const { consumer, metrics } = this.#options
    const { first, last } = block
    if (replayed) metrics.intentsReplayed += 1
    else await consumer.commit(this.#input, first, intentText({ last, epoch }))
    // Whoever has the partition now has read the intent, or it was refused.
    if (this.#abandoned) return
    const { topic, partition } = this.#input
    if (block.rows.length > 0) await this.#insert(block, blockToken(topic, partition, first, last, epoch))
    if (this.#abandoned) return
    await consumer.commit(this.#input, last + 1n, '')
    this.#committed = last + 1n
    this.#committedMs = block.newestMs
    metrics.blockRows.observe(block.rows.length)
    metrics.blockBytes.observe(block.bytes)
    metrics.rows += block.rows.length
    metrics.blocks += 1
  }

  /** An outage of the store is waited out. The token makes a second try of a block that did arrive harmless. */
  async #insert(block: Block, token: string): Promise<void> {
    const { store, clock, metrics } = this.#options
    const begunMs = clock.elapsedMs()
    for (let pauseMs = RETRY_MS_MIN; !this.#abandoned; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
      try {
        await this.#target.insert(
          store,
          { rows: block.rows, partition: this.#input.partition, first: block.first },
          token,
        )
        metrics.insertSeconds.observe((clock.elapsedMs() - begunMs) / 1000)
        this.#trouble = null
        return
      } catch (error) {
        if (!(error instanceof KlartextError) || !error.retryable) throw error
        metrics.retries += 1
        this.#trouble = error
        this.#options.onError?.(error)
        await clock.sleep(pauseMs)
      }
    }
  }

  async settled(): Promise<void> {
    while (this.#flushing !== null) await this.#flushing
  }

  /** The partition is somebody else's: what is in hand is dropped. An insert under way may still arrive, under its token. */
  abandon(): void {
    this.#abandoned = true
  }
}
