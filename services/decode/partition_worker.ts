/**
 * Decodes one input partition. Everything that leaves it, the state of what is still open and the position of the input are
 * one transaction, so that whoever takes over goes on exactly where the last transaction ended: nothing twice, nothing lost.
 *
 * The state is that of every connection touched since the last tick, each time, and the offset is the position itself. The
 * other way (a state only for connections long in the middle of something, an offset behind, replay with what was published
 * suppressed) writes less and has far more to get wrong. What it could save at most was measured with `npm run bench -- chain`:
 * 400 connections, 20 000 exchanges/s, CPU of decoding an exchange without any state, with all touched at each tick of 200 ms,
 * and with each connection once in 5 s: HTTP/1 15.6, 15.4 and 12.7 µs; gRPC 22.7, 27.7 and 19.6; PostgreSQL 6.9, 12.3 and 10.2
 * (the machine was busy: a few µs are noise). States took 150 to 470 bytes an exchange, about what its flow takes. That is cheap
 * enough: at most 5 µs beside the 21 of an HTTP/1 exchange from Kafka to Kafka. It grows with the connections touched at a tick
 * and not with their exchanges, some 50 µs each: where there are thousands of them the worker makes its ticks rarer (worker.ts).
 */
import { NewerSchemaError } from '../core/errors.js'
import type { Bus, BusConsumer, BusMessage, BusProducer, BusRecord, TopicPartition } from '../core/ports/bus.js'
import type { Clock } from '../core/ports/clock.js'
import type { Protocol } from '../core/protocol.js'
import type { CoverageRow } from '../core/rows.js'
import { TOPICS } from '../core/topics.js'
import type { Accounting } from './accounting.js'
import { Inbox, type Message } from './inbox.js'
import type { WorkerMetrics } from './metrics.js'
import type { Names } from './names.js'
import { PartitionOutput } from './partition_output.js'
import { clockMessage, type PartitionState, readState } from './partition_state.js'
import { DecodePipeline } from './pipeline.js'
import type { FlowPolicy } from './policy.js'

export interface PartitionOptions {
  readonly bus: Bus
  readonly group: string
  readonly protocols: readonly Protocol[]
  readonly policy: FlowPolicy
  /** Without it the ends of flows stay unknown. */
  readonly names?: Names
  /** Messages that cannot be read go to klartext.dlq; without it they are counted only. */
  readonly deadLetters: boolean
  readonly metrics: WorkerMetrics
  readonly clock: Clock
}

const OFFSET_TRIES = 5
const OFFSET_WAIT_MS = 100

async function committedNext(consumer: BusConsumer, input: TopicPartition): Promise<bigint> {
  const { offset } = await consumer.committed(input)
  return offset < 0n ? 0n : offset
}

export class PartitionWorker {
  readonly #options: PartitionOptions
  readonly #input: TopicPartition
  readonly #producer: BusProducer
  readonly #pipeline: DecodePipeline
  readonly #inbox: Inbox
  #output = new PartitionOutput()
  /** Of klartext.segments: the next to be polled, the next to decode, and the next as of the last transaction. */
  #polled: bigint
  #next: bigint
  #committed: bigint
  /** Keys in klartext.state that belong to another position and must go. */
  #foreign: Buffer[]
  /** Time of the newest message decoded, and of the newest as of the last transaction, ms since 1970. */
  #newestMs: number
  #committedMs: number
  #committing: Promise<void> | null = null
  #failure: unknown = null
  #finished = false
  #blocked: NewerSchemaError | null = null

