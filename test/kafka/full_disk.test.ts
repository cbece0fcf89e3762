/** Disks that are full, the store's and Kafka's: each service waits, says why, and has lost and doubled nothing when there is room. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { BullJobs } from '../../services/adapters/redis/bull_jobs.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { DetectRun } from '../../services/core/finding.js'
import type { BusProducer } from '../../services/core/ports/bus.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { encodeFlow } from '../../services/core/wire/flow.js'
import { RULES_FOLDER, readRules } from '../../services/detect/rules.js'
import { BusSegmentLog } from '../../services/replay/bus_log.js'
import { ReplayRegistry } from '../../services/replay/registry.js'
import { replayRequest, replayTables } from '../../services/replay/request.js'
import { submitReplay } from '../../services/replay/submit.js'
import { REPLAY_QUEUE } from '../../services/replay/worker.js'
import { seededFlow } from '../fakes/flows.js'
import { whyNoSmallDisk } from '../fakes/small_disk.js'
import { RedisServer, whyNoRedis } from '../redis/server.js'
import { rows, runLive, SMALL_BLOCKS, send, timedTraffic } from '../replay/harness.js'
import { seededTraffic } from '../sim/traffic.js'
import { serveStore } from '../store/served_store.js'
import { type SmallStore, smallStore } from '../store/small_store.js'
import { expectedFlows, storedFlows } from './expected_flows.js'
import { startKafka, type TestKafka } from './server.js'
import { killServices, ServiceProcess, until } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const PARTITIONS = 2
const KAFKA_DISK_MIB = 64
const SLOT_US = 600e6
const NO_SPACE = /No space left|not enough space/i
const kafka = await ownKafka()
const skip = typeof kafka === 'string' ? kafka : whyNoSmallDisk || whyNoRedis

describe('a full disk of the store', { skip }, () => {
  let small: SmallStore
  let bus: KafkaBus
  let redis: RedisServer
  let environment: Record<string, string>

  before(async () => {
    const { brokers } = kafka as TestKafka
    ;[small, redis, bus] = await Promise.all([smallStore(), RedisServer.start(), KafkaBus.connect({ brokers })])
    environment = { KAFKA_BROKERS: brokers.join(','), CLICKHOUSE_URL: small.url, REDIS_URL: redis.url }
    await createTopics(bus, PARTITIONS)
  })
  after(async () => {
    killServices()
    await bus.close()
    await small.close()
    await redis.kill()
    await (kafka as TestKafka).stop()
  })

  /** The service has said that there is no room. */
  const saysSo = (service: ServiceProcess) => service.logged(({ error }) => NO_SPACE.test(String(error)))

  test('sink: rows wait, and each is there once when there is room', async () => {
    const producer = await bus.producer()
    const random = new Random(1)
    let sent = 0
    const publish = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const flow = seededFlow(random, sent++, Date.now() * 1000)
        await producer.send(TOPICS.flows, i % PARTITIONS, [{ key: Buffer.from(flow.conn_id), value: encodeFlow(flow) }])
      }
    }
    const sink = await new ServiceProcess('sink', { ...environment, KLARTEXT_SINK_AGE_MS: '50' }).ready()
    const stored = async () => Number(await small.value('SELECT count() FROM klartext.flows'))
    await publish(10)
    await until(
      async () => (await stored()) === sent,
      () => sink.said,
    )
    small.disk.fill()
    await publish(2_000)
    await saysSo(sink)
    assert.equal(await sink.metric('klartext_sink_store_up'), 0)
    const { status, text } = await sink.get('/readyz')
    assert.equal(status, 503)
    assert.match(text, NO_SPACE)
    small.disk.empty()
    await until(
      async () => (await stored()) >= sent,
      () => sink.said,
    )
    assert.equal(await small.value('SELECT uniqExact(conn_id, exchange_seq) FROM klartext.flows'), String(sent))
    assert.equal(await stored(), sent)
    assert.equal(await small.value('SELECT sum(requests) FROM klartext.edges_1m'), String(sent))
    await sink.ready()
    assert.equal(await sink.end('SIGTERM'), 0)
    await producer.close()
  })

  test('detect: what is found is stored and told once when there is room', async () => {
    const untilUs = Math.floor((Date.now() * 1000 - 20e6) / SLOT_US) * SLOT_US
    const at = `toDateTime64('${new Date(untilUs / 1000).toISOString().slice(0, 19).replace('T', ' ')}', 6, 'UTC')`
    const runs: DetectRun[] = []
    for (const { name, everyUs } of readRules()) {
      const sql = readFileSync(join(RULES_FOLDER, name, 'positive.sql'), 'utf8')
      if (name === 'error_burst') await small.store.command(sql.replaceAll("{until:DateTime64(6, 'UTC')}", at))
      runs.push({ rule: name, ts: untilUs - everyUs, findings: 0 })
    }
    await small.store.insert('detect_runs', runs, 'before')
    const found = () => small.value(`SELECT count() FROM klartext.findings WHERE rule = 'error_burst'`)
    small.disk.fill()
    const detect = new ServiceProcess('detect', environment)
    await saysSo(detect)
    assert.match((await detect.get('/readyz')).text, NO_SPACE)
    assert.equal(await found(), '0')
    small.disk.empty()
    await detect.ready()
    const count = Number(await found())
    assert.ok(count > 0)
    const uids: string[] = []
    await bus.readAll(TOPICS.findings, 0, (records) => {
      for (const { value } of records) uids.push(JSON.parse(value.toString()).metadata.uid as string)
    })
    const ofStore = await small.value('SELECT arrayStringConcat(arraySort(groupArray(uid))) FROM klartext.findings')
    assert.equal(ofStore, uids.sort().join(''))
    assert.equal(await detect.end('SIGTERM'), 0)
  })

  test('replay-worker: the replay waits, and gives the rows of the live chain when there is room', async () => {
    const startUs = Math.floor(Date.now() / 1000) * 1e6 - 900e6
    await small.store.command('TRUNCATE TABLE klartext.flows')
    await send(bus, timedTraffic(11, 60, PARTITIONS, startUs, 600e6))
    await runLive(bus, small.store, 'open')
    const live = await rows(small.store, 'flows', `ts >= fromUnixTimestamp64Micro(${startUs})`)
    assert.ok(live.length > 50)
    const queue = await BullJobs.open({ url: redis.url, queue: REPLAY_QUEUE, onFailure: () => {} })
    const registry = new ReplayRegistry(small.store, SYSTEM_CLOCK)
    const wide = { leadUs: 3600e6, trailUs: 3600e6, blocks: SMALL_BLOCKS }
    const request = replayRequest({ fromUs: startUs, toUs: startUs + 900e6, ...wide })
    const { replay } = await submitReplay(request, new BusSegmentLog(bus), registry, queue)
    await queue.close()
    small.disk.fill()
    const worker = new ServiceProcess('replay-worker', environment)
    await saysSo(worker)
    assert.equal((await registry.get(replay.id)).state, 'open')
    small.disk.empty()
    await until(
      async () => (await registry.get(replay.id)).state !== 'open',
      () => worker.said,
    )
    assert.equal((await registry.get(replay.id)).state, 'done')
    assert.deepEqual(await rows(small.store, replayTables(replay.id, replay.generation).flows), live)
    assert.equal(await worker.end('SIGTERM'), 0)
  })
})

