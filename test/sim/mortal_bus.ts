/** A bus as one process sees it: at any call the process may die (kill -9), stand still, or the call may fail. */
import { KlartextError } from '../../services/core/errors.js'
import type {
  Bus,
  BusConsumer,
  BusMessage,
  BusProducer,
  BusRecord,
  BusTransaction,
  CommittedOffset,
  ProducerOptions,
  RecordTime,
  TopicOptions,
  TopicPartition,
} from '../../services/core/ports/bus.js'
import type { Life } from './life.js'

export class MortalBus implements Bus {
  readonly #bus: Bus
  readonly #life: Life

  constructor(bus: Bus, life: Life) {
    this.#bus = bus
    this.#life = life
  }

  createTopic(topic: string, partitions: number, options?: TopicOptions): Promise<void> {
    return this.#life.call(() => this.#bus.createTopic(topic, partitions, options))
  }

  partitions(topic: string): Promise<number> {
    return this.#bus.partitions(topic)
  }

  clusterId(): Promise<string> {
    return this.#bus.clusterId()
  }

  startOffset(topic: string, partition: number): Promise<bigint> {
    return this.#bus.startOffset(topic, partition)
  }

  endOffset(topic: string, partition: number): Promise<bigint> {
    return this.#bus.endOffset(topic, partition)
  }

  offsetAt(topic: string, partition: number, timestampMs: number): Promise<RecordTime | null> {
    return this.#bus.offsetAt(topic, partition, timestampMs)
  }

  async *read(topic: string, partition: number, from: bigint, to: bigint): AsyncGenerator<readonly BusRecord[]> {
    for await (const records of this.#bus.read(topic, partition, from, to)) yield this.#life.call(async () => records)
  }

  readAll(topic: string, partition: number, take: (records: readonly BusRecord[]) => void): Promise<void> {
    return this.#life.call(() => this.#bus.readAll(topic, partition, take))
  }

  async producer(options?: ProducerOptions): Promise<BusProducer> {
    return new MortalProducer(await this.#life.call(() => this.#bus.producer(options)), this.#life)
  }

  async consumer(groupId: string): Promise<BusConsumer> {
    return new MortalConsumer(await this.#bus.consumer(groupId), this.#life)
  }

  async close(): Promise<void> {}
}

class MortalProducer implements BusProducer {
  readonly #producer: BusProducer
  readonly #life: Life

  constructor(producer: BusProducer, life: Life) {
    this.#producer = producer
    this.#life = life
  }

  send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<bigint> {
    return this.#life.call(() => this.#producer.send(topic, partition, messages))
  }

  async begin(): Promise<BusTransaction> {
    return new MortalTransaction(await this.#life.call(() => this.#producer.begin()), this.#life)
  }

  close(): Promise<void> {
    return this.#life.call(() => this.#producer.close())
  }
}

class MortalTransaction implements BusTransaction {
  readonly #transaction: BusTransaction
  readonly #life: Life

  constructor(transaction: BusTransaction, life: Life) {
    this.#transaction = transaction
    this.#life = life
  }

  send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<void> {
    return this.#life.call(() => this.#transaction.send(topic, partition, messages))
  }

  commitOffset(groupId: string, input: TopicPartition, offset: bigint, metadata: string): Promise<void> {
    return this.#life.call(() => this.#transaction.commitOffset(groupId, input, offset, metadata))
  }

  commit(): Promise<void> {
    return this.#life.call(() => this.#transaction.commit())
  }

  abort(): Promise<void> {
    return this.#life.call(() => this.#transaction.abort())
  }
}

class MortalConsumer implements BusConsumer {
  readonly #consumer: BusConsumer
  readonly #life: Life
  #assignments = 0

  constructor(consumer: BusConsumer, life: Life) {
    this.#consumer = consumer
    this.#life = life
  }

  subscribe(topic: string, onAssigned: (partitions: readonly number[]) => Promise<void>): Promise<void> {
    return this.#consumer.subscribe(topic, (partitions) => {
      this.#assignments += 1
      return onAssigned(partitions)
    })
  }

  /** A poll that fails has brought nothing: records that were taken and not handed over would be lost to this member only. */
  async poll(maxBytes: number, waitMs: number): Promise<BusRecord[]> {
    await this.#life.call(async () => {})
    return this.#consumer.poll(maxBytes, waitMs)
  }

  seek(input: TopicPartition, offset: bigint): void {
    this.#consumer.seek(input, offset)
  }

  pause(input: TopicPartition): void {
    this.#consumer.pause(input)
  }

  resume(input: TopicPartition): void {
    this.#consumer.resume(input)
  }

  committed(input: TopicPartition): Promise<CommittedOffset> {
    return this.#life.call(() => this.#consumer.committed(input))
  }

  commit(input: TopicPartition, offset: bigint, metadata: string): Promise<void> {
    const begun = this.#assignments
    return this.#life.call(async () => {
      // A commit belongs to the generation in which it was asked for, however long it is on its way.
      if (this.#assignments !== begun) throw new KlartextError('FENCED', 'the group was divided anew')
      await this.#consumer.commit(input, offset, metadata)
    })
  }

  close(): Promise<void> {
    return this.#life.call(() => this.#consumer.close())
  }
}
