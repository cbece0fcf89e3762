import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readConfig } from '../../core/config/config.js'
import { KAFKA_KEYS } from '../../core/config/shared.js'
import { kafkaOptions } from './config.js'

const KAFKA_BROKERS = 'a:9092, [::1]:9093'

function optionsOf(environment: Readonly<Record<string, string | undefined>>) {
  const sources = { file: null, environment, readText: (path: string) => readFileSync(path, 'utf8') }
  return kafkaOptions(readConfig({ kafka: KAFKA_KEYS }, sources).config.kafka)
}

test('brokers, TLS and credentials from the environment, secrets from files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-options-'))
  const [ca, secret] = [join(folder, 'ca.pem'), join(folder, 'secret')]
  writeFileSync(ca, 'PEM')
  writeFileSync(secret, 'hidden\n')
  const sasl = { KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512', KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD_FILE: secret }
  try {
    assert.deepEqual(optionsOf({ KAFKA_BROKERS }), { brokers: ['a:9092', '[::1]:9093'] })
    assert.deepEqual(optionsOf({ KAFKA_BROKERS, KAFKA_TLS: '1', KAFKA_REPLICATION: '3' }), {
      brokers: ['a:9092', '[::1]:9093'],
      tls: {},
      replication: 3,
    })
    assert.deepEqual(optionsOf({ KAFKA_BROKERS, KAFKA_TLS_CA_FILE: ca, ...sasl }), {
      brokers: ['a:9092', '[::1]:9093'],
      tls: { ca: 'PEM' },
      sasl: { mechanism: 'scram-sha-512', username: 'u', password: 'hidden' },
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('what is wrong is named by its variable, secrets are not repeated', () => {
  for (const [environment, message] of [
    [{}, /KAFKA_BROKERS is not set/],
    [{ KAFKA_BROKERS: 'http://a' }, /KAFKA_BROKERS takes host:port, several with commas, not "http:\/\/a"/],
    [{ KAFKA_BROKERS, KAFKA_TLS: 'yes' }, /KAFKA_TLS takes 0 or 1/],
    [{ KAFKA_BROKERS, KAFKA_TLS_CA_FILE: '/nowhere/ca' }, /KAFKA_TLS_CA_FILE: .*\/nowhere\/ca/],
    [{ KAFKA_BROKERS, KAFKA_SASL_MECHANISM: 'gssapi' }, /KAFKA_SASL_MECHANISM takes plain/],
    [{ KAFKA_BROKERS, KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_PASSWORD: 'x' }, /needs KAFKA_SASL_USERNAME/],
    [{ KAFKA_BROKERS, KAFKA_REPLICATION: 'all' }, /KAFKA_REPLICATION takes a whole number/],
  ] as const) {
    assert.throws(() => optionsOf(environment), { message })
  }
})
