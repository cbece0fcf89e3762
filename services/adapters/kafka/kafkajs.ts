/**
 * The part of kafkajs 2.2.4 that is used: connections, TLS and SASL, metadata, and the requests of Kafka's protocol. Its
 * consumer and producer are not: they reset offsets silently, do not tell when partitions are taken away and stall on resume.
 * The package has been frozen since 2023 and its version is pinned, so its inner modules are as stable as its outside. This
 * is the only file that imports it; what must be repaired in it is repaired here.
 */
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { KAFKA_CLIENT_ID, type KafkaConnection } from './options.js'

const require = createRequire(import.meta.url)

/** A request with what reads its answer; `encode` gives the bytes behind the request header. */
export interface ProtocolRequest<Answer> {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    encode(): Promise<{ buf: Buffer; buffer: Buffer; size(): number }>
  }
  readonly response: {
    decode(bytes: Buffer): Promise<Answer>
    parse(answer: Answer): Promise<Answer>
  }
  /** ms; the larger of this and the connection's own. */
  readonly requestTimeout?: number
  readonly logResponseError?: boolean
}

export interface TopicOffsets {
  readonly topic: string
  readonly partitions: readonly { partition: number; offset: string; metadata?: string }[]
}

/** Where errors leave a request: `parse` throws them, so an answer that arrives is a good one. */
export interface Broker {
  readonly nodeId: string
  readonly versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>>
  readonly connectionPool: { send<Answer>(request: ProtocolRequest<Answer>): Promise<Answer> }
  isConnected(): boolean
  disconnect(): Promise<void>
  joinGroup(request: {
    groupId: string
    sessionTimeout: number
    rebalanceTimeout: number
    memberId: string
    groupProtocols: readonly { name: string; metadata: Buffer }[]
  }): Promise<JoinedGroup>
  syncGroup(request: {
    groupId: string
    generationId: number
    memberId: string
    groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[]
  }): Promise<{ memberAssignment: Buffer }>
  heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
  offsetCommit(request: {
    groupId: string
    groupGenerationId: number
    memberId: string
    topics: readonly TopicOffsets[]
  }): Promise<unknown>
  listOffsets(request: {
    replicaId: number
    isolationLevel: number
    topics: readonly { topic: string; partitions: readonly { partition: number; timestamp: number }[] }[]
  }): Promise<{
    responses: readonly { partitions: readonly { partition: number; offset: string; timestamp: string }[] }[]
  }>
  initProducerId(request: {
    transactionalId: string | null
    transactionTimeout: number
  }): Promise<{ producerId: string; producerEpoch: number }>
  addPartitionsToTxn(
    request: ProducerIdentity & { topics: readonly { topic: string; partitions: readonly number[] }[] },
  ): Promise<unknown>
  addOffsetsToTxn(request: ProducerIdentity & { groupId: string }): Promise<unknown>
  txnOffsetCommit(request: ProducerIdentity & { groupId: string; topics: readonly TopicOffsets[] }): Promise<unknown>
  endTxn(request: ProducerIdentity & { transactionResult: boolean }): Promise<unknown>
  createTopics(request: {
    topics: readonly {
      topic: string
      numPartitions: number
      replicationFactor: number
      configEntries: readonly { name: string; value: string }[]
    }[]
    timeout: number
  }): Promise<unknown>
  describeConfigs(request: {
    resources: readonly { type: number; name: string; configNames: readonly string[] }[]
  }): Promise<{ resources: readonly { configEntries: readonly { configName: string; configValue: string }[] }[] }>
}

export interface ProducerIdentity {
  readonly transactionalId: string
  readonly producerId: string
  readonly producerEpoch: number
}

export interface JoinedGroup {
  readonly generationId: number
  readonly leaderId: string
  readonly memberId: string
  readonly members: readonly { memberId: string; memberMetadata: Buffer }[]
}

export interface PartitionMetadata {
  readonly partitionId: number
  /** -1 while a leader is being elected. */
  readonly leader: number
}

export interface Cluster {
  readonly brokerPool: {
    readonly metadata: {
      readonly clusterId: string | null
      readonly brokers: readonly { readonly port: number }[]
      readonly topicMetadata: readonly { topic: string; partitionMetadata: readonly PartitionMetadata[] }[]
    } | null
    readonly seedBroker?: Broker
    readonly brokers: Readonly<Record<string, Broker>>
  }
  connect(): Promise<void>
  disconnect(): Promise<void>
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  refreshMetadata(): Promise<void>
  findBroker(where: { nodeId: string }): Promise<Broker>
  findControllerBroker(): Promise<Broker>
  findGroupCoordinator(of: { groupId: string; coordinatorType?: number }): Promise<Broker>
}

