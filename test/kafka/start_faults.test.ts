/** What a person did wrong, with each of the services: said in one line, waited for where it may pass, ended where it does not. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { whyNoCapture } from '../../services/capture/requirements.js'
import { freePort } from '../../services/cli/demo/free_port.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { KAFKA_PASSWORD, KAFKA_USER, type TestKafka } from './server.js'
import { killServices, ServiceProcess } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const SERVICES = ['capture', 'decode', 'sink', 'directory', 'detect', 'replay-worker'] as const
/** Nothing of what is not Kafka is reached before Kafka is there. */
const ELSEWHERE = {
  CLICKHOUSE_URL: 'http://127.0.0.1:1',
  REDIS_URL: 'redis://127.0.0.1:1',
  KLARTEXT_CLUSTER: 'c',
}
const kafka = await ownKafka()

describe('each service at its start', { skip: typeof kafka === 'string' ? kafka : false }, () => {
  const { brokers, saslBrokers, tlsBrokers, saslTlsBrokers, ca } = kafka as TestKafka
  const folder = mkdtempSync(join(tmpdir(), 'klartext-start-'))
  const caFile = join(folder, 'ca.pem')
  before(() => writeFileSync(caFile, ca))
  after(async () => {
    killServices()
    await (kafka as TestKafka).stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const start = (name: string, at: readonly string[], environment: Readonly<Record<string, string>> = {}) =>
    new ServiceProcess(name, { ...ELSEWHERE, KAFKA_BROKERS: at.join(','), ...environment })
  const credentials = (mechanism: string, password = KAFKA_PASSWORD) => ({
    KAFKA_SASL_MECHANISM: mechanism,
    KAFKA_SASL_USERNAME: KAFKA_USER,
    KAFKA_SASL_PASSWORD: password,
  })

  /** It says what it waits for, is alive and not ready, and can be told to end. */
  async function waits(service: ServiceProcess, what: string, why: RegExp): Promise<void> {
    const { error, level } = await service.logged(({ message }) => message === `waiting for ${what}`)
    assert.match(String(error), why)
    assert.equal(level, 'warn')
    const ready = await service.get('/readyz')
    assert.equal(ready.status, 503)
    assert.match(ready.text, new RegExp(`${what}: `))
    assert.equal((await service.get('/livez')).status, 200)
    const name = String((await service.logged(({ message }) => message === 'operations server')).service)
    assert.ok((await service.metric(`klartext_${name.replace('-', '_')}_errors_total`)) >= 1)
    assert.equal(await service.end('SIGTERM'), 1)
  }

  /** It ends by itself with one line that holds no secret. */
  async function ends(service: ServiceProcess, code: string, why: RegExp): Promise<void> {
    assert.equal(await service.end(), 1)
    assert.equal(service.rest, '')
    const last = service.lines.at(-1)
    assert.equal(last?.message, 'ended by an error', service.said)
    assert.equal(last?.code, code)
    assert.match(String(last?.error), why)
    assert.doesNotMatch(service.said, /geheim/)
  }

  for (const name of SERVICES) {
    test(`${name}: wrong address, wrong credentials, an authority that is not trusted, missing topics`, {
      skip: name === 'capture' ? (whyNoCapture() ?? false) : false,
    }, async () => {
      const away = `127.0.0.1:${await freePort()}`
      const refused = /^Kafka at 127\.0\.0\.1:\d+ refuses the credentials: /
      const missing = /^topic klartext\.\S+: the topic does not exist in Kafka at .*: klartext topics apply makes it$/
      const trusted = { KAFKA_TLS_CA_FILE: caFile }
      await Promise.all([
        waits(start(name, [away]), 'kafka', /^no Kafka answers at 127\.0\.0\.1:\d+: connect ECONNREFUSED/),
        ends(start(name, saslBrokers, credentials('plain', 'geheim')), 'BUS_CREDENTIALS', refused),
        waits(start(name, saslTlsBrokers, { ...trusted, ...credentials('scram-sha-512') }), 'topics', missing),
      ])
      await Promise.all([
        ends(
          start(name, saslTlsBrokers, { ...trusted, ...credentials('scram-sha-256', 'geheim') }),
          'BUS_CREDENTIALS',
          refused,
        ),
        waits(start(name, tlsBrokers, { KAFKA_TLS: 'true' }), 'kafka', /self-signed certificate/),
        waits(start(name, saslBrokers), 'kafka', /it closed the connection; does it want TLS or credentials\?$/),
      ])
    })
  }

  test('a topic with another number of partitions than the rest ends those that need the same in all', async () => {
    const bus = await KafkaBus.connect({ brokers })
    await createTopics(bus, 2)
    await bus.close()
    const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    await admin.createPartitions({ topicPartitions: [{ topic: TOPICS.flows, count: 3 }] })
    await admin.disconnect()
    const names = whyNoCapture() === null ? ['capture', 'decode', 'sink'] : ['decode', 'sink']
    const why = /klartext\.flows has 3.*a connection would be read by two workers; put the count back/
    await Promise.all(names.map((name) => ends(start(name, brokers), 'PARTITIONS_CHANGED', why)))
  })
})
