/** How to reach Kafka, from the environment: what every command that needs it reads. */
import { readFileSync } from 'node:fs'
import type { KafkaBusOptions } from '../adapters/kafka/options.js'
import { KlartextError, UsageError } from '../core/errors.js'

type Environment = Readonly<Record<string, string | undefined>>

const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const

/** For `--help`. */
export const KAFKA_HELP = `Kafka is found by the environment:
  KAFKA_BROKERS        host:port, several with commas
  KAFKA_TLS            1: TLS, trusting the system's authorities; KAFKA_TLS_CA_FILE trusts that one (PEM)
  KAFKA_TLS_CERT_FILE, KAFKA_TLS_KEY_FILE    a client certificate
  KAFKA_SASL_MECHANISM plain, scram-sha-256, scram-sha-512, with KAFKA_SASL_USERNAME and
                       KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE
  KAFKA_REPLICATION    copies of topics that are made (the broker's default)`

/** Throws UsageError that names the variable. */
export function kafkaOptions(environment: Environment): KafkaBusOptions {
  const brokers = (environment.KAFKA_BROKERS ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
  if (brokers.length === 0) throw new UsageError('KAFKA_BROKERS is not set: host:port, several with commas')
  for (const broker of brokers) {
    if (!/^(\[[0-9a-f:]+\]|[^:\s/]+):\d{1,5}$/i.test(broker)) {
      throw new UsageError(`KAFKA_BROKERS takes host:port, not "${broker}"`)
    }
  }
  const tls = tlsOptions(environment)
  const sasl = saslOptions(environment)
  const replication = environment.KAFKA_REPLICATION
  if (replication !== undefined && !/^[1-9]\d?$/.test(replication)) {
    throw new UsageError(`KAFKA_REPLICATION takes a whole number, not "${replication}"`)
  }
  return {
    brokers,
    ...(tls === null ? {} : { tls }),
    ...(sasl === null ? {} : { sasl }),
    ...(replication === undefined ? {} : { replication: Number(replication) }),
  }
}

function tlsOptions(environment: Environment): NonNullable<KafkaBusOptions['tls']> | null {
  const ca = file(environment, 'KAFKA_TLS_CA_FILE')
  const cert = file(environment, 'KAFKA_TLS_CERT_FILE')
  const key = file(environment, 'KAFKA_TLS_KEY_FILE')
  if (!isOn(environment, 'KAFKA_TLS') && ca === null && cert === null && key === null) return null
  if ((cert === null) !== (key === null)) {
    throw new UsageError('KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE belong together')
  }
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  }
}

function saslOptions(environment: Environment): NonNullable<KafkaBusOptions['sasl']> | null {
  const name = environment.KAFKA_SASL_MECHANISM?.toLowerCase()
  if (name === undefined || name === '') return null
  const mechanism = MECHANISMS.find((known) => known === name)
  if (mechanism === undefined)
    throw new UsageError(`KAFKA_SASL_MECHANISM takes ${MECHANISMS.join(', ')}, not "${name}"`)
  const username = environment.KAFKA_SASL_USERNAME
  const password = environment.KAFKA_SASL_PASSWORD ?? file(environment, 'KAFKA_SASL_PASSWORD_FILE')?.trimEnd()
  if (!username || !password) {
    throw new UsageError(
      'KAFKA_SASL_MECHANISM needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE',
    )
  }
  return { mechanism, username, password }
}

function isOn(environment: Environment, name: string): boolean {
  const value = environment[name] ?? ''
  if (['', '0', 'false'].includes(value)) return false
  if (['1', 'true'].includes(value)) return true
  throw new UsageError(`${name} takes 0 or 1, not "${value}"`)
}

function file(environment: Environment, name: string): string | null {
  const path = environment[name]
  if (path === undefined || path === '') return null
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new KlartextError('BAD_FILE', `${name}: ${(error as Error).message}`)
  }
}