interface RequestQueue {
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  readonly pending: readonly unknown[]
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
  scheduleRequestTimeoutCheck(): void
  readonly inflight: ReadonlyMap<number, { sentAt: number; requestTimeout: number; timeoutRequest(): void }>
  destroy(): void
}

interface Connection {
  readonly host: string
  readonly port: number
  connectionStatus: string
  authenticatedAt: unknown
  /** While it logs in. */
  readonly authHandlers: { onError(): void } | null
  readonly ssl: unknown
  /** ms */
  readonly connectionTimeout: number
  readonly socketFactory: (options: { host: string; port: number; ssl: unknown; onConnect: () => void }) => Socket
  /** Of an answer of which the rest is still to come. */
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  readonly requestQueue: {
    scheduleRequestTimeoutCheck(): void
    waitForPendingRequests(): Promise<void>
    destroy(): void
  }
  socket?: Socket | undefined
  connecting?: Promise<unknown> | undefined
  isConnected(): boolean
  connect(): Promise<unknown>
  disconnect(): Promise<unknown>
  rejectRequests(error: Error): void
  processData(data: Buffer): void
}

const ClusterOfKafkajs = require('kafkajs/src/cluster') as new (options: Record<string, unknown>) => Cluster
const { createLogger } = require('kafkajs/src/loggers') as {
  createLogger(options: { level: number; logCreator: () => () => void }): unknown
}
const createSocketFactory = require('kafkajs/src/network/socketFactory') as () => unknown
const queueClass = require('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }
const errors = require('kafkajs/src/errors') as {
  KafkaJSConnectionClosedError: new (message: string, where: { host: string; port: number }) => Error
  KafkaJSConnectionError: new (message: string, of: { broker: string; code?: string | undefined }) => Error
}
const connectionClass = require('kafkajs/src/network/connection') as { prototype: Connection }
const protocolErrors = require('kafkajs/src/protocol/error') as {
  errorCodes: { type: string; code: number; retriable: boolean; message: string }[]
  createErrorFromCode(code: number): Error
}

/** While requests wait because too many are under way, this is how often it is looked at again. */
const PENDING_CHECK_MS = 10

/** As it is published, each connection wakes up every millisecond for ever. Only a throttled connection has to. */
queueClass.prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null) return
  const throttledMs = this.throttledUntil - Date.now()
  if (this.pending.length === 0) return
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null
      this.checkPendingRequests()
    },
    Math.max(throttledMs, PENDING_CHECK_MS),
  )
}

/** How late a request may be found to have timed out. */
const TIMEOUT_CHECK_MS = 1_000
/** Of connections that are open. */
const watched = new Set<RequestQueue>()
let watch: NodeJS.Timeout | null = null

/** As it is published, each connection looks ten times a second: here one timer looks at all of them. */
queueClass.prototype.scheduleRequestTimeoutCheck = function (this: RequestQueue): void {
  watched.add(this)
  watch ??= setInterval(endTimedOut, TIMEOUT_CHECK_MS)
}

function endTimedOut(): void {
  const now = Date.now()
  for (const { inflight } of [...watched]) {
    for (const request of [...inflight.values()]) {
      if (now - request.sentAt > request.requestTimeout) request.timeoutRequest()
    }
  }
}

const destroyQueue = queueClass.prototype.destroy
queueClass.prototype.destroy = function (this: RequestQueue): void {
  watched.delete(this)
  if (watched.size === 0 && watch !== null) {
    clearInterval(watch)
    watch = null
  }
  destroyQueue.call(this)
}

/** Bytes of the length before each answer. */
const LENGTH_BYTES = 4

/**
 * As it is published, two requests that meet a closed connection open it twice and lose one socket; what came of an answer
 * before the old socket broke is taken for the beginning of the first answer on the new one; and the end, the error or the
 * time limit of an old socket closes the new one, after which whoever waits for that hears nothing until its own limit. Here
 * what befalls a socket concerns the connection only while it is its socket.
 */
connectionClass.prototype.connect = function (this: Connection): Promise<unknown> {
  if (this.isConnected()) return Promise.resolve(true)
  this.connecting ??= open(this).finally(() => (this.connecting = undefined))
  return this.connecting
}

