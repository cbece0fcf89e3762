/**
 * Keeps records ready: fetches ahead for each assigned partition up to a bound, one request at a time per broker (a broker
 * answers a connection's requests one after the other anyway).
 */
import { KlartextError } from '../../core/errors.js'
import type { BusRecord, TopicPartition } from '../../core/ports/bus.js'
import type { KafkaClient } from './client.js'
import { isTransient, kafkaError } from './errors.js'
import { protocolError } from './kafkajs.js'
import { startOffset } from './partition_reader.js'
import { RecordReader } from './record_reader.js'
import { type FetchedPartition, type FetchPosition, fetchRequest } from './requests.js'
import { Signal } from './signal.js'

const INBOX_BYTES_MAX = 32 << 20
const FETCH_BYTES_MAX = 16 << 20
const PARTITION_FETCH_BYTES = 1 << 20
/** Of one partition kept ready: what is read while the next is on its way. */
const PARTITION_BYTES_MAX = 2 << 20
/** How long a broker holds a fetch that finds nothing: with all partitions in it, and while some are paused or have enough. */
const WAIT_MS = 500
const WAIT_PAUSED_MS = 100
const WAIT_BUSY_MS = 20
const FAILURE_MS = 200
const OFFSET_OUT_OF_RANGE = 1

interface Ready {
  readonly reader: RecordReader
  readonly bytes: number
}

class Position {
  readonly input: TopicPartition
  /** Next to deliver. */
  next: bigint
  /** Next to fetch. */
  fetchOffset: bigint
  isPaused = false
  ready: Ready[] = []
  bytes = 0
  /** Taken from a reader and not yet delivered. */
  peeked: BusRecord | null = null

  constructor(input: TopicPartition, offset: bigint) {
    this.input = input
    this.next = offset
    this.fetchOffset = offset
  }
}

export class Fetcher {
  readonly #client: KafkaClient
  readonly #arrived: () => void
  readonly #work = new Signal()
  readonly #positions = new Map<string, Position>()
  readonly #busyNodes = new Set<string>()
  #order: Position[] = []
  #turn = 0
  #bytes = 0
  #failure: KlartextError | null = null
  #failingSinceMs: number | null = null
  #closed = false

  constructor(client: KafkaClient, arrived: () => void) {
    this.#client = client
    this.#arrived = arrived
    void this.#run()
  }

  /** From now on these partitions, each from its offset; what was ready is thrown away. */
  assign(offsets: readonly (TopicPartition & { offset: bigint })[]): void {
    this.#positions.clear()
    this.#bytes = 0
    for (const { topic, partition, offset } of offsets) {
      this.#positions.set(`${topic}/${partition}`, new Position({ topic, partition }, offset))
    }
    this.#order = [...this.#positions.values()]
    this.#work.notify()
  }

  has(input: TopicPartition): boolean {
    return this.#positions.has(`${input.topic}/${input.partition}`)
  }

