/** What a person did wrong, said at start in one line; credentials and TLS that are right work. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { after, describe, test } from 'node:test'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import type { KafkaBusOptions } from '../../services/adapters/kafka/options.js'
import { checkVersions } from '../../services/adapters/kafka/versions.js'
import type { KlartextError } from '../../services/core/errors.js'
import { checkTopics, createTopics, TOPICS } from '../../services/core/topics.js'
import { KAFKA_PASSWORD, KAFKA_USER } from './server.js'
import { ownKafka } from './test_kafka.js'

/** The error of connecting; one line, or it is no error that a person reads. */
async function refusal(options: KafkaBusOptions): Promise<{ code: string; message: string }> {
  const begun = Date.now()
  const error = await KafkaBus.connect(options).then(
    (bus) => bus.close().then(() => null),
    (thrown: KlartextError) => thrown,
  )
  assert.ok(error !== null, 'it connected')
  assert.equal(error.name, 'KlartextError', String(error))
  assert.doesNotMatch(error.message, /\n/)
  assert.ok(Date.now() - begun < 12_000)
  return { code: error.code, message: error.message }
}

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as { port: number }).port}`
}

test('an address where nothing listens, where something else does, and a name that does not exist', async () => {
  const closed = createServer()
  const address = await listening(closed)
  closed.close()
  assert.deepEqual(await refusal({ brokers: [address] }), {
    code: 'BUS_UNREACHABLE',
    message: `no Kafka answers at ${address}: connect ECONNREFUSED ${address}`,
  })
  const web = createServer((socket) => socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
  const { code, message } = await refusal({ brokers: [await listening(web)], connectMs: 1_000, requestMs: 1_000 })
  web.close()
  assert.equal(code, 'BUS_UNREACHABLE')
  assert.match(message, /^no Kafka answers at 127\.0\.0\.1:\d+: /)
  const unknown = await refusal({ brokers: ['kafka.invalid:9092'] })
  assert.equal(unknown.code, 'BUS_UNREACHABLE')
  assert.match(unknown.message, /kafka\.invalid/)
})

test('a broker whose versions do not fit is told apart, each request named', () => {
  const fits: Record<number, { minVersion: number; maxVersion: number }> = {}
  for (let key = 0; key < 70; key++) fits[key] = { minVersion: 0, maxVersion: 20 }
  checkVersions({ versions: fits }, 'b')
  delete fits[3]
  fits[0] = { minVersion: 9, maxVersion: 20 }
  fits[22] = { minVersion: 6, maxVersion: 7 }
  assert.throws(() => checkVersions({ versions: fits }, 'b:1'), {
    code: 'BUS_VERSION',
    message:
      'Kafka at b:1 speaks other versions of its protocol: Produce 9-20 (klartext speaks 7), no Metadata, InitProducerId 6-7 (klartext speaks 0-1)',
  })
})

const kafka = await ownKafka()
if (typeof kafka === 'string') test('credentials', { skip: kafka }, () => {})
else {
  after(() => kafka.stop())
  const sasl = (mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512', password = KAFKA_PASSWORD) => ({
    brokers: kafka.saslBrokers,
    sasl: { mechanism, username: KAFKA_USER, password },
  })

  /** A record there and back. */
  async function roundTrip(options: KafkaBusOptions, topic: string): Promise<void> {
    const bus = await KafkaBus.connect(options)
    await bus.createTopic(topic, 1)
    const producer = await bus.producer()
    await producer.send(topic, 0, [{ key: null, value: Buffer.from('there and back') }])
    const texts: string[] = []
    await bus.readAll(topic, 0, (records) => texts.push(...records.map(({ value }) => value.toString())))
    assert.deepEqual(texts, ['there and back'])
    await bus.close()
  }

  describe('a Kafka that wants credentials', () => {
    for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
      test(`${mechanism}: the right password works, a wrong one is told`, async () => {
        await roundTrip(sasl(mechanism), `sasl-${mechanism}`)
        const { code, message } = await refusal(sasl(mechanism, 'wrong'))
        assert.equal(code, 'BUS_CREDENTIALS')
        assert.match(message, /^Kafka at 127\.0\.0\.1:\d+ refuses the credentials: /)
        assert.doesNotMatch(message, /wrong/)
      })
    }

    test('no credentials at all', async () => {
      const { code, message } = await refusal({ brokers: kafka.saslBrokers, requestMs: 2_000 })
      assert.equal(code, 'BUS_UNREACHABLE')
      assert.match(message, /does it want TLS or credentials\?$/)
    })
  })

  describe('a Kafka behind TLS', () => {
    test('its authority is trusted when given, and not otherwise', async () => {
      await roundTrip({ brokers: kafka.tlsBrokers, tls: { ca: kafka.ca } }, 'tls')
      const { code, message } = await refusal({ brokers: kafka.tlsBrokers, tls: {} })
      assert.equal(code, 'BUS_UNREACHABLE')
      assert.match(message, /self-signed certificate/)
    })

    test('spoken to without TLS', async () => {
      const { code, message } = await refusal({ brokers: kafka.tlsBrokers, requestMs: 2_000 })
      assert.equal(code, 'BUS_UNREACHABLE')
      assert.match(message, /does it want TLS or credentials\?$/)
    })
  })

  test('topics: a missing one, all made, and a changed partition count', async () => {
    const bus = await KafkaBus.connect({ brokers: kafka.brokers })
    const { segments, flows, state, deadLetters } = TOPICS
    await assert.rejects(checkTopics(bus, [segments]), { code: 'UNKNOWN_TOPIC', message: /klartext\.segments/ })
    const consumer = await bus.consumer('g')
    await assert.rejects(
      consumer.subscribe(segments, async () => {}),
      { code: 'UNKNOWN_TOPIC', message: /topic klartext\.segments: the topic does not exist in Kafka at / },
    )
    await createTopics(bus, 3)
    await createTopics(bus, 3)
    assert.equal(await checkTopics(bus, Object.values(TOPICS)), 3)
    assert.equal(await bus.partitions(deadLetters), 1)
    await assert.rejects(createTopics(bus, 4), { code: 'PARTITIONS_CHANGED', message: /has 3 partitions, not 4/ })
    const { Kafka, logLevel } = await import('kafkajs')
    const admin = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    await admin.createPartitions({ topicPartitions: [{ topic: flows, count: 5 }] })
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [
        { type: 2, name: state, configNames: ['cleanup.policy'] },
        { type: 2, name: segments, configNames: ['cleanup.policy', 'retention.ms'] },
      ],
    })
    await admin.disconnect()
    assert.deepEqual(
      resources.map(({ configEntries }) => configEntries.map(({ configValue }) => configValue)),
      [['compact'], ['delete', '259200000']],
    )
    const later = await KafkaBus.connect({ brokers: kafka.brokers })
    await assert.rejects(checkTopics(later, [segments, flows, state]), {
      code: 'PARTITIONS_CHANGED',
      message: /klartext\.segments has 3 partitions, klartext\.flows has 5/,
    })
    await Promise.all([bus.close(), later.close()])
  })
}
