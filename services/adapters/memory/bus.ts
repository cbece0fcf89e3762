/**
 * Kafka's log in memory, for one process: the embedded chain, tests and the simulator. Promises are Kafka's, so that what is
 * right here is right there: test/conformance/bus.ts holds both to it. Values are kept, not copied; whoever sends does not
 * write to them any more. What was sent is gone with the process.
 */
import { randomUUID } from 'node:crypto'
import { KlartextError } from '../../core/errors.js'
import type {
  Bus,
  BusConsumer,
  BusMessage,
  BusProducer,
  BusRecord,
  ProducerOptions,
  RecordTime,
  TopicOptions,
} from '../../core/ports/bus.js'
import { MemoryConsumer } from './consumer.js'
import { ConsumerGroup } from './group.js'
import { type OpenTransaction, PartitionLog } from './log.js'
import { MemoryProducer, TransactionalId } from './producer.js'

export interface MemoryBusOptions {
  /** Kept per partition. 64 MiB hold a minute of a busy node, and 12 partitions of it fit a laptop. */
  readonly partitionBytesMax?: number
  /**
   * wait: a send waits until all groups that read the topic have committed enough (nothing is lost; the default).
   * drop_oldest: the oldest records go, as Kafka's retention does; readers jump, `dropped` counts.
   */
  readonly whenFull?: 'wait' | 'drop_oldest'
  /** What all groups have committed is freed at once: for a chain that nobody reads a second time. */
  readonly freeConsumed?: boolean
  /** A member that is silent for so long loses its partitions (Kafka: session.timeout.ms). */
  readonly sessionMs?: number
  /** A transaction open for so long is undone (Kafka: transaction.timeout.ms). */
  readonly transactionMs?: number
  /** ms since 1970; a simulation drives it. */
  readonly nowMs?: () => number
}

const PARTITION_BYTES_MAX = 64 << 20
/** Of a piece that `read` answers. */
const READ_BYTES = 2 << 20
const SESSION_MS = 30_000
const TRANSACTION_MS = 15_000

export class MemoryBus implements Bus {
  readonly #id = randomUUID()
  readonly #partitionBytesMax: number
  readonly #whenFull: 'wait' | 'drop_oldest'
  readonly #freeConsumed: boolean
  readonly #sessionMs: number
  readonly #transactionMs: number
  readonly nowMs: () => number
  readonly #topics = new Map<string, PartitionLog[]>()
  readonly #groups = new Map<string, ConsumerGroup>()
  readonly #transactionalIds = new Map<string, TransactionalId>()
  #waiters = new Set<() => void>()
  #closed = false

  constructor(options: MemoryBusOptions = {}) {
    this.#partitionBytesMax = options.partitionBytesMax ?? PARTITION_BYTES_MAX
    this.#whenFull = options.whenFull ?? 'wait'
    this.#freeConsumed = options.freeConsumed ?? false
    this.#sessionMs = options.sessionMs ?? SESSION_MS
    this.#transactionMs = options.transactionMs ?? TRANSACTION_MS
    this.nowMs = options.nowMs ?? Date.now
  }

