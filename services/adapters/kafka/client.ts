/** One set of connections to a Kafka: finds who serves what, tries again what may be tried again, and names errors. */
import { KlartextError } from '../../core/errors.js'
import type { Broker, Cluster } from './broker.js'
import { errorType, isTransient, isUnanswered, kafkaError, rootOf } from './errors.js'
import { createCluster } from './kafkajs.js'
import type { KafkaBusOptions } from './options.js'
import { checkVersions } from './versions.js'

const BACKOFF_MS = 20
const BACKOFF_MS_MAX = 1_000
/** While the transaction before is being ended; it takes milliseconds. */
const CONCURRENT_TRANSACTION_MS = 5
const TRANSACTION_COORDINATOR = 1
const UNKNOWN_TOPIC = 'UNKNOWN_TOPIC_OR_PARTITION'

export interface RetryOptions {
  /** Told where a request was sent and not answered: it may have been done, or may yet be done when it arrives late. */
  readonly onDoubt?: () => void
  /** With it there is no end to trying but success, an error that does not pass, and `close`. */
  readonly onRetry?: (error: KlartextError) => void
}

export class KafkaClient {
  readonly options: KafkaBusOptions
  /** How errors name the other side. */
  readonly where: string
  readonly #cluster: Cluster
  readonly #coordinators = new Map<string, Broker>()
  /** That kafkajs keeps metadata of, and that were there once. */
  readonly #topics = new Set<string>()
  readonly #known = new Set<string>()
  #closed = false
  #trouble: string | null = null

  constructor(options: KafkaBusOptions) {
    this.options = options
    this.where = options.brokers.join(',')
    this.#cluster = createCluster(options)
  }

  /** Throws `BUS_UNREACHABLE`, `BUS_CREDENTIALS` or `BUS_VERSION` at once, so that a wrong setting is seen at start. */
  async connect(): Promise<void> {
    try {
      await this.#cluster.connect()
      await this.#cluster.refreshMetadata()
    } catch (error) {
      throw this.#startError(error)
    }
    checkVersions(this.#cluster.brokerPool.seedBroker!, this.where)
  }

  #startError(error: unknown): KlartextError {
    const named = kafkaError(error, this.where, 'connecting')
    if (named.code !== 'BUS_UNREACHABLE') return named
    const { message } = rootOf(error)
    const because = message.split('\n')[0].replace(/^Connection error: /, '')
    let hint = ''
    if (/Closed connection|closed by the server/i.test(because)) {
      // What a listener does that expects TLS or SASL and gets neither.
      hint = `: it closed the connection; does it want ${this.options.tls ? '' : 'TLS or '}${this.options.sasl ? 'other credentials' : 'credentials'}?`
    }
    return new KlartextError('BUS_UNREACHABLE', `no Kafka answers at ${this.where}${hint || `: ${because}`}`, {
      retryable: true,
      cause: error,
    })
  }

