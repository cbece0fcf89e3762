import { KlartextError } from '../../core/errors.js'
import type { BusMessage, BusTransaction, TopicPartition } from '../../core/ports/bus.js'
import type { ProducerIdentity } from './broker.js'
import type { KafkaClient } from './client.js'
import { checkMetadata } from './metadata.js'

export interface TransactionParts {
  readonly client: KafkaClient
  readonly identity: ProducerIdentity
  store(topic: string, partition: number, messages: readonly BusMessage[]): Promise<bigint>
  /** It is over; `failure` is why no other may follow under this producer. */
  ended(failure: KlartextError | null): void
}

/**
 * Requests of Kafka's transactions, first version (KIP-98): the coordinator learns of a partition before it is written to.
 *
 * A request that was not answered is sent again, and the first may still arrive, later than both: an old offset within the
 * next transaction, or an old end of a transaction that ends the next one half done. So a transaction with a doubt comes to
 * its own end, and no other follows it under this producer: the epoch of the next one shuts the door.
 */
export class KafkaTransaction implements BusTransaction {
  readonly #parts: TransactionParts
  readonly #partitions = new Map<string, Promise<unknown>>()
  readonly #groups = new Map<string, Promise<unknown>>()
  #isOpen = true
  #failure: KlartextError | null = null
  #isInDoubt = false

  constructor(parts: TransactionParts) {
    this.#parts = parts
  }

  async send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<void> {
    this.#check()
    if (messages.length === 0) return
    await this.#step(async () => {
      // Also checks that the partition is there: the coordinator would answer for a transaction that is broken then.
      await this.#parts.client.retry(`${topic}/${partition}`, () => this.#parts.client.leaderId(topic, partition))
      await this.#once(this.#partitions, `${topic}/${partition}`, () => this.#addPartition(topic, partition))
      await this.#parts.store(topic, partition, messages)
    })
  }

  #once(map: Map<string, Promise<unknown>>, key: string, call: () => Promise<unknown>): Promise<unknown> {
    let promise = map.get(key)
    if (promise === undefined) {
      promise = call()
      map.set(key, promise)
    }
    return promise
  }

  #addPartition(topic: string, partition: number): Promise<unknown> {
    return this.#coordinate('adding a partition', (coordinator, identity) =>
      coordinator.addPartitionsToTxn({ ...identity, topics: [{ topic, partitions: [partition] }] }),
    )
  }

  async commitOffset(groupId: string, input: TopicPartition, offset: bigint, metadata: string): Promise<void> {
    this.#check()
    checkMetadata(metadata)
    await this.#step(async () => {
      await this.#once(this.#groups, groupId, () =>
        this.#coordinate(`adding group ${groupId}`, (coordinator, identity) =>
          coordinator.addOffsetsToTxn({ ...identity, groupId }),
        ),
      )
      const { client, identity } = this.#parts
      const partitions = [{ partition: input.partition, offset: String(offset), metadata }]
      const call = async () => {
        const coordinator = await client.groupCoordinator(groupId)
        await coordinator.txnOffsetCommit({ ...identity, groupId, topics: [{ topic: input.topic, partitions }] })
      }
      await client.retry(`offset of ${input.topic}/${input.partition}`, call, { onDoubt: this.#onDoubt })
    })
  }

  async commit(): Promise<void> {
    this.#check()
    if (this.#failure !== null) throw this.#failure
    await this.#end(true)
  }

  async abort(): Promise<void> {
    this.#check()
    await this.#end(false)
  }

  /** Records and offsets appear together, or not at all. */
  async #end(transactionResult: boolean): Promise<void> {
    this.#isOpen = false
    let failure: KlartextError | null = this.#failure?.code === 'FENCED' ? this.#failure : null
    try {
      if (failure !== null) throw failure
      // Adding what was begun and not awaited would come after the end otherwise.
      await Promise.allSettled([...this.#partitions.values(), ...this.#groups.values()])
      if (this.#partitions.size + this.#groups.size > 0) {
        await this.#coordinate(transactionResult ? 'commit' : 'abort', (coordinator, identity) =>
          coordinator.endTxn({ ...identity, transactionResult }),
        )
      }
      // A batch that failed leaves the sequence of its partition open.
      if (this.#failure !== null) failure = broken(this.#failure.message, this.#failure)
      else if (this.#isInDoubt) failure = broken('a request was not answered and may still arrive')
    } catch (error) {
      failure =
        (error as KlartextError).code === 'FENCED'
          ? (error as KlartextError)
          : broken((error as KlartextError).message, error)
      throw error
    } finally {
      this.#parts.ended(failure)
    }
  }

  #coordinate<T>(
    doing: string,
    call: (
      coordinator: Awaited<ReturnType<KafkaClient['transactionCoordinator']>>,
      identity: ProducerIdentity,
    ) => Promise<T>,
  ): Promise<T> {
    const { client, identity } = this.#parts
    const { transactionalId } = identity
    const each = async () => call(await client.transactionCoordinator(transactionalId), identity)
    return client.retry(`${doing}, transaction of ${transactionalId}`, each, { onDoubt: this.#onDoubt })
  }

  readonly #onDoubt = () => {
    this.#isInDoubt = true
  }

  async #step(call: () => Promise<void>): Promise<void> {
    try {
      await call()
    } catch (error) {
      this.#failure ??= error as KlartextError
      throw error
    }
  }

  #check(): void {
    if (this.#isOpen) return
    throw new KlartextError('TRANSACTION_OVER', `the transaction of ${this.#parts.identity.transactionalId} is over`)
  }
}

function broken(why: string, cause?: unknown): KlartextError {
  return new KlartextError('PRODUCER_BROKEN', `make a new producer: ${why}`, { retryable: true, cause })
}
