/**
 * Segments of a source to klartext.segments. Takes what the source has, always at once: what the bus does not take in time
 * waits in a bounded queue, and what does not fit there is left out by whole connections and counted.
 */
import { KlartextError } from '../core/errors.js'
import { partitionOf } from '../core/partitioner.js'
import type { Bus, BusMessage, BusProducer } from '../core/ports/bus.js'
import type { Clock } from '../core/ports/clock.js'
import type { CoverageRow } from '../core/rows.js'
import type { Segment } from '../core/segment.js'
import { TOPICS } from '../core/topics.js'
import { encodeRow } from '../core/wire/rows.js'
import { decodeSegmentBatch, type SegmentBatchHeader, SegmentBatchWriter } from '../core/wire/segment_batch.js'
import type { OwnTraffic } from './own_traffic.js'
import { Shedding, type ShedReason } from './shedding.js'

export interface PublisherOptions {
  readonly bus: Bus
  readonly clock: Clock
  /** Of encoded batches that wait. A node's capturer must stay small: 32 MiB are seconds of a busy node. */
  readonly queueBytesMax?: number
  /** Leaves klartext's own talk with the bus out. */
  readonly own?: OwnTraffic
  /** Told what went wrong and is tried again. */
  readonly onError?: (error: unknown) => void
}

const QUEUE_BYTES_MAX = 32 << 20
/** One request to the bus. */
const SEND_BYTES_MAX = 1 << 20
/** One message: brokers refuse more than 1 MB unless told otherwise. */
const MESSAGE_BYTES_MAX = 768 << 10
/** Coverage that waits for a bus that is away; beyond it the oldest go. */
const WAITING_ROWS_MAX = 10_000
const RETRY_MS_MIN = 50
const RETRY_MS_MAX = 2_000

class PartitionQueue {
  readonly messages: Buffer[] = []
  sending: Promise<void> | null = null
}

