/**
 * Segments in, flows out, over the bus: one pipeline and one transactional producer per input partition. A tick publishes
 * what was decoded since the last one and commits the input position in the same transaction, so that a reader of
 * committed records sees each flow once, whatever happens to this worker.
 *
 * Connection state is not checkpointed yet: a worker that takes a partition over joins its open connections mid-way, and
 * marks them so.
 */
import type { Bus, BusConsumer, BusMessage, BusProducer, BusRecord } from '../core/ports/bus.js'
import type { Flow } from '../core/flow.js'
import type { ConnectionRow } from '../core/rows.js'
import type { Segment } from '../core/segment.js'

/** What the worker needs of a DecodePipeline. */
export interface Pipeline {
  push(segments: Segment[]): void
  finish(): void
}

export interface DecodeWorkerOptions {
  readonly bus: Bus
  readonly groupId: string
  readonly topics: { readonly segments: string; readonly flows: string; readonly connections: string }
  readonly makePipeline: (flows: (flow: Flow) => void, connections: (row: ConnectionRow) => void) => Pipeline
  readonly decodeBatch: (value: Buffer) => Segment[]
  readonly encodeFlow: (flow: Flow) => Buffer
  readonly encodeConnection: (row: ConnectionRow) => Buffer
  /** A batch that could not be read, with its place: counted by the caller, never retried. */
  readonly onPoison: (record: BusRecord, error: unknown) => void
  /** Time between transactions; a person who waits for a flow waits this long. */
  readonly tickMs?: number
}

const TICK_MS = 250
/** A transaction is closed early at this size, so that readers of the flows topic never wait for a huge one. */
const TICK_SEGMENTS_MAX = 10_000
const POLL_BYTES_MAX = 8 << 20
const POLL_WAIT_MS = 50

class Partition {
  readonly number: number
  readonly producer: BusProducer
  readonly pipeline: Pipeline
  readonly flows: BusMessage[] = []
  readonly connections: BusMessage[] = []
  /** Next input offset to read; equals `committed` when there is nothing to commit. */
  position: bigint
  committed: bigint
  segments = 0

  constructor(number: number, producer: BusProducer, position: bigint, options: DecodeWorkerOptions) {
    this.number = number
    this.producer = producer
    this.position = position
    this.committed = position
    this.pipeline = options.makePipeline(
      (flow) => this.flows.push({ key: null, value: options.encodeFlow(flow) }),
      (row) => this.connections.push({ key: null, value: options.encodeConnection(row) }),
    )
  }
}

export class DecodeWorker {
  readonly #options: DecodeWorkerOptions
  readonly #tickMs: number
  #consumer: BusConsumer | null = null
  #partitions = new Map<number, Partition>()
  #stopping = false
  #running: Promise<void> | null = null

  constructor(options: DecodeWorkerOptions) {
    this.#options = options
    this.#tickMs = options.tickMs ?? TICK_MS
  }

  /** Resolves once the group is joined; the work goes on until `stop`. `failed` rejects if it cannot go on. */
  async start(): Promise<{ failed: Promise<void> }> {
    const { bus, groupId, topics } = this.#options
    const consumer = await bus.consumer(groupId)
    this.#consumer = consumer
    await consumer.subscribe(topics.segments, (partitions) => this.#assign(consumer, partitions))
    this.#running = this.#run(consumer)
    return { failed: this.#running }
  }

  /**
   * Reads what is left of the input, closes the pipelines and publishes their last rows. With `drain` false the open
   * connections are left to whoever takes the partitions over.
   */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#running
    for (const partition of this.#partitions.values()) {
      partition.pipeline.finish()
      await this.#tick(partition)
      await partition.producer.close()
    }
    await this.#consumer?.close()
  }

  async #assign(consumer: BusConsumer, numbers: readonly number[]): Promise<void> {
    const { bus, groupId, topics } = this.#options
    const kept = new Map<number, Partition>()
    for (const number of numbers) {
      const known = this.#partitions.get(number)
      if (known !== undefined) {
        kept.set(number, known)
        continue
      }
      // The producer comes first: it fences a worker that still believes it owns the partition, so that the offset read
      // after it is final.
      const producer = await bus.producer({ transactionalId: `${groupId}-${topics.segments}-${number}` })
      const input = { topic: topics.segments, partition: number }
      const committed = await consumer.committed(input)
      const position = committed.offset < 0n ? 0n : committed.offset
      consumer.seek(input, position)
      kept.set(number, new Partition(number, producer, position, this.#options))
    }
    for (const [number, partition] of this.#partitions) if (!kept.has(number)) await partition.producer.close()
    this.#partitions = kept
  }

  async #run(consumer: BusConsumer): Promise<void> {
    let lastTickMs = performance.now()
    for (;;) {
      const records = await consumer.poll(POLL_BYTES_MAX, POLL_WAIT_MS)
      for (const record of records) this.#decode(record)
      const nowMs = performance.now()
      const due = nowMs - lastTickMs >= this.#tickMs
      for (const partition of this.#partitions.values()) {
        if (due || partition.segments >= TICK_SEGMENTS_MAX) await this.#tick(partition)
      }
      if (due) lastTickMs = nowMs
      if (this.#stopping && records.length === 0) return
    }
  }

  #decode(record: BusRecord): void {
    const partition = this.#partitions.get(record.partition)
    if (partition === undefined || record.offset < partition.position) return
    partition.position = record.offset + 1n
    let segments: Segment[]
    try {
      segments = this.#options.decodeBatch(record.value)
    } catch (error) {
      this.#options.onPoison(record, error)
      return
    }
    partition.pipeline.push(segments)
    partition.segments += segments.length
  }

  async #tick(partition: Partition): Promise<void> {
    const { groupId, topics } = this.#options
    partition.segments = 0
    if (partition.position === partition.committed && partition.flows.length + partition.connections.length === 0) return
    const transaction = await partition.producer.begin()
    if (partition.flows.length > 0) await transaction.send(topics.flows, partition.number, partition.flows)
    if (partition.connections.length > 0) {
      await transaction.send(topics.connections, partition.number, partition.connections)
    }
    const input = { topic: topics.segments, partition: partition.number }
    await transaction.commitOffset(groupId, input, partition.position, '')
    await transaction.commit()
    partition.committed = partition.position
    partition.flows.length = 0
    partition.connections.length = 0
  }
}
