/**
 * The part of kafkajs 2.2.4 that is used: connections, TLS and SASL, metadata, and the requests of Kafka's protocol. Its
 * consumer and producer are not: they reset offsets silently, do not tell when partitions are taken away and stall on resume.
 * The package has been frozen since 2023 and its version is pinned, so its inner modules are as stable as its outside. What
 * must be repaired in it is repaired beside this file.
 */
import { createRequire } from 'node:module'
import type { Cluster } from './broker.js'
import './kafkajs_repairs.js'
import { KAFKA_CLIENT_ID, type KafkaConnection } from './options.js'

const require = createRequire(import.meta.url)

const ClusterOfKafkajs = require('kafkajs/src/cluster') as new (options: Record<string, unknown>) => Cluster
const { createLogger } = require('kafkajs/src/loggers') as {
  createLogger(options: { level: number; logCreator: () => () => void }): unknown
}
const createSocketFactory = require('kafkajs/src/network/socketFactory') as () => unknown
const protocolErrors = require('kafkajs/src/protocol/error') as {
  errorCodes: { type: string; code: number; retriable: boolean; message: string }[]
  createErrorFromCode(code: number): Error
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
