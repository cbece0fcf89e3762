/** The Bus on Apache Kafka (4.0 or newer; older ones from 2.5 on should do). */
import { KlartextError } from '../../core/errors.js'
import type {
  Bus,
  BusConsumer,
  BusProducer,
  BusRecord,
  ProducerOptions,
  RecordTime,
  TopicOptions,
} from '../../core/ports/bus.js'
import { KafkaClient } from './client.js'
import { KafkaConsumer } from './consumer.js'
import { errorType } from './errors.js'
import type { KafkaBusOptions } from './options.js'
import { endOffset, offsetAt, readPartition, readRange, startOffset } from './partition_reader.js'
import { KafkaProducer } from './producer.js'
import { topicConfig } from './topic_config.js'

const CREATE_MS = 15_000

export class KafkaBus implements Bus {
  readonly #options: KafkaBusOptions
  readonly #client: KafkaClient
  /** Of producers and consumers, which close them. */
  readonly #clients = new Set<KafkaClient>()
  readonly #open = new Set<KafkaConsumer | KafkaProducer>()

  private constructor(options: KafkaBusOptions) {
    this.#options = options
    this.#client = new KafkaClient(options)
  }

  /** Throws `BUS_UNREACHABLE`, `BUS_CREDENTIALS` or `BUS_VERSION`, each with one line that says what to look at. */
  static async connect(options: KafkaBusOptions): Promise<KafkaBus> {
    const bus = new KafkaBus(options)
    try {
      await bus.#client.connect()
    } catch (error) {
      await bus.close()
      throw error
    }
    return bus
  }

  /** At which brokers listen. */
  get ports(): number[] {
    return this.#client.ports
  }

  /** Why calls fail that are tried again, in one line; null while they are answered. */
  get trouble(): string | null {
    for (const client of [this.#client, ...this.#clients]) {
      if (!client.closed && client.trouble !== null) return client.trouble
    }
    return null
  }

  #newClient(): KafkaClient {
    for (const client of this.#clients) if (client.closed) this.#clients.delete(client)
    for (const each of this.#open) if (each.closed) this.#open.delete(each)
    const client = new KafkaClient(this.#options)
    this.#clients.add(client)
    return client
  }

  async createTopic(topic: string, partitions: number, { compact = false }: TopicOptions = {}): Promise<void> {
    const known = await this.#partitionsOrNone(topic)
    if (known === null) await this.#create(topic, partitions, topicConfig(topic, compact))
    else if (known !== partitions) {
      throw new KlartextError('TOPIC_EXISTS', `the topic ${topic} has ${known} partitions, not ${partitions}`)
    }
  }

  async #create(topic: string, partitions: number, config: Readonly<Record<string, string>>): Promise<void> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    const wanted = {
      topic,
      numPartitions: partitions,
      replicationFactor: this.#options.replication ?? -1,
      configEntries,
    }
    await this.#client.retry(`making topic ${topic}`, async () => {
      try {
        await (await this.#client.controller()).createTopics({ topics: [wanted], timeout: CREATE_MS })
      } catch (error) {
        // Another one made it meanwhile.
        const errors = (error as { errors?: unknown[] }).errors
        if (errorType(errors?.[0] ?? error) !== 'TOPIC_ALREADY_EXISTS') throw errors?.[0] ?? error
      }
    })
    const found = await this.#client.retry(`topic ${topic}`, async () => {
      await this.#client.refresh()
      const count = await this.#partitionsOrNone(topic)
      if (count === null) throw Object.assign(new Error('not there yet'), { type: 'LEADER_NOT_AVAILABLE' })
      for (let partition = 0; partition < count; partition++) await this.#client.leaderId(topic, partition)
      return count
    })
    if (found !== partitions) {
      throw new KlartextError('TOPIC_EXISTS', `the topic ${topic} has ${found} partitions, not ${partitions}`)
    }
  }

  async #partitionsOrNone(topic: string): Promise<number | null> {
    try {
      return await this.#client.partitions(topic)
    } catch (error) {
      if ((error as KlartextError).code === 'UNKNOWN_TOPIC') return null
      throw error
    }
  }

  /** Throws `UNKNOWN_TOPIC`. */
  partitions(topic: string): Promise<number> {
    return this.#client.partitions(topic)
  }

  clusterId(): Promise<string> {
    return this.#client.clusterId()
  }

  startOffset(topic: string, partition: number): Promise<bigint> {
    return startOffset(this.#client, topic, partition)
  }

  endOffset(topic: string, partition: number): Promise<bigint> {
    return endOffset(this.#client, topic, partition)
  }

  offsetAt(topic: string, partition: number, timestampMs: number): Promise<RecordTime | null> {
    return offsetAt(this.#client, topic, partition, timestampMs)
  }

  read(topic: string, partition: number, from: bigint, to: bigint): AsyncIterable<readonly BusRecord[]> {
    return readRange(this.#client, topic, partition, from, to)
  }

  readAll(topic: string, partition: number, take: (records: readonly BusRecord[]) => void): Promise<void> {
    return readPartition(this.#client, topic, partition, take)
  }

  async producer(options: ProducerOptions = {}): Promise<BusProducer> {
    const producer = new KafkaProducer(this.#newClient(), options)
    this.#open.add(producer)
    try {
      await producer.start()
    } catch (error) {
      await producer.close()
      throw error
    }
    return producer
  }

  async consumer(groupId: string): Promise<BusConsumer> {
    const client = this.#newClient()
    try {
      await client.connect()
    } catch (error) {
      await client.close()
      throw error
    }
    const consumer = new KafkaConsumer(client, groupId)
    this.#open.add(consumer)
    return consumer
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((each) => each.close()))
    await this.#client.close()
  }
}
