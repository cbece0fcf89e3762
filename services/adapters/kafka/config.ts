/** How to reach Kafka, out of the configuration. */
import type { KafkaConfig } from '../../core/config/shared.js'
import { UsageError } from '../../core/errors.js'
import { readTextFile } from '../system/text_file.js'
import type { KafkaBusOptions } from './options.js'

/** Throws UsageError for keys that do not belong together, `BAD_FILE` for a certificate that cannot be read. */
export function kafkaOptions(config: KafkaConfig): KafkaBusOptions {
  const { brokers, replication } = config
  if (brokers.length === 0) throw new UsageError('KAFKA_BROKERS is not set: host:port, several with commas')
  const tls = tlsOptions(config)
  const sasl = saslOptions(config)
  return {
    brokers,
    ...(tls === null ? {} : { tls }),
    ...(sasl === null ? {} : { sasl }),
    ...(replication === 0 ? {} : { replication }),
  }
}

function tlsOptions(config: KafkaConfig): NonNullable<KafkaBusOptions['tls']> | null {
  const ca = file('KAFKA_TLS_CA_FILE', config.tlsCaFile)
  const cert = file('KAFKA_TLS_CERT_FILE', config.tlsCertFile)
  const key = file('KAFKA_TLS_KEY_FILE', config.tlsKeyFile)
  if (!config.tls && ca === null && cert === null && key === null) return null
  if ((cert === null) !== (key === null)) {
    throw new UsageError('KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE belong together')
  }
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  }
}

function saslOptions(config: KafkaConfig): NonNullable<KafkaBusOptions['sasl']> | null {
  const { saslMechanism: mechanism, saslUsername: username, saslPassword: password } = config
  if (mechanism === '') return null
  if (username === '' || password === '') {
    throw new UsageError(
      'KAFKA_SASL_MECHANISM needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE',
    )
  }
  return { mechanism, username, password }
}

function file(name: string, path: string): string | null {
  return path === '' ? null : readTextFile(path, `${name}: `)
}
