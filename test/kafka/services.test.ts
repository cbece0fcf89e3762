/** klartext decode and klartext sink as processes over Kafka and a ClickHouse over HTTP, looked at and ended as operators do. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { Bus } from '../../services/core/ports/bus.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { Sink } from '../../services/sink/sink.js'
import { ArrayStore } from '../fakes/array_store.js'
import { type Published, seededTraffic } from '../sim/traffic.js'
import { type ServedStore, serveStore } from '../store/served_store.js'
import { checkMetrics } from './prometheus.js'
import type { TestKafka } from './server.js'
import { killServices, ServiceProcess, until } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const PARTITIONS = 3
const CONNECTIONS = 60
const kafka = await ownKafka()

async function publish(bus: Bus, traffic: readonly Published[]): Promise<void> {
  const producer = await bus.producer()
  for (const { partition, value } of traffic) await producer.send(TOPICS.segments, partition, [{ key: null, value }])
  await producer.close()
}

/** What the same traffic gives in one process over the memory bus, while connections are still open. */
async function expectedFlows(traffic: readonly Published[]): Promise<string[]> {
  const [bus, store] = [new MemoryBus(), new ArrayStore()]
  await createTopics(bus, PARTITIONS)
  await publish(bus, traffic)
  const policy = new FlowPolicy(defaultPolicy('metadata'))
  const common = { bus, clock: SYSTEM_CLOCK }
  const worker = new DecodeWorker({ ...common, group: 'd', protocols: PROTOCOLS, policy, deadLetters: true })
  const sink = new Sink({ ...common, group: 's', store, epoch: 'e' })
  await worker.start()
  await sink.start()
  while ((await worker.step(0)) > 0);
  await worker.stop()
  await sink.drain()
  await bus.close()
  return store.rows.flows.map(({ conn_id, exchange_seq, method, status_code, resource, ts }) =>
    [conn_id, exchange_seq, method, status_code, resource, Math.round(ts)].join(' '),
  )
}

async function storedFlows(served: ServedStore): Promise<string[]> {
  const rows = await served.rows(
    `SELECT toString(conn_id) AS conn_id, exchange_seq, method, status_code, resource, toUnixTimestamp64Micro(ts) AS us
     FROM klartext.flows`,
  )
  return rows.map((row) => [row.conn_id, row.exchange_seq, row.method, row.status_code, row.resource, row.us].join(' '))
}

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
    const expected = await expectedFlows(traffic)
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
    // The ends of the topics are asked for every 5 s.
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