  /** Of all brokers: those that were named, and those that they named. */
  get ports(): number[] {
    const named = this.options.brokers.map((broker) => Number(broker.slice(broker.lastIndexOf(':') + 1)))
    const known = this.#cluster.brokerPool.metadata?.brokers.map(({ port }) => port) ?? []
    return [...new Set([...named, ...known])]
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Why its last call failed and is tried again, in one line; null where it did not. */
  get trouble(): string | null {
    return this.#trouble
  }

  /** A call beside `retry` has failed, or has been answered. */
  failing(error: unknown, doing: string): void {
    if (isTransient(error) && errorType(error) !== 'CONCURRENT_TRANSACTIONS') {
      this.#trouble = kafkaError(error, this.where, doing).message
    }
  }

  answered(): void {
    this.#trouble = null
  }

  /** Runs `call` until it succeeds, `retryMs` are over or the error is no passing one. */
  async retry<T>(doing: string, call: () => Promise<T>, { onDoubt, onRetry }: RetryOptions = {}): Promise<T> {
    const until =
      onRetry === undefined ? performance.now() + (this.options.retryMs ?? 30_000) : Number.POSITIVE_INFINITY
    for (let waitMs = BACKOFF_MS; ; waitMs = Math.min(waitMs * 2, BACKOFF_MS_MAX)) {
      if (this.#closed) throw new KlartextError('CLOSED', 'the bus is closed')
      try {
        const answer = await call()
        this.#trouble = null
        return answer
      } catch (error) {
        if (isUnanswered(error)) onDoubt?.()
        this.failing(error, doing)
        if (!isTransient(error) || performance.now() + waitMs > until) throw kafkaError(error, this.where, doing)
        onRetry?.(kafkaError(error, this.where, doing))
        if (errorType(error) === 'CONCURRENT_TRANSACTIONS') waitMs = CONCURRENT_TRANSACTION_MS
        else this.#coordinators.clear()
        await new Promise((resolve) => setTimeout(resolve, waitMs))
        if (errorType(error) !== 'CONCURRENT_TRANSACTIONS') await this.refresh()
      }
    }
  }

  /** Who leads what now. What fails here fails again, with its own name, when it is used. */
  async refresh(): Promise<void> {
    try {
      await this.#cluster.refreshMetadata()
    } catch {
      await this.#cluster.connect().catch(() => {})
    }
    await this.#endIfClosed()
  }

  /** What was connecting while the client was closed would stay open, and keep the process alive. */
  async #endIfClosed(): Promise<void> {
    if (this.#closed) await this.#cluster.disconnect().catch(() => {})
  }

  /** Number of partitions. Throws `UNKNOWN_TOPIC`. */
  async partitions(topic: string): Promise<number> {
    return this.retry(`topic ${topic}`, async () => (await this.#metadata(topic)).length)
  }

  /** '' where the brokers have none. */
  async clusterId(): Promise<string> {
    return this.retry('metadata', async () => {
      const { brokerPool } = this.#cluster
      if (brokerPool.metadata === null) await this.#cluster.refreshMetadata()
      return brokerPool.metadata?.clusterId ?? ''
    })
  }

  async #metadata(topic: string): Promise<readonly { partitionId: number; leader: number }[]> {
    if (!this.#topics.has(topic) || this.#cluster.brokerPool.metadata === null) {
      try {
        await this.#cluster.addMultipleTargetTopics([topic])
      } catch (error) {
        // A broker that has just started may not know yet what it had before.
        if (this.#known.has(topic) || errorType(error) !== UNKNOWN_TOPIC) throw error
        throw kafkaError(error, this.where, `topic ${topic}`)
      }
      this.#topics.add(topic)
    }
    // From here on it is there, or was: what is missing was not known yet when an answer was made that has come late.
    this.#known.add(topic)
    const found = this.#cluster.brokerPool.metadata?.topicMetadata.find((each) => each.topic === topic)
    if (found === undefined || found.partitionMetadata.length === 0) {
      this.#topics.delete(topic)
      throw Object.assign(new Error(`${topic} is not there`), { type: UNKNOWN_TOPIC })
    }
    return found.partitionMetadata
  }

  /** Node that leads the partition. Throws `UNKNOWN_PARTITION`, or what `retry` tries again. */
  async leaderId(topic: string, partition: number): Promise<string> {
    const find = async () => (await this.#metadata(topic)).find(({ partitionId }) => partitionId === partition)
    let found = await find()
    if (found === undefined) {
      // Topics may be given more partitions.
      await this.refresh()
      found = await find()
    }
    if (found === undefined) {
      throw new KlartextError('UNKNOWN_PARTITION', `the topic ${topic} has no partition ${partition}`)
    }
    if (found.leader < 0) {
      throw Object.assign(new Error(`${topic}/${partition} has no leader`), { type: 'LEADER_NOT_AVAILABLE' })
    }
    return String(found.leader)
  }

  async leader(topic: string, partition: number): Promise<Broker> {
    return this.broker(await this.leaderId(topic, partition))
  }

  async broker(nodeId: string): Promise<Broker> {
    const found = await this.#cluster.findBroker({ nodeId })
    await this.#endIfClosed()
    return found
  }

  controller(): Promise<Broker> {
    return this.#cluster.findControllerBroker()
  }

  groupCoordinator(groupId: string): Promise<Broker> {
    return this.#coordinator(`group ${groupId}`, { groupId })
  }

  transactionCoordinator(transactionalId: string): Promise<Broker> {
    const of = { groupId: transactionalId, coordinatorType: TRANSACTION_COORDINATOR }
    return this.#coordinator(`transaction ${transactionalId}`, of)
  }

  async #coordinator(key: string, of: { groupId: string; coordinatorType?: number }): Promise<Broker> {
    const known = this.#coordinators.get(key)
    if (known?.isConnected()) return known
    const found = await this.#cluster.findGroupCoordinator(of)
    this.#coordinators.set(key, found)
    return found
  }

  /** The next call asks again who coordinates. */
  forgetCoordinators(): void {
    this.#coordinators.clear()
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#cluster.disconnect().catch(() => {})
  }
}