  async createTopic(topic: string, partitions: number, { compact = false }: TopicOptions = {}): Promise<void> {
    const known = this.#topics.get(topic)
    if (known !== undefined && known.length !== partitions) {
      throw new KlartextError('TOPIC_EXISTS', `the topic ${topic} has ${known.length} partitions, not ${partitions}`)
    }
    if (!(partitions >= 1)) throw new KlartextError('BAD_TOPIC', `the topic ${topic} needs at least one partition`)
    if (known === undefined) {
      this.#topics.set(
        topic,
        Array.from({ length: partitions }, (_, partition) => new PartitionLog(topic, partition, compact)),
      )
    }
  }

  async partitions(topic: string): Promise<number> {
    return this.#logs(topic).length
  }

  async clusterId(): Promise<string> {
    return this.#id
  }

  async startOffset(topic: string, partition: number): Promise<bigint> {
    return this.log(topic, partition).startOffset
  }

  async endOffset(topic: string, partition: number): Promise<bigint> {
    return this.log(topic, partition).endOffset
  }

  async offsetAt(topic: string, partition: number, timestampMs: number): Promise<RecordTime | null> {
    return this.log(topic, partition).at(timestampMs)
  }

  async *read(topic: string, partition: number, from: bigint, to: bigint): AsyncGenerator<readonly BusRecord[]> {
    const log = this.log(topic, partition)
    for (let offset = from; offset < to; ) {
      this.#check()
      if (offset < log.startOffset) {
        const kept = `only from ${log.startOffset} on`
        throw new KlartextError('EXPIRED', `${topic}/${partition}: ${offset} is not kept any more, ${kept}`)
      }
      if (offset >= log.endOffset) {
        const end = `it ends at ${log.endOffset}`
        throw new KlartextError('BAD_OFFSET', `${topic}/${partition}: there is no ${offset}, ${end}`)
      }
      const found: BusRecord[] = []
      const { next } = log.read(offset, READ_BYTES, found)
      const records = found.filter((record) => record.offset < to)
      if (records.length > 0) yield records
      if (next === offset) return
      offset = next
    }
  }

  async readAll(topic: string, partition: number, take: (records: readonly BusRecord[]) => void): Promise<void> {
    this.#check()
    const records: BusRecord[] = []
    this.log(topic, partition).read(0n, Number.MAX_SAFE_INTEGER, records)
    take(records)
  }

  async producer(options: ProducerOptions = {}): Promise<BusProducer> {
    this.#check()
    const { transactionalId } = options
    if (transactionalId === undefined) return new MemoryProducer(this, null)
    let id = this.#transactionalIds.get(transactionalId)
    if (id === undefined) {
      id = new TransactionalId(transactionalId)
      this.#transactionalIds.set(transactionalId, id)
    }
    return new MemoryProducer(this, id)
  }

  async consumer(groupId: string): Promise<BusConsumer> {
    this.#check()
    return new MemoryConsumer(this, this.group(groupId))
  }

  async close(): Promise<void> {
    this.#closed = true
    this.changed()
  }

  #check(): void {
    if (this.#closed) throw new KlartextError('CLOSED', 'the bus is closed')
  }

  #logs(topic: string): PartitionLog[] {
    const logs = this.#topics.get(topic)
    if (logs === undefined) throw new KlartextError('UNKNOWN_TOPIC', `there is no topic ${topic}`)
    return logs
  }

  // For the producers and consumers of this folder.

  log(topic: string, partition: number): PartitionLog {
    const log = this.#logs(topic)[partition]
    if (log === undefined)
      throw new KlartextError('UNKNOWN_PARTITION', `the topic ${topic} has no partition ${partition}`)
    return log
  }

  group(id: string): ConsumerGroup {
    let group = this.#groups.get(id)
    if (group === undefined) {
      group = new ConsumerGroup(id, this.#sessionMs, (topic) => this.#logs(topic).length)
      this.#groups.set(id, group)
    }
    return group
  }

  append(log: PartitionLog, messages: readonly BusMessage[], transaction: OpenTransaction | null): bigint {
    this.#check()
    const first = log.append(messages, transaction, this.nowMs())
    this.changed()
    return first
  }

  /** Resolves when the partition may take more. */
  async room(log: PartitionLog): Promise<void> {
    for (;;) {
      this.#check()
      if (log.bytes < this.#partitionBytesMax || log.compacted) return
      // A little more than needed, so that not every send has to.
      const keep = Math.floor(this.#partitionBytesMax * 0.9)
      if (this.#whenFull === 'drop_oldest') {
        log.trim(keep, log.endOffset, true)
        return
      }
      log.trim(keep, this.#readByAll(log), false)
      if (log.bytes < this.#partitionBytesMax) return
      await this.waitForChange(1_000)
      this.expireTransactions()
    }
  }

  /** A group has committed an offset. */
  committed(log: PartitionLog): void {
    if (this.#freeConsumed && !log.compacted) log.trim(0, this.#readByAll(log), false)
    this.changed()
  }

  /** The lowest offset a group that reads the topic has still to read. */
  #readByAll(log: PartitionLog): bigint {
    let lowest: bigint | null = null
    for (const group of this.#groups.values()) {
      if (!group.reads(log.topic)) continue
      const { offset } = group.committed(log)
      if (lowest === null || offset < lowest) lowest = offset
    }
    return lowest === null || lowest < 0n ? 0n : lowest
  }

  expireTransactions(): void {
    const now = this.nowMs()
    for (const id of this.#transactionalIds.values()) {
      if (id.open !== null && now - id.open.begunMs > this.#transactionMs) id.take()
    }
  }

  changed(): void {
    const waiters = this.#waiters
    this.#waiters = new Set()
    for (const wake of waiters) wake()
  }

  waitForChange(maxMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        this.#waiters.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, maxMs)
      this.#waiters.add(wake)
    })
  }
}
