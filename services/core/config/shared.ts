/** Sections that several services have: how to reach what is outside, how to be looked at. */
import { choice, flag, list, type SectionOf, secret, text, url, wholeNumber } from './key.js'

const MECHANISMS = ['', 'plain', 'scram-sha-256', 'scram-sha-512'] as const

export const KAFKA_KEYS = {
  brokers: list('KAFKA_BROKERS', {
    item: /^(\[[0-9a-f:]+\]|[^:\s/]+):\d{1,5}$/i,
    takes: 'host:port, several with commas',
    help: 'host:port, several with commas',
  }),
  tls: flag('KAFKA_TLS', { fallback: false, help: "TLS, trusting the system's authorities" }),
  tlsCaFile: text('KAFKA_TLS_CA_FILE', { fallback: '', help: 'PEM: TLS, trusting this authority' }),
  tlsCertFile: text('KAFKA_TLS_CERT_FILE', { fallback: '', help: 'PEM: a client certificate' }),
  tlsKeyFile: text('KAFKA_TLS_KEY_FILE', { fallback: '', help: 'PEM: its private key' }),
  saslMechanism: choice(
    'KAFKA_SASL_MECHANISM',
    { fallback: '', help: 'plain, scram-sha-256 or scram-sha-512' },
    MECHANISMS,
  ),
  saslUsername: text('KAFKA_SASL_USERNAME', { fallback: '', help: '' }),
  saslPassword: secret('KAFKA_SASL_PASSWORD', { fallback: '', help: 'or KAFKA_SASL_PASSWORD_FILE' }),
  replication: wholeNumber('KAFKA_REPLICATION', {
    min: 0,
    max: 99,
    fallback: 0,
    help: "copies of topics that are made; 0: the broker's default",
  }),
}
export type KafkaConfig = SectionOf<typeof KAFKA_KEYS>

export const CLICKHOUSE_KEYS = {
  url: url('CLICKHOUSE_URL', { schemes: ['http', 'https'], help: 'of its HTTP interface' }),
}

const REDIS_SCHEMES = ['redis', 'rediss']

export const REDIS_KEYS = {
  url: url('REDIS_URL', { schemes: REDIS_SCHEMES, help: 'a cache: it may be lost' }),
}

/** Of services that do without one: the address is then ''. */
export function optionalRedisKeys(help: string) {
  return { url: url('REDIS_URL', { schemes: REDIS_SCHEMES, fallback: '', help }) }
}

/** The operations server of a service; each has its own usual port, so that all of them run on one host. */
export function operationsKeys(port: number) {
  return {
    host: text('KLARTEXT_OPERATIONS_HOST', {
      fallback: '127.0.0.1',
      help: 'where /livez, /readyz, /status and /metrics are served',
    }),
    port: wholeNumber('KLARTEXT_OPERATIONS_PORT', {
      min: 0,
      max: 65_535,
      fallback: port,
      help: 'of it; 0: any free one, said in the log',
    }),
    stuckMs: wholeNumber('KLARTEXT_STUCK_MS', {
      min: 1_000,
      max: 3_600_000,
      unit: 'ms',
      fallback: 120_000,
      help: 'without progress for so long /livez fails; for twice as long the service ends itself',
    }),
  }
}

export const LOG_KEYS = {
  format: choice('KLARTEXT_LOG_FORMAT', { fallback: 'text', help: 'text or json' }, ['text', 'json'] as const),
  level: choice('KLARTEXT_LOG_LEVEL', { fallback: 'info', help: 'debug, info, warn or error' }, [
    'debug',
    'info',
    'warn',
    'error',
  ] as const),
}

/** What every service has. */
export interface CommonSections {
  readonly operations: ReturnType<typeof operationsKeys>
  readonly log: typeof LOG_KEYS
}
