/** What kafkajs and brokers fail with, as KlartextErrors of one line. */
import { KlartextError } from '../../core/errors.js'

interface KafkaFailure extends Error {
  /** Name of the protocol's error code, e.g. `NOT_LEADER_FOR_PARTITION`. */
  readonly type?: string
  readonly retriable?: boolean
  readonly broker?: string
}

/** Another producer or member has taken over: what this one wanted must not happen any more. */
const FENCED = new Set([
  'PRODUCER_FENCED',
  'INVALID_PRODUCER_EPOCH',
  'TRANSACTION_COORDINATOR_FENCED',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'FENCED_INSTANCE_ID',
  'REBALANCE_IN_PROGRESS',
])

/** Served by another broker now, or not yet: the same call may succeed when it is looked up again. */
const MOVED = new Set([
  'NOT_LEADER_FOR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  // Of a topic that was there: client.ts tells at once of one that never was.
  'UNKNOWN_TOPIC_OR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'GROUP_LOAD_IN_PROGRESS',
  'NOT_CONTROLLER',
  'REQUEST_TIMED_OUT',
  'NETWORK_EXCEPTION',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'CONCURRENT_TRANSACTIONS',
  'KAFKA_STORAGE_ERROR',
  'OFFSET_NOT_AVAILABLE',
  'THROTTLING_QUOTA_EXCEEDED',
])

const CONNECTION = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSNoBrokerAvailableError',
  'KafkaJSLockTimeout',
  'KafkaJSTimeout',
  'KafkaJSGroupCoordinatorNotFound',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSTopicMetadataNotLoaded',
])

/** The failure below what kafkajs wraps it in. */
export function rootOf(error: unknown): KafkaFailure {
  let failure = (error ?? new Error('unknown')) as KafkaFailure
  while (failure.name === 'KafkaJSNumberOfRetriesExceeded' && failure.cause instanceof Error) {
    failure = failure.cause as KafkaFailure
  }
  return failure
}

export function errorType(error: unknown): string {
  const { type, name } = rootOf(error)
  return type ?? name
}

/** True where the connection, not the request, was at fault, or the request met the wrong broker. */
export function isTransient(error: unknown): boolean {
  const { name, type, code } = rootOf(error) as KafkaFailure & { code?: unknown }
  if (type !== undefined) return MOVED.has(type)
  return CONNECTION.has(name) || code === 'ECONNREFUSED' || code === 'ECONNRESET'
}

/** True where a request was sent and its connection broke: the broker may have done it, or may yet do it when it arrives. */
export function isUnanswered(error: unknown): boolean {
  const { name, type, code } = rootOf(error) as KafkaFailure & { code?: unknown }
  if (type !== undefined) return false
  if (name === 'KafkaJSConnectionError') return code !== undefined && code !== 'ECONNREFUSED'
  return name === 'KafkaJSConnectionClosedError' || name === 'KafkaJSRequestTimeoutError'
}

/** `doing` is a clause like `commit of orders/3`; `where` names the brokers. */
export function kafkaError(error: unknown, where: string, doing: string): KlartextError {
  if (error instanceof KlartextError) return error
  const failure = rootOf(error)
  const { name, type } = failure
  const because = failure.message.split('\n')[0]
  const made = (code: string, text: string, retryable = false) =>
    new KlartextError(code, text, { retryable, cause: error })
  if (type !== undefined && FENCED.has(type)) return made('FENCED', `${doing}: another one has taken over (${because})`)
  if (name === 'KafkaJSSASLAuthenticationError' || /^SASL|SASL .*failed|Authentication failed/i.test(because)) {
    return made('BUS_CREDENTIALS', `Kafka at ${where} refuses the credentials: ${because}`)
  }
  if (type === 'UNKNOWN_TOPIC_OR_PARTITION' || type === 'INVALID_TOPIC_EXCEPTION') {
    return made('UNKNOWN_TOPIC', `${doing}: the topic does not exist in Kafka at ${where}`)
  }
  if (type?.endsWith('AUTHORIZATION_FAILED'))
    return made('BUS_FORBIDDEN', `${doing}: Kafka at ${where} does not allow it`)
  if (name === 'KafkaJSServerDoesNotSupportApiKey' || type === 'UNSUPPORTED_VERSION') {
    return made('BUS_VERSION', `Kafka at ${where} speaks other versions of its protocol: ${because}`)
  }
  if (type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE') {
    return made('MESSAGE_TOO_LARGE', `${doing}: larger than the topic allows (max.message.bytes)`)
  }
  if (isTransient(error)) return made('BUS_UNREACHABLE', `Kafka at ${where}, ${doing}: ${because}`, true)
  return made('BUS_FAILED', `Kafka at ${where}, ${doing}: ${type ?? name}: ${because}`)
}