function open(connection: Connection): Promise<unknown> {
  const { host, port, ssl } = connection
  const broker = `${host}:${port}`
  connection.chunks = []
  connection.bytesBuffered = 0
  connection.bytesNeeded = LENGTH_BYTES
  return new Promise((resolve, reject) => {
    const onConnect = () => {
      clearTimeout(limit)
      if (connection.socket !== socket) return
      connection.connectionStatus = 'connected'
      connection.requestQueue.scheduleRequestTimeoutCheck()
      resolve(true)
    }
    const socket = connection.socketFactory({ host, port, ssl, onConnect })
    connection.socket = socket
    const fail = (error: Error) => {
      clearTimeout(limit)
      socket.destroy()
      if (connection.socket === socket) shut(connection, error)
      reject(error)
    }
    const limit = setTimeout(
      () => fail(new errors.KafkaJSConnectionError('Connection timeout', { broker })),
      connection.connectionTimeout,
    )
    socket.on('data', (data) => {
      if (connection.socket === socket) connection.processData(data)
    })
    socket.on('error', ({ message, code }: NodeJS.ErrnoException) =>
      fail(new errors.KafkaJSConnectionError(`Connection error: ${message}`, { broker, code })),
    )
    for (const end of ['end', 'close']) socket.on(end, () => fail(closed(connection)))
  })
}

function closed({ host, port }: Connection): Error {
  return new errors.KafkaJSConnectionClosedError('Closed connection', { host, port })
}

/** Nothing of its socket reaches the next one: neither bytes, nor requests that wait for an answer. */
function shut(connection: Connection, error: Error): void {
  connection.socket = undefined
  connection.authenticatedAt = null
  connection.connectionStatus = 'disconnected'
  connection.requestQueue.destroy()
  connection.authHandlers?.onError()
  connection.rejectRequests(error)
}

/**
 * As it is published, a connection that is closed again and again holds on to its dead socket and adds a listener each time;
 * one that is still being made is not closed, and counts as open once it stands; and a request that comes while it is being
 * closed waits for its answer until that times out.
 */
connectionClass.prototype.disconnect = async function (this: Connection): Promise<unknown> {
  const { socket } = this
  if (socket === undefined) return true
  this.connectionStatus = 'disconnecting'
  await this.requestQueue.waitForPendingRequests()
  if (this.socket === socket) shut(this, closed(this))
  socket.destroy()
  return true
}

// Errors that are younger than kafkajs.
for (const [code, type, retriable] of [
  [89, 'THROTTLING_QUOTA_EXCEEDED', true],
  [90, 'PRODUCER_FENCED', false],
  [120, 'TRANSACTION_ABORTABLE', false],
] as const) {
  if (protocolErrors.errorCodes.some((known) => known.code === code)) continue
  protocolErrors.errorCodes.push({ code, type, retriable, message: type.toLowerCase().replaceAll('_', ' ') })
}

/** What kafkajs throws for an error code of the protocol. */
export function protocolError(code: number): Error {
  return protocolErrors.createErrorFromCode(code)
}

export function createCluster(connection: KafkaConnection): Cluster {
  return new ClusterOfKafkajs({
    // What goes wrong is thrown; nothing of kafkajs's own logging reaches the terminal.
    logger: createLogger({ level: 0, logCreator: () => () => {} }),
    socketFactory: createSocketFactory(),
    brokers: [...connection.brokers],
    clientId: KAFKA_CLIENT_ID,
    ssl: connection.tls === undefined ? null : { ...connection.tls },
    sasl: connection.sasl === undefined ? null : { ...connection.sasl },
    connectionTimeout: connection.connectMs ?? 5_000,
    authenticationTimeout: 10_000,
    reauthenticationThreshold: 10_000,
    requestTimeout: connection.requestMs ?? 30_000,
    enforceRequestTimeout: true,
    metadataMaxAge: 300_000,
    allowAutoTopicCreation: false,
    isolationLevel: 1,
    // Trying again is done above, where it is known what may be tried again.
    retry: { retries: 0, initialRetryTime: 50, maxRetryTime: 200 },
  })
}

const { requests } = require('kafkajs/src/protocol/requests') as {
  requests: Readonly<Record<string, { versions: readonly string[] }>>
}
const apiKeys = require('kafkajs/src/protocol/requests/apiKeys') as Readonly<Record<string, number>>

/** Lowest and highest version of a request that kafkajs can build. */
export function implementedVersions(name: string): { apiKey: number; low: number; high: number } {
  const versions = requests[name].versions.map(Number)
  return { apiKey: apiKeys[name], low: Math.min(...versions), high: Math.max(...versions) }
}