test('a full disk of Kafka: who sends waits, and after a restart with room all is there once', {
  skip,
  timeout: 240_000,
}, async (t) => {
  const tight = await startKafka({ diskMib: KAFKA_DISK_MIB, properties: { 'log.index.size.max.bytes': '65536' } })
  const served = await serveStore()
  const bus = await KafkaBus.connect({ brokers: tight.brokers })
  after(async () => {
    killServices()
    await bus.close()
    await served.close()
    await tight.stop()
  })
  await createTopics(bus, PARTITIONS)
  const traffic = seededTraffic(new Random(23), 80, PARTITIONS, Date.now() * 1000)
  const expected = await expectedFlows(traffic, PARTITIONS)
  const environment = { KAFKA_BROKERS: tight.brokers.join(','), CLICKHOUSE_URL: served.url, KLARTEXT_SINK_AGE_MS: '50' }
  const decode = await new ServiceProcess('decode', environment).ready()
  const sink = await new ServiceProcess('sink', environment).ready()
  const troubles: string[] = []
  // As the capturer's.
  const producer = await bus.producer({ onRetry: (error) => troubles.push((error as Error).message) })
  const half = traffic.length >> 1
  await publish(producer, traffic.slice(0, half))
  await until(
    async () => (await storedFlows(served)).length > 0,
    () => decode.said + sink.said,
  )
  tight.disk?.fill()
  let isSent = false
  const sending = publish(producer, traffic.slice(half)).then(() => (isSent = true))
  await until(
    () => troubles.length > 0 && !tight.runs,
    () => 'Kafka takes what it has no room for',
  )
  assert.ok(!isSent)
  for (const service of [decode, sink]) {
    await until(
      async () => (await service.get('/readyz')).status === 503,
      () => `it is ready without Kafka:\n${service.said}`,
    )
    assert.equal((await service.get('/livez')).status, 200)
  }
  t.diagnostic(troubles[0])
  tight.disk?.empty()
  await tight.restart()
  await sending
  await until(
    async () => (await storedFlows(served)).length >= expected.length,
    () => `flows are missing:\n${decode.said}${sink.said}`,
  )
  assert.deepEqual((await storedFlows(served)).sort(), expected.sort())
  await Promise.all([decode.ready(), sink.ready()])
  assert.deepEqual(await Promise.all([decode.end('SIGTERM'), sink.end('SIGTERM')]), [0, 0])
})

async function publish(
  producer: BusProducer,
  traffic: readonly { readonly partition: number; readonly value: Buffer }[],
): Promise<void> {
  for (const { partition, value } of traffic) await producer.send(TOPICS.segments, partition, [{ key: null, value }])
}
