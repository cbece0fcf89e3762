/** klartext decode and klartext sink as processes over Kafka and a ClickHouse over HTTP, looked at and ended as operators do. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { Random } from '../../services/core/random.js'
import { createTopics } from '../../services/core/topics.js'
import { seededTraffic } from '../sim/traffic.js'
import { type ServedStore, serveStore } from '../store/served_store.js'
import { expectedFlows, publish, storedFlows } from './expected_flows.js'
import { checkMetrics } from './prometheus.js'
import type { TestKafka } from './server.js'
import { killServices, ServiceProcess, until } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const PARTITIONS = 3
const CONNECTIONS = 60
const kafka = await ownKafka()

describe('services over Kafka', { skip: typeof kafka === 'string' ? kafka : false }, () => {
  let served: ServedStore
  let bus: KafkaBus
  let environment: Record<string, string>

  before(async () => {
    served = await serveStore()
    const { brokers } = kafka as TestKafka
    bus = await KafkaBus.connect({ brokers })
    environment = { KAFKA_BROKERS: brokers.join(','), CLICKHOUSE_URL: served.url }
  })
  after(async () => {
    killServices()
    await bus.close()
    await served.close()
    await (kafka as TestKafka).stop()
  })

  test('decode and sink give the rows of one process, say how they are, and end in good order', async () => {
    const traffic = seededTraffic(new Random(17), CONNECTIONS, PARTITIONS, Date.now() * 1000)
    const expected = await expectedFlows(traffic, PARTITIONS)
    await createTopics(bus, PARTITIONS)
    const decode = new ServiceProcess('decode', environment)
    const sink = new ServiceProcess('sink', { ...environment, KLARTEXT_SINK_AGE_MS: '50' })
    await Promise.all([decode.ready(), sink.ready()])
    assert.deepEqual(await decode.get('/livez'), { status: 200, text: 'ok\n' })
    assert.equal((await decode.get('/elsewhere')).status, 404)
    await publish(bus, traffic)
    const stored = async () => (await storedFlows(served)).length
    await until(
      async () => (await stored()) >= expected.length,
      () => `flows are missing:\n${decode.said}${sink.said}`,
    )
    assert.deepEqual((await storedFlows(served)).sort(), expected.sort())

    assert.equal(await decode.metric('klartext_decode_flows_total'), expected.length)
    assert.ok((await decode.metric('klartext_decode_transactions_total')) > 0)
    assert.equal(await decode.metric('klartext_decode_partitions'), PARTITIONS)
    assert.equal(await sink.metric('klartext_sink_store_up'), 1)
    // The ends of the topics are asked for every 15 s.
    await until(
      async () => /klartext_decode_lag_messages\{.*\} 0\n/.test((await decode.get('/metrics')).text),
      () => 'no lag is told',
    )
    const { partitions } = JSON.parse((await decode.get('/status')).text) as { partitions: { committed: string }[] }
    assert.equal(partitions.length, PARTITIONS)

    for (const service of [decode, sink]) checkMetrics((await service.get('/metrics')).text)

    assert.equal(await decode.end('SIGTERM'), 0, decode.said)
    assert.equal(await sink.end('SIGTERM'), 0, sink.said)
    assert.deepEqual([decode.rest, sink.rest], ['', ''])
    assert.equal(await stored(), expected.length)
  })
})