  private constructor(
    options: PartitionOptions,
    input: TopicPartition,
    producer: BusProducer,
    next: bigint,
    state: PartitionState,
  ) {
    this.#options = options
    this.#input = input
    this.#producer = producer
    this.#polled = next
    this.#next = next
    this.#committed = next
    this.#newestMs = options.clock.nowUs() / 1000
    this.#committedMs = this.#newestMs
    this.#foreign = state.foreign
    const { protocols, policy, names } = options
    this.#inbox = new Inbox(names ?? null)
    this.#pipeline = new DecodePipeline({
      protocols,
      policy,
      ...(names === undefined ? {} : { pods: names.pods }),
      partition: input.partition,
      onFlow: (flow) => this.#output.flow(flow),
      onConnection: (row) => this.#output.connection(row),
    })
    this.#pipeline.restore(state.clock, state.entries)
    options.metrics.restoredConnections += this.#pipeline.openConnections
  }

  /** Fences whoever had the partition before, and only then reads how far that one came. */
  static async take(options: PartitionOptions, consumer: BusConsumer, partition: number): Promise<PartitionWorker> {
    const { bus, group } = options
    const input = { topic: TOPICS.segments, partition }
    // A connection has one number in all topics: what comes out of this partition goes into the same one of those.
    for (const topic of [TOPICS.flows, TOPICS.connections]) await bus.endOffset(topic, partition)
    const producer = await bus.producer({ transactionalId: `${group}-${partition}` })
    try {
      let next = await committedNext(consumer, input)
      let state = await readState(bus, partition, next)
      for (let i = 0; i < OFFSET_TRIES && state.foreign.length > 0; i++) {
        // A transaction that the fence has completed may show in the state before it shows in the offsets.
        await options.clock.sleep(OFFSET_WAIT_MS)
        next = await committedNext(consumer, input)
        state = await readState(bus, partition, next)
      }
      if (state.foreign.length > 0) options.metrics.statesDiscarded += state.foreign.length
      const worker = new PartitionWorker(options, input, producer, next, state)
      consumer.seek(input, next)
      return worker
    } catch (error) {
      // It is tried again and again: what is opened each time would never be closed.
      await producer.close().catch(() => {})
      throw error
    }
  }

  get partition(): number {
    return this.#input.partition
  }

  get failed(): boolean {
    return this.#failure !== null
  }

  get failure(): unknown {
    return this.#failure
  }

  get next(): bigint {
    return this.#next
  }

  get committedOffset(): bigint {
    return this.#committed
  }

  /** Bytes that wait for their transaction. */
  get waitingBytes(): number {
    return this.#output.bytes
  }

  get waitingSegments(): number {
    return this.#output.segments
  }

  /** Messages, and bytes of them, that wait until their flows can be named. */
  get unnamedMessages(): number {
    return this.#inbox.size
  }

  get unnamedBytes(): number {
    return this.#inbox.bytes
  }

  /** What was known of pods earlier (µs since 1970) is not asked for here any more. */
  get namesNeededUs(): number {
    return this.#inbox.neededUs
  }

  get committing(): boolean {
    return this.#committing !== null
  }

  get openConnections(): number {
    return this.#pipeline.openConnections
  }

  get committedMs(): number {
    return this.#committedMs
  }

  get accounting(): Accounting {
    return this.#pipeline.accounting
  }

  /** See DecodePipeline. */
  get largestHolder(): DecodePipeline['largestHolder'] {
    return this.#pipeline.largestHolder
  }

  /** A newer klartext wrote what comes next: nothing of this partition is decoded here any more. */
  get blocked(): NewerSchemaError | null {
    return this.#blocked
  }

  push(record: BusRecord): void {
    // A message that was polled before the seek, or is delivered again.
    if (record.offset < this.#polled || this.#blocked !== null) return
    this.#polled = record.offset + 1n
    this.#inbox.add(record, this.#options.clock.nowUs())
    this.advance()
  }

  /** What waited is dropped, to be polled again from `next` on. */
  rewind(): void {
    this.#inbox.clear()
    this.#polled = this.#next
  }

  /** Decodes what need not wait any longer. */
  advance(): void {
    while (this.#blocked === null) {
      const message = this.#inbox.take()
      if (message === null) return
      this.#decode(message)
    }
  }

  #decode({ record, batch, error, knownUs }: Message): void {
    const { metrics } = this.#options
    if (error instanceof NewerSchemaError) {
      this.#blocked = error
      this.#inbox.clear()
      return
    }
    if (record.offset > this.#next) this.#expired(record)
    this.#next = record.offset + 1n
    if (record.timestampMs !== undefined) this.#newestMs = record.timestampMs
    metrics.messages += 1
    metrics.messageBytes += record.value.length
    if (batch !== null) {
      const { segments } = batch
      this.#pipeline.push(segments, Number(record.offset), knownUs)
      this.#output.segments += segments.length
      metrics.segments += segments.length
      return
    }
    metrics.deadLetters += 1
    this.#output.lost(lossRow(record, 'unreadable', 1, record.value.length))
    if (this.#options.deadLetters) this.#output.deadLetter(record, error)
    this.#output.segments += 1
  }

  /** The log has forgotten messages before we read them. */
  #expired(record: BusRecord): void {
    const count = Number(record.offset - this.#next)
    this.#options.metrics.expiredMessages += count
    this.#output.lost(lossRow(record, 'expired', count, 0))
    this.#next = record.offset
  }

  /** Nothing more will come, ever: what is open is handed over as it stands. */
  finish(): void {
    this.#finished = true
    this.#pipeline.finish()
  }

  /** Starts the transaction of what is there, unless one is under way. */
  commitSoon(): void {
    if (this.#committing !== null || this.failed) return
    if (this.#next === this.#committed && !this.#finished) return
    this.#committing = this.#commit()
      .catch((error: unknown) => {
        this.#failure = error
      })
      .finally(() => {
        this.#committing = null
      })
  }

  /** Resolves when no transaction is under way; a failure is in `failure`. */
  async settled(): Promise<void> {
    while (this.#committing !== null) await this.#committing
  }

  async #commit(): Promise<void> {
    const { metrics, group } = this.#options
    // Up to here without an await: outputs, state and position are of one moment. The state comes first: it may hand over.
    const next = this.#next
    const newestMs = this.#newestMs
    const state = this.#stateMessages(next)
    const output = this.#output
    this.#output = new PartitionOutput()
    this.#finished = false

    const begunMs = this.#options.clock.elapsedMs()
    const transaction = await this.#producer.begin()
    const { partition } = this.#input
    if (output.flows.length > 0) await transaction.send(TOPICS.flows, partition, output.flows)
    if (output.connections.length > 0) await transaction.send(TOPICS.connections, partition, output.connections)
    await transaction.send(TOPICS.state, partition, state)
    if (output.coverage.length > 0) await transaction.send(TOPICS.coverage, 0, output.coverage)
    if (output.deadLetters.length > 0) await transaction.send(TOPICS.deadLetters, 0, output.deadLetters)
    await transaction.commitOffset(group, this.#input, next, '')
    await transaction.commit()
    this.#committed = next
    this.#committedMs = newestMs
    metrics.transactions += 1
    metrics.transactionSeconds.observe((this.#options.clock.elapsedMs() - begunMs) / 1000)
    metrics.transactionSegments.observe(output.segments)
    metrics.flows += output.flows.length
    metrics.connections += output.connections.length
    metrics.stateMessages += state.length
    metrics.stateBytes += state.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
  }

  #stateMessages(next: bigint): BusMessage[] {
    const messages: BusMessage[] = this.#foreign.map((key) => ({ key, value: null }))
    this.#foreign = []
    messages.push(...this.#pipeline.takeCheckpoint())
    messages.push(clockMessage(next, this.#pipeline.saveClock()))
    return messages
  }

  /** Gives the partition up: what was not committed is undone. */
  async close(): Promise<void> {
    this.#options.metrics.given.add(this.accounting)
    await this.settled()
    await this.#producer.close()
  }
}

function lossRow(record: BusRecord, reason: string, count: number, bytes: number): CoverageRow {
  return {
    ts: (record.timestampMs ?? 0) * 1000,
    cluster: '',
    node: '',
    kind: 'loss',
    subject: 'decode',
    pid: 0,
    container: '',
    state: '',
    reason,
    detail: `${record.topic}/${record.partition}/${record.offset}`,
    bytes,
    count,
  }
}