export class SegmentPublisher {
  readonly #options: PublisherOptions
  readonly #queueBytesMax: number
  readonly #shedding = new Shedding()
  readonly #reported: Record<ShedReason, { count: number; bytes: number }> = {
    bus_behind: { count: 0, bytes: 0 },
    bus_full: { count: 0, bytes: 0 },
  }
  #reportedOwn = { count: 0, bytes: 0 }
  #producer: BusProducer | null = null
  #queues: PartitionQueue[] = []
  #queuedBytes = 0
  #waitingRows: CoverageRow[] = []
  #reporting: Promise<void> | null = null
  #stopped = false
  #failure: unknown = null
  #fail: (error: unknown) => void = () => {}
  /** Rejects with what the bus refuses for good. */
  readonly failed: Promise<never> = new Promise((_resolve, reject) => {
    this.#fail = reject
  })
  /** What the last request failed with. */
  #trouble: unknown = null
  #wakeRoom: (() => void)[] = []
  messages = 0
  bytes = 0
  retries = 0

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#queueBytesMax = options.queueBytesMax ?? QUEUE_BYTES_MAX
    // Not everybody waits for it.
    this.failed.catch(() => {})
  }

  async start(): Promise<void> {
    const { bus } = this.#options
    // Within the producer a batch keeps its place and number however often it is sent: it is stored once.
    const partitions = await bus.partitions(TOPICS.segments)
    this.#producer = await bus.producer({ onRetry: (error) => this.#again(error) })
    this.#queues = Array.from({ length: partitions }, () => new PartitionQueue())
  }

  /** A batch as the capturer's addon makes it. Never waits. */
  publishBatch(batch: Buffer): void {
    this.#shedding.look(this.fill)
    const { own } = this.#options
    if (this.#queues.length === 1 && own === undefined && this.#shedding.idle && batch.length <= MESSAGE_BYTES_MAX) {
      return this.#enqueue(0, batch)
    }
    const { segments, ...header } = decodeSegmentBatch(batch)
    this.publish(segments, header)
  }

  /** Never waits. Payloads are copied. */
  publish(segments: readonly Segment[], header: SegmentBatchHeader): void {
    const writers: SegmentBatchWriter[] = []
    const own = this.#options.own ?? null
    let partition = 0
    let last: Segment | null = null
    this.#shedding.look(this.fill)
    for (const each of segments) {
      if (own?.take(each) === true) continue
      const segment = this.#shedding.idle ? each : this.#shedding.pass(each, this.fill >= 1)
      if (segment === null) continue
      if (last?.connection !== segment.connection) partition = partitionOf(segment.connection.id, this.#queues.length)
      last = segment
      writers[partition] ??= new SegmentBatchWriter(header)
      const writer = writers[partition]
      if (writer.segmentCount > 0 && writer.payloadBytes + segment.payload.length > MESSAGE_BYTES_MAX / 2) {
        this.#enqueue(partition, writer.finish())
        this.#shedding.look(this.fill)
      }
      writer.add(segment)
    }
    for (const [i, writer] of writers.entries()) {
      if (writer !== undefined && writer.segmentCount > 0) this.#enqueue(i, writer.finish())
    }
  }

  /** Share of the queue that is taken. */
  get fill(): number {
    return this.#queuedBytes / this.#queueBytesMax
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** For sources that can wait (files): resolves when half of the queue is free. Rejects where the bus refuses for good. */
  async room(): Promise<void> {
    while (this.fill > 0.5 && this.#failure === null) {
      await new Promise<void>((resolve) => this.#wakeRoom.push(resolve))
    }
    if (this.#failure !== null) throw this.#failure
  }

  #enqueue(partition: number, batch: Buffer): void {
    const queue = this.#queues[partition]
    queue.messages.push(batch)
    this.#queuedBytes += batch.length
    queue.sending ??= this.#send(partition, queue).finally(() => {
      queue.sending = null
    })
  }

  /** One request per partition at a time, in order: what fails is sent again, and decoders know by position what they had. */
  async #send(partition: number, queue: PartitionQueue): Promise<void> {
    let pauseMs = RETRY_MS_MIN
    while (queue.messages.length > 0 && !this.#stopped) {
      const messages: BusMessage[] = []
      let bytes = 0
      for (const value of queue.messages) {
        if (messages.length > 0 && bytes + value.length > SEND_BYTES_MAX) break
        messages.push({ key: null, value })
        bytes += value.length
      }
      try {
        await (this.#producer as BusProducer).send(TOPICS.segments, partition, messages)
      } catch (error) {
        if (error instanceof KlartextError && !error.retryable) {
          this.#failure = error
          this.#fail(error)
          this.#wake()
          return
        }
        this.#again(error)
        await this.#options.clock.sleep(pauseMs)
        pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)
        continue
      }
      pauseMs = RETRY_MS_MIN
      this.#trouble = null
      queue.messages.splice(0, messages.length)
      this.#queuedBytes -= bytes
      this.messages += messages.length
      this.bytes += bytes
      this.#wake()
    }
  }

  /** A request failed and is sent again. */
  #again(error: unknown): void {
    this.retries += 1
    this.#trouble = error
    this.#options.onError?.(error)
  }

  #wake(): void {
    const waiting = this.#wakeRoom
    this.#wakeRoom = []
    for (const wake of waiting) wake()
  }

  /**
   * What was seen and not seen, to klartext.coverage, with what was left out here. Resolves when all that waits was sent;
   * while the bus is away rows are taken and wait.
   */
  async report(rows: readonly CoverageRow[], where: { cluster: string; node: string }): Promise<void> {
    this.#waitingRows = [...this.#waitingRows, ...rows, ...this.#leftOutRows(where)].slice(-WAITING_ROWS_MAX)
    this.#reporting ??= this.#sendRows().finally(() => {
      this.#reporting = null
    })
    await this.#reporting
  }

  /** One send at a time, or a row would be in two of them. */
  async #sendRows(): Promise<void> {
    while (this.#waitingRows.length > 0) {
      const rows = this.#waitingRows
      this.#waitingRows = []
      try {
        const messages = rows.map((row) => ({ key: null, value: encodeRow(row) }))
        await (this.#producer as BusProducer).send(TOPICS.coverage, 0, messages)
      } catch (error) {
        this.#waitingRows = [...rows, ...this.#waitingRows].slice(-WAITING_ROWS_MAX)
        throw error
      }
    }
  }

  /** What was left out since the last report: for want of room, and as our own. */
  #leftOutRows({ cluster, node }: { cluster: string; node: string }): CoverageRow[] {
    const about = { ts: this.#options.clock.nowUs(), cluster, node, subject: 'publish', pid: 0, container: '' } as const
    const rows: CoverageRow[] = []
    const { count, bytes } = this.#options.own ?? { count: 0, bytes: 0 }
    if (count > this.#reportedOwn.count) {
      const grown = { count: count - this.#reportedOwn.count, bytes: bytes - this.#reportedOwn.bytes }
      rows.push({ ...about, kind: 'bytes', state: '', reason: 'own', detail: '', ...grown })
      this.#reportedOwn = { count, bytes }
    }
    for (const reason of ['bus_behind', 'bus_full'] as const) {
      const now = this.#shedding.shed[reason]
      const before = this.#reported[reason]
      if (now.count === before.count) continue
      const grown = { count: now.count - before.count, bytes: now.bytes - before.bytes }
      rows.push({ ...about, kind: 'loss', state: '', reason, detail: '', ...grown })
      this.#reported[reason] = { ...now }
    }
    return rows
  }

  get shed(): Readonly<Record<ShedReason, { count: number; bytes: number }>> {
    return this.#shedding.shed
  }

  /** Why requests fail, in one line; null where they do not. */
  get trouble(): string | null {
    return this.#trouble === null ? null : (this.#trouble as Error).message
  }

  /** Resolves when all that waits was sent. */
  async flush(): Promise<void> {
    await Promise.all(this.#queues.map(({ sending }) => sending))
    if (this.#failure !== null) throw this.#failure
  }

  /** What still waits is given up; `flush` before. */
  async close(): Promise<void> {
    this.#stopped = true
    await this.#producer?.close()
  }
}
