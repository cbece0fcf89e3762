/**
 * Sends batches idempotently: the broker knows each batch by producer, epoch and sequence, so one that is sent again after
 * a lost answer is stored once. With a transactional id it sends in transactions only.
 */
import { KlartextError } from '../../core/errors.js'
import type { BusMessage, BusProducer, BusTransaction, ProducerOptions } from '../../core/ports/bus.js'
import type { KafkaClient, RetryOptions } from './client.js'
import { errorType, rootOf } from './errors.js'
import { PartitionSender } from './partition_sender.js'
import { encodeBatch } from './record_batch.js'
import { produceRequest } from './requests.js'
import { KafkaTransaction } from './transaction.js'

const TRANSACTION_MS = 15_000
const PRODUCE_MS = 30_000
/** Sequences begin again behind 2^31 - 1. */
const SEQUENCES = 2 ** 31

/** What the broker knows this producer by. */
export interface Identity {
  readonly producerId: string
  readonly producerEpoch: number
  /** Next sequence by `topic/partition`. */
  readonly sequences: Map<string, number>
}

export class KafkaProducer implements BusProducer {
  readonly #client: KafkaClient
  readonly #transactionalId: string | null
  readonly #retry: RetryOptions
  readonly #senders = new Map<string, PartitionSender>()
  #identity: Promise<Identity> | null = null
  #transaction: KafkaTransaction | null = null
  /** Why no transaction can begin any more. */
  #broken: KlartextError | null = null
  #closed = false

  constructor(client: KafkaClient, { transactionalId, onRetry }: ProducerOptions) {
    this.#client = client
    this.#transactionalId = transactionalId ?? null
    this.#retry = onRetry === undefined ? {} : { onRetry }
  }

  /** With a transactional id this fences the producer before and undoes what that one left open. */
  async start(): Promise<void> {
    await this.#client.connect()
    await this.#currentIdentity()
  }

  #currentIdentity(): Promise<Identity> {
    this.#identity ??= this.#newIdentity().catch((error) => {
      this.#identity = null
      throw error
    })
    return this.#identity
  }

  #newIdentity(): Promise<Identity> {
    const id = this.#transactionalId
    const call = async () => {
      const broker = id === null ? await this.#client.controller() : await this.#client.transactionCoordinator(id)
      const { producerId, producerEpoch } = await broker.initProducerId({
        transactionalId: id,
        transactionTimeout: this.#client.options.transactionMs ?? TRANSACTION_MS,
      })
      return { producerId, producerEpoch, sequences: new Map() }
    }
    return this.#client.retry(id === null ? 'starting to send' : `transactional id ${id}`, call, this.#retry)
  }

  async send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<bigint> {
    this.#check()
    if (this.#transactionalId !== null) {
      throw new KlartextError('NOT_IN_TRANSACTION', 'a producer with a transactional id sends in transactions only')
    }
    return this.#store(topic, partition, messages)
  }

  #store(topic: string, partition: number, messages: readonly BusMessage[]): Promise<bigint> {
    const key = `${topic}/${partition}`
    let sender = this.#senders.get(key)
    if (sender === undefined) {
      sender = new PartitionSender((batch) => this.#sendBatch(topic, partition, batch))
      this.#senders.set(key, sender)
    }
    return sender.send(messages)
  }

  async #sendBatch(topic: string, partition: number, messages: readonly BusMessage[]): Promise<bigint> {
    const key = `${topic}/${partition}`
    const client = this.#client
    const pending = this.#currentIdentity()
    const identity = await pending
    const sequence = identity.sequences.get(key) ?? 0
    const batch = await encodeBatch(
      messages,
      {
        producerId: BigInt(identity.producerId),
        producerEpoch: identity.producerEpoch,
        sequence,
        isTransactional: this.#transactionalId !== null,
      },
      client.options.compression ?? 'lz4',
      Date.now(),
    )
    const request = produceRequest({ topic, partition }, this.#transactionalId, batch, PRODUCE_MS)
    try {
      const call = async () => (await client.leader(topic, partition)).connectionPool.send(request)
      const offset = await client.retry(`sending to ${key}`, call, this.#retry)
      identity.sequences.set(key, (sequence + messages.length) % SEQUENCES)
      return offset
    } catch (error) {
      const cause = rootOf((error as KlartextError).cause ?? error)
      if (errorType(cause) === 'DUPLICATE_SEQUENCE_NUMBER') {
        identity.sequences.set(key, (sequence + messages.length) % SEQUENCES)
        return -1n
      }
      // Whether it was stored is not known, so neither is the next sequence: go on under another identity.
      const isRefused = ['UNKNOWN_PARTITION', 'UNKNOWN_TOPIC', 'MESSAGE_TOO_LARGE'].includes(
        (error as KlartextError).code,
      )
      if (!isRefused && this.#transactionalId === null && this.#identity === pending) this.#identity = null
      throw error
    }
  }

  async begin(): Promise<BusTransaction> {
    this.#check()
    const id = this.#transactionalId
    if (id === null) {
      throw new KlartextError('NOT_TRANSACTIONAL', 'a transaction needs a producer with a transactional id')
    }
    if (this.#broken !== null) throw this.#broken
    if (this.#transaction !== null) {
      throw new KlartextError('TRANSACTION_OPEN', `${id} has an open transaction already`)
    }
    const { producerId, producerEpoch } = await this.#currentIdentity()
    this.#transaction = new KafkaTransaction({
      client: this.#client,
      identity: { transactionalId: id, producerId, producerEpoch },
      store: (topic, partition, messages) => this.#store(topic, partition, messages),
      ended: (failure) => {
        this.#transaction = null
        // kafkajs's advice and Java's: what is behind a failed end of a transaction begins with a new producer.
        this.#broken = failure
      },
    })
    return this.#transaction
  }

  get closed(): boolean {
    return this.#closed
  }

  #check(): void {
    if (this.#closed) throw new KlartextError('CLOSED', 'the producer is closed')
  }

  /** An open transaction is undone. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#transaction?.abort().catch(() => {})
    await this.#client.close()
  }
}
