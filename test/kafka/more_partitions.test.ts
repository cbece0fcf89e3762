/** Topics that are given more partitions while services run: a visible wait until all have as many, and nothing is lost. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { seededTraffic } from '../sim/traffic.js'
import { serveStore } from '../store/served_store.js'
import { expectedFlows, publish, storedFlows } from './expected_flows.js'
import { killServices, ServiceProcess, until } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const BEFORE = 2
const AFTER = 3
const CONNECTIONS = 40
const kafka = await ownKafka()

test('more partitions while decode and sink run', {
  skip: typeof kafka === 'string' ? kafka : false,
  timeout: 120_000,
}, async () => {
  assert.ok(typeof kafka !== 'string')
  const served = await serveStore()
  const bus = await KafkaBus.connect({ brokers: kafka.brokers })
  const admin = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin()
  after(async () => {
    killServices()
    await Promise.all([bus.close(), admin.disconnect(), served.close()])
    await kafka.stop()
  })
  await admin.connect()
  const widen = (...topics: string[]) =>
    admin.createPartitions({ topicPartitions: topics.map((topic) => ({ topic, count: AFTER })) })
  const traffic = seededTraffic(new Random(5), CONNECTIONS, AFTER, Date.now() * 1000)
  const first = traffic.filter(({ partition }) => partition < BEFORE)
  const added = traffic.filter(({ partition }) => partition >= BEFORE)
  const [ofFirst, ofAll] = [await expectedFlows(first, AFTER), await expectedFlows(traffic, AFTER)]
  assert.ok(ofAll.length > ofFirst.length)

  await createTopics(bus, BEFORE)
  const environment = { KAFKA_BROKERS: kafka.brokers.join(','), CLICKHOUSE_URL: served.url, KLARTEXT_SINK_AGE_MS: '50' }
  const decode = await new ServiceProcess('decode', environment).ready()
  const sink = await new ServiceProcess('sink', environment).ready()
  await widen(TOPICS.segments)
  // Of one who started behind it, if there could be one.
  const later = await KafkaBus.connect({ brokers: kafka.brokers })
  await publish(later, added)
  await later.close()
  await until(
    async () =>
      /partition 2 is not taken yet: the topic klartext\.\w+ has no partition 2/.test(
        (await decode.get('/readyz')).text,
      ),
    () => decode.said,
  )
  await publish(bus, first)
  await until(
    async () => (await storedFlows(served)).length >= ofFirst.length,
    () => `the other partitions do not go on:\n${decode.said}${sink.said}`,
  )
  await widen(TOPICS.flows, TOPICS.connections, TOPICS.state)
  await until(
    async () => (await storedFlows(served)).length >= ofAll.length,
    () => `the new partition is not decoded:\n${decode.said}${sink.said}`,
  )
  assert.deepEqual((await storedFlows(served)).sort(), ofAll.sort())
  await Promise.all([decode.ready(), sink.ready()])
  assert.deepEqual(await Promise.all([decode.end('SIGTERM'), sink.end('SIGTERM')]), [0, 0])
})
