/**
 * What is known of pods between a real Kafka and a real Redis: decode workers as processes that start from the cache, and that
 * name as before whatever becomes of the topic, the cache and what is in it.
 */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { type Admin, Kafka, logLevel } from 'kafkajs'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { PodTable } from '../../services/adapters/memory/pod_table.js'
import { RedisCache } from '../../services/adapters/redis/cache.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { encodeFollowed, encodeIdentity, podKey } from '../../services/core/wire/pods.js'
import { PodCache } from '../../services/decode/pod_cache.js'
import { PodFeed } from '../../services/decode/pod_feed.js'
import { benchIdentities } from '../bench/pods/identities.js'
import { RedisServer, whyNoRedis } from '../redis/server.js'
import { checkMetrics } from './prometheus.js'
import type { TestKafka } from './server.js'
import { killServices, ServiceProcess, until } from './service_process.js'
import { ownKafka } from './test_kafka.js'

/** Some parts of a snapshot. */
const PODS = 8_000
const ADDRESS = 4321
/** Kafka's number for it. */
const TOPIC_RESOURCE = 2
const kafka = whyNoRedis || (await ownKafka())

describe('pods in the cache', { skip: typeof kafka === 'string' ? kafka : false }, () => {
  const { brokers } = kafka as TestKafka
  const identities = benchIdentities(PODS)
  let bus: KafkaBus
  let redis: RedisServer
  let admin: Admin
  const feeds: { cache: RedisCache; feed: PodFeed }[] = []

  before(async () => {
    bus = await KafkaBus.connect({ brokers })
    redis = await RedisServer.start()
    admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
  })
  after(async () => {
    killServices()
    await stop()
    await admin.disconnect()
    await redis.kill()
    await (kafka as TestKafka).stop()
  })

  /** The topic with all pods, and a snapshot of it in Redis. */
  beforeEach(async () => {
    if ((await admin.listTopics()).includes(TOPICS.pods)) await remake(0)
    else await createTopics(bus, 1)
    await tell(identities)
    await redis.kill()
    await redis.run()
    const { feed, podCache } = worker()
    await until(
      async () => {
        await feed.step()
        await podCache.idle()
        return podCache.saved > 0
      },
      () => 'nothing was written to the cache',
    )
  })

  async function tell(some: typeof identities): Promise<void> {
    const producer = await bus.producer()
    const messages = some.map((identity) => ({
      key: podKey(identity.cluster, identity.key),
      value: encodeIdentity(identity),
    }))
    const value = encodeFollowed({ cluster: 'bench', network: '', untilUs: SYSTEM_CLOCK.nowUs() })
    for (let i = 0; i < messages.length; i += 1000) await producer.send(TOPICS.pods, 0, messages.slice(i, i + 1000))
    await producer.send(TOPICS.pods, 0, [{ key: podKey('bench', ''), value }])
    await producer.close()
  }

  async function stop(): Promise<void> {
    for (const { cache, feed } of feeds.splice(0)) {
      await feed.stop()
      await cache.close()
    }
    await bus.close()
  }

  async function remake(pods: number): Promise<void> {
    await stop()
    await admin.deleteTopics({ topics: [TOPICS.pods] })
    await until(
      async () => !(await admin.listTopics()).includes(TOPICS.pods),
      () => 'the topic is still there',
    )
    bus = await KafkaBus.connect({ brokers })
    await createTopics(bus, 1)
    if (pods > 0) await tell(identities.slice(0, pods))
  }

  function worker() {
    const cache = new RedisCache({ url: redis.url, prefix: 'klartext:' })
    let why: unknown = null
    const podCache = new PodCache({
      cache,
      bus,
      clock: SYSTEM_CLOCK,
      onLoad: (_, reason) => {
        why = reason
      },
    })
    const table = new PodTable()
    const feed = new PodFeed({ bus, clock: SYSTEM_CLOCK, pods: table, cache: podCache })
    feeds.push({ cache, feed })
    return { feed, podCache, table, why: () => String(why) }
  }

  /** A worker that starts: what the cache was to it, how many records it read, and whom it names. */
  async function started() {
    const { feed, podCache, table, why } = worker()
    await feed.start()
    const nowUs = SYSTEM_CLOCK.nowUs()
    const found = table.at(nowUs).byAddress('bench', identities[ADDRESS].addresses[0], nowUs - 60_000_000)
    const [result] = Object.keys(podCache.loads)
    return { result, why: why(), records: feed.records, named: typeof found === 'object' ? found.name : found }
  }

  const named = identities[ADDRESS].name

  test('a worker takes it over and reads on', async () => {
    await tell(identities.slice(0, 10))
    assert.deepEqual(await started(), { result: 'taken', why: 'null', records: 11, named })
  })

  test('a topic that was made anew, with fewer records or as many, is another one', async () => {
    for (const [pods, why] of [
      [5_000, /ends at 5001, before 8001/],
      [PODS, /another record at 8000/],
    ] as const) {
      await remake(pods)
      const worker = await started()
      assert.deepEqual([worker.result, worker.records, worker.named], ['foreign', pods + 1, named])
      assert.match(worker.why, why)
    }
  })

  test('records that an operator has removed are not brought back', async () => {
    // Of a topic that is compacted only Kafka removes none.
    const configEntries = [{ name: 'cleanup.policy', value: 'compact,delete' }]
    const resources = [{ type: TOPIC_RESOURCE, name: TOPICS.pods, configEntries }]
    await admin.alterConfigs({ validateOnly: false, resources })
    const partitions = [{ partition: 0, offset: '5000' }]
    await admin.deleteTopicRecords({ topic: TOPICS.pods, partitions })
    const worker = await started()
    assert.deepEqual([worker.result, worker.records, worker.named], ['foreign', 3_001, 'nobody'])
    assert.match(worker.why, /begins at 5000, not at 0/)
  })

  test('an empty Redis, then none', async () => {
    await redis.kill()
    const none = await started()
    assert.deepEqual([none.result, none.records, none.named], ['away', PODS + 1, named])
    assert.match(none.why, /ECONNREFUSED/)
    await redis.run()
    assert.deepEqual(await started(), { result: 'empty', why: 'null', records: PODS + 1, named })
  })

  test('decode says what the cache was to it, and starts in any case', async () => {
    const environment = { KAFKA_BROKERS: brokers.join(','), REDIS_URL: redis.url }
    const first = await new ServiceProcess('decode', environment).ready()
    await first.logged(({ message, state }) => message === 'pods in the cache' && state === 'taken')
    const { text } = await first.get('/metrics')
    assert.match(text, /klartext_decode_pod_cache_loads_total\{state="taken"\} 1\n/)
    checkMetrics(text)
    assert.ok((await first.metric('klartext_decode_pod_messages_total')) < 10)
    assert.equal(await first.end('SIGTERM'), 0, first.said)
    const wrong = { ...environment, REDIS_URL: `redis://:secret@127.0.0.1:1` }
    const other = await new ServiceProcess('decode', wrong).ready()
    const { code, error } = await other.logged(({ message }) => /klartext\.pods is read instead/.test(message))
    assert.equal(code, 'CACHE_AWAY')
    assert.match(String(error), /Redis at 127\.0\.0\.1:1: .*ECONNREFUSED/)
    assert.doesNotMatch(other.said, /secret/)
    assert.equal(await other.metric('klartext_decode_pod_messages_total'), PODS + 1)
    assert.equal(await other.end('SIGTERM'), 0, other.said)
  })
})
