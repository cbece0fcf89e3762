/** What fails around a running service: said in one line, waited for, and nothing lost. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ClickHouseStore } from '../../services/adapters/clickhouse/store.js'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { encodeFlow } from '../../services/core/wire/flow.js'
import { SEGMENT_FORMAT_VERSION } from '../../services/core/wire/segment_batch.js'
import { seededFlow } from '../fakes/flows.js'
import { type ServedStore, serveStore } from '../store/served_store.js'
import type { TestKafka } from './server.js'
import { killServices, ServiceProcess, until } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const PARTITIONS = 2
const kafka = await ownKafka()

describe('services where something is wrong', { skip: typeof kafka === 'string' ? kafka : false }, () => {
  const { brokers } = kafka as TestKafka
  const KAFKA_BROKERS = brokers?.join(',')
  let bus: KafkaBus
  let served: ServedStore
  let flowCount = 0

  before(async () => {
    bus = await KafkaBus.connect({ brokers })
    served = await serveStore()
  })
  after(async () => {
    killServices()
    await bus.close()
    await served.close()
    await (kafka as TestKafka).stop()
  })

  async function publishFlows(count: number): Promise<void> {
    const producer = await bus.producer()
    const random = new Random(flowCount + 1)
    for (let i = 0; i < count; i++) {
      const flow = seededFlow(random, flowCount++, Date.now() * 1000)
      await producer.send(TOPICS.flows, i % PARTITIONS, [{ key: Buffer.from(flow.conn_id), value: encodeFlow(flow) }])
    }
    await producer.close()
  }
  const stored = async (store: { rows: ServedStore['rows'] } = served) => {
    const [row] = await store.rows('SELECT count() AS n, uniqExact(conn_id, exchange_seq) AS u FROM klartext.flows')
    assert.equal(row.n, row.u, 'a flow is stored twice')
    return Number(row.n)
  }

  test('missing topics are waited for with what to do about it; then it starts', async () => {
    const decode = new ServiceProcess('decode', { KAFKA_BROKERS })
    const { error } = await decode.logged(({ message }) => message === 'waiting for topics')
    assert.match(
      String(error),
      /^topic klartext\.segments: the topic does not exist in Kafka at .*: klartext topics apply makes it$/,
    )
    await createTopics(bus, PARTITIONS)
    await decode.ready()
    assert.equal(await decode.end('SIGTERM'), 0)
  })

  test('a store that is away at the start, that lacks its schema, and that goes away while rows wait', async () => {
    await served.store.command('DROP DATABASE klartext SYNC')
    await served.refuse()
    const sink = new ServiceProcess('sink', { KAFKA_BROKERS, CLICKHOUSE_URL: served.url, KLARTEXT_SINK_AGE_MS: '50' })
    await sink.logged(({ message, code }) => message === 'waiting for store' && code === 'STORE_UNREACHABLE')
    await served.serve()
    const behind = await sink.logged(({ code }) => code === 'SCHEMA_BEHIND')
    assert.match(String(behind.error), /files of its schema have not run, from 0001_.*: klartext migrate apply$/)
    await migrate(served.url)
    await sink.ready()
    await publishFlows(100)
    await until(
      async () => (await sink.metric('klartext_sink_rows_total')) === 100,
      () => sink.said,
    )
    assert.equal(await stored(), 100)

    await served.refuse()
    await publishFlows(50)
    await until(
      async () => (await sink.metric('klartext_sink_retries_total')) > 1,
      () => sink.said,
    )
    const ready = await sink.get('/readyz')
    assert.equal(ready.status, 503)
    assert.match(ready.text, /^sink: http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/)
    assert.equal((await sink.get('/livez')).status, 200)
    assert.equal(await sink.metric('klartext_sink_store_up'), 0)
    await until(
      async () => (await sink.metric('klartext_sink_lag_messages')) === 50,
      () => 'lag does not show',
    )
    assert.ok((await sink.metric('klartext_sink_lag_seconds')) > 0)
    await served.serve()
    await until(
      async () => (await stored()) === 150,
      () => sink.said,
    )
    await sink.ready()

    // Told to end while the store is away it waits; told again it ends at once, and the next one stores what it had in hand.
    await served.refuse()
    await publishFlows(30)
    await until(
      async () => (await sink.metric('klartext_sink_retries_total')) > 2,
      () => sink.said,
    )
    sink.child.kill('SIGTERM')
    await sink.logged(({ message }) => message.startsWith('ending in good order'))
    assert.equal((await sink.get('/readyz')).status, 503)
    assert.equal(await sink.end('SIGINT'), 1)
    assert.equal(sink.lines.at(-1)?.message, 'told again to end: ending at once')
    await served.serve()
    const next = new ServiceProcess('sink', { KAFKA_BROKERS, CLICKHOUSE_URL: served.url, KLARTEXT_SINK_AGE_MS: '50' })
    await until(
      async () => (await stored()) === 180,
      () => next.said,
    )
    assert.equal(await next.end('SIGTERM'), 0)
  })

  test('a broker that is gone for a while: not ready with the reason, ready again, and all is there', async () => {
    const sink = new ServiceProcess('sink', { KAFKA_BROKERS, CLICKHOUSE_URL: served.url, KLARTEXT_SINK_AGE_MS: '50' })
    await sink.ready()
    await (kafka as TestKafka).kill()
    await until(
      async () => (await sink.get('/readyz')).status === 503,
      () => `it does not notice: ${sink.said}`,
    )
    assert.match((await sink.get('/readyz')).text, /Kafka at 127\.0\.0\.1:\d+/)
    assert.equal((await sink.get('/livez')).status, 200)
    await (kafka as TestKafka).restart()
    const before = await stored()
    await publishFlows(20)
    await until(
      async () => (await stored()) === before + 20,
      () => sink.said,
    )
    await sink.ready()
    assert.equal(await sink.end('SIGTERM'), 0)
  })

  test('what a newer klartext wrote is not passed over: the partition waits, the others go on', async () => {
    const newer = encodeFlow(seededFlow(new Random(1), 999_999, Date.now() * 1000))
    newer.writeInt32BE(newer.readInt32BE(1) + 1, 1)
    const producer = await bus.producer()
    const offset = await producer.send(TOPICS.flows, 0, [{ key: Buffer.from('1'), value: newer }])
    // The next format version, as a zig-zag number.
    const nextFormat = Buffer.from([2 * (SEGMENT_FORMAT_VERSION + 1), 0, 0, 0])
    const segments = await producer.send(TOPICS.segments, 0, [{ key: null, value: nextFormat }])
    const before = await stored()
    await publishFlows(10)
    const environment = { KAFKA_BROKERS, CLICKHOUSE_URL: served.url, KLARTEXT_SINK_AGE_MS: '50' }
    const [sink, decode] = [new ServiceProcess('sink', environment), new ServiceProcess('decode', environment)]
    const why = /: a flow message has schema \d+, this klartext knows up to \d+: update it first/
    await until(
      async () => why.test((await sink.get('/readyz')).text),
      () => sink.said,
    )
    await until(
      async () => (await stored()) === before + 5,
      () => sink.said,
    )
    const whyBatch = /: a segment batch has format version \d+, this klartext knows up to \d+: update it first/
    await until(
      async () => whyBatch.test((await decode.get('/readyz')).text),
      () => decode.said,
    )
    assert.equal((await sink.get('/livez')).status, 200)
    assert.deepEqual(await Promise.all([sink.end('SIGTERM'), decode.end('SIGTERM')]), [0, 0])
    const reader = await bus.consumer('klartext-sink')
    // Nothing is committed where it is the first of all.
    const next = (await reader.committed({ topic: TOPICS.flows, partition: 0 })).offset
    assert.equal(next < 0n ? 0n : next, offset)
    await reader.close()
    const decoder = await bus.consumer('klartext-decode')
    const committed = (await decoder.committed({ topic: TOPICS.segments, partition: 0 })).offset
    assert.ok(committed <= segments, `${committed} beyond ${segments}`)
    await decoder.close()
    await producer.close()
  })
})

async function migrate(url: string): Promise<void> {
  const store = new ClickHouseStore({ url })
  await store.migrate()
  await store.close()
}