  /** Throws `NOT_ASSIGNED`. */
  #position({ topic, partition }: TopicPartition): Position {
    const found = this.#positions.get(`${topic}/${partition}`)
    if (found === undefined) {
      throw new KlartextError('NOT_ASSIGNED', `${topic}/${partition} is not assigned to this consumer`)
    }
    return found
  }

  seek(input: TopicPartition, offset: bigint): void {
    this.#position(input)
    const key = `${input.topic}/${input.partition}`
    const old = this.#positions.get(key)!
    this.#bytes -= old.bytes
    // A fetch that is under way for the old position finds it gone.
    const fresh = new Position(old.input, offset)
    fresh.isPaused = old.isPaused
    this.#positions.set(key, fresh)
    this.#order[this.#order.indexOf(old)] = fresh
    this.#work.notify()
  }

  pause(input: TopicPartition): void {
    this.#position(input).isPaused = true
  }

  resume(input: TopicPartition): void {
    this.#position(input).isPaused = false
    this.#arrived()
    this.#work.notify()
  }

  /** What is ready, partitions in turn: at most `maxBytes` of values, but one record in any case. */
  read(maxBytes: number): BusRecord[] {
    if (this.#failure !== null) {
      const failure = this.#failure
      this.#failure = null
      throw failure
    }
    const records: BusRecord[] = []
    let left = maxBytes
    const count = this.#order.length
    for (let i = 0; i < count && left > 0; i++) {
      const position = this.#order[(this.#turn + i) % count]
      if (!position.isPaused) left -= this.#take(position, left, records)
    }
    this.#turn += 1
    // There is room for more.
    if (records.length > 0) this.#work.notify()
    return records
  }

  /** Answers the bytes taken. */
  #take(position: Position, bytesMax: number, records: BusRecord[]): number {
    let taken = 0
    while (taken < bytesMax) {
      const record = position.peeked ?? this.#next(position)
      if (record === null) break
      if (records.length > 0 && taken + record.value.length > bytesMax) {
        position.peeked = record
        break
      }
      position.peeked = null
      position.next = record.offset + 1n
      records.push(record)
      // An empty value takes part in the bound too.
      taken += Math.max(record.value.length, 1)
    }
    return taken
  }

  #next(position: Position): BusRecord | null {
    for (;;) {
      const [first] = position.ready
      if (first === undefined) return null
      const record = first.reader.next()
      if (record !== null) return record
      position.ready.shift()
      position.next = first.reader.position
      position.bytes -= first.bytes
      this.#bytes -= first.bytes
    }
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const wanted = this.#order.filter(({ isPaused, bytes }) => !isPaused && bytes < PARTITION_BYTES_MAX)
      const limit = this.#client.options.inboxBytesMax ?? INBOX_BYTES_MAX
      if (wanted.length > 0 && this.#bytes < limit) await this.#startFetches(wanted)
      await this.#work.wait(WAIT_MS)
    }
  }

  async #startFetches(wanted: readonly Position[]): Promise<void> {
    const byNode = new Map<string, Position[]>()
    try {
      for (const position of wanted) {
        const node = await this.#client.leaderId(position.input.topic, position.input.partition)
        const known = byNode.get(node)
        if (known === undefined) byNode.set(node, [position])
        else known.push(position)
      }
    } catch (error) {
      await this.#failed(error)
      return
    }
    const rest = this.#order.length - wanted.length
    const isSomePaused = this.#order.some(({ isPaused }) => isPaused)
    const waitMs = rest === 0 ? WAIT_MS : isSomePaused ? WAIT_PAUSED_MS : WAIT_BUSY_MS
    for (const [node, positions] of byNode) {
      if (this.#busyNodes.has(node)) continue
      this.#busyNodes.add(node)
      void this.#fetch(node, positions, waitMs).finally(() => {
        this.#busyNodes.delete(node)
        this.#work.notify()
      })
    }
  }

  async #fetch(node: string, positions: readonly Position[], waitMs: number): Promise<void> {
    // Brokers fill an answer in the order asked for: none is always last.
    const start = this.#turn % positions.length
    const asked = new Map<string, { position: Position; offset: bigint }>()
    const request: FetchPosition[] = []
    for (const position of [...positions.slice(start), ...positions.slice(0, start)]) {
      const { topic, partition } = position.input
      request.push({ topic, partition, offset: position.fetchOffset })
      asked.set(`${topic}/${partition}`, { position, offset: position.fetchOffset })
    }
    try {
      const broker = await this.#client.broker(node)
      const fetched = await broker.connectionPool.send(
        fetchRequest(request, waitMs, FETCH_BYTES_MAX, PARTITION_FETCH_BYTES),
      )
      this.#failingSinceMs = null
      this.#client.answered()
      for (const part of fetched) {
        const key = `${part.topic}/${part.partition}`
        const of = asked.get(key)
        // Sought elsewhere or taken away meanwhile.
        if (of === undefined || this.#positions.get(key) !== of.position) continue
        await this.#arrive(of.position, of.offset, part)
      }
    } catch (error) {
      await this.#failed(error)
    }
  }

  async #arrive(position: Position, offset: bigint, part: FetchedPartition): Promise<void> {
    if (part.errorCode === OFFSET_OUT_OF_RANGE) return this.#outOfRange(position)
    if (part.errorCode !== 0) throw protocolError(part.errorCode)
    if (part.bytes.length === 0) return
    const end = RecordReader.end(part.bytes)
    if (end === null) return
    const { topic, partition } = part
    position.ready.push({
      reader: new RecordReader(topic, partition, part.bytes, offset, part.aborted),
      bytes: part.bytes.length,
    })
    position.bytes += part.bytes.length
    this.#bytes += part.bytes.length
    position.fetchOffset = end
    this.#arrived()
  }

  /** Retention has removed what comes next, or the log ends before it (it was made anew, or lost its end). */
  async #outOfRange(position: Position): Promise<void> {
    const { topic, partition } = position.input
    const from = position.fetchOffset
    const to = await startOffset(this.#client, topic, partition)
    const { onLost } = this.#client.options
    if (onLost === undefined) {
      throw new KlartextError(
        'OFFSETS_LOST',
        `${topic}/${partition}: offset ${from} is not there, the oldest is ${to}; what lay between is lost`,
      )
    }
    onLost({ topic, partition, from, to })
    if (this.#positions.get(`${topic}/${partition}`) === position) this.seek(position.input, to)
  }

  /** What passes is tried again; what does not, or not for long, the next read throws. */
  async #failed(error: unknown): Promise<void> {
    if (this.#closed) return
    this.#client.failing(error, 'reading')
    const now = performance.now()
    this.#failingSinceMs ??= now
    const isLong = now - this.#failingSinceMs > (this.#client.options.retryMs ?? 30_000)
    if (!isTransient(error) || isLong) {
      this.#failure = kafkaError(error, this.#client.where, 'reading')
      this.#failingSinceMs = null
      this.#arrived()
    }
    await new Promise((resolve) => setTimeout(resolve, FAILURE_MS))
    await this.#client.refresh()
  }

  close(): void {
    this.#closed = true
    this.#work.notify()
  }
}
