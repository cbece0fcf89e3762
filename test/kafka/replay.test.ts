/**
 * Replays of klartext.segments on a real Kafka, through Redis, into a ClickHouse over HTTP: what the chain has stored live is
 * what a replay of the window stores, to the last column, also with replay workers killed at random and with Redis lost.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { BullJobs } from '../../services/adapters/redis/bull_jobs.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { Random } from '../../services/core/random.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { encodeFollowed, encodeIdentity, podKey } from '../../services/core/wire/pods.js'
import { BusSegmentLog } from '../../services/replay/bus_log.js'
import { flowCondition } from '../../services/replay/filter.js'
import { type Replay, ReplayRegistry } from '../../services/replay/registry.js'
import { replayRequest, replayTables } from '../../services/replay/request.js'
import { submitReplay } from '../../services/replay/submit.js'
import { REPLAY_QUEUE } from '../../services/replay/worker.js'
import { identity } from '../fakes/identities.js'
import { RedisServer, whyNoRedis } from '../redis/server.js'
import { rows, runLive, SMALL_BLOCKS, segmentsOf, send, timedTraffic, until } from '../replay/harness.js'
import { type ServedStore, serveStore } from '../store/served_store.js'
import type { TestKafka } from './server.js'
import { killServices, ServiceProcess } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const PARTITIONS = 3
const START_US = Math.floor(Date.now() / 1000) * 1e6 - 900e6
const SPAN_US = 600e6
const KILLS = 6
const HOUR_US = 3600e6
const kafka = await ownKafka()
const skip = typeof kafka === 'string' ? kafka : whyNoRedis
const MEMBER = fileURLToPath(new URL('replay_member.js', import.meta.url))

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

describe('replays over Kafka', { skip }, () => {
  let served: ServedStore
  let bus: KafkaBus
  let redis: RedisServer
  let registry: ReplayRegistry
  let environment: Record<string, string>
  const children = new Set<ChildProcess>()

  before(async () => {
    const { brokers } = kafka as TestKafka
    ;[served, redis, bus] = await Promise.all([serveStore(), RedisServer.start(), KafkaBus.connect({ brokers })])
    registry = new ReplayRegistry(served.store, SYSTEM_CLOCK)
    environment = { KAFKA_BROKERS: brokers.join(','), CLICKHOUSE_URL: served.url, REDIS_URL: redis.url }
    await createTopics(bus, PARTITIONS)
    await send(bus, timedTraffic(11, 160, PARTITIONS, START_US, SPAN_US))
    await runLive(bus, served.store, 'open')
  })
  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    killServices()
    await bus.close()
    await served.close()
    await redis.kill()
    await (kafka as TestKafka).stop()
  })

  async function klartext(...words: string[]): Promise<Ran> {
    const command = [join(REPO_ROOT, 'services/cli/bin/klartext.mjs'), ...words]
    try {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, command, {
        env: { PATH: process.env.PATH, ...environment },
      })
      return { code: 0, out: stdout, err: stderr }
    } catch (error) {
      const { code, stdout, stderr } = error as unknown as { code: number; stdout: string; stderr: string }
      return { code, out: stdout, err: stderr }
    }
  }

  async function member(): Promise<ChildProcess> {
    const words = [environment.KAFKA_BROKERS, served.url, redis.url]
    const child = fork(MEMBER, words, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    children.add(child)
    child.once('exit', () => children.delete(child))
    await once(child, 'message')
    return child
  }

  async function submitted(fromUs: number, toUs: number, leadUs = HOUR_US): Promise<Replay> {
    const queue = await BullJobs.open({ url: redis.url, queue: REPLAY_QUEUE, onFailure: () => {} })
    const request = replayRequest({ fromUs, toUs, leadUs, trailUs: HOUR_US, blocks: SMALL_BLOCKS })
    const { replay } = await submitReplay(request, new BusSegmentLog(bus), registry, queue)
    await queue.close()
    return replay
  }

  /** With the offsets of its evidence. */
  async function assertEqualsLive({ id, generation, request }: Replay): Promise<void> {
    const live = await rows(served.store, 'flows', flowCondition(request))
    assert.ok(live.length > 50)
    assert.deepEqual(await rows(served.store, replayTables(id, generation).flows), live)
  }

  const isOver = async (id: string) => (await registry.get(id)).state !== 'open'
  const iso = (us: number) => new Date(us / 1000).toISOString()

  test('submitted, run by the service, watched and compared on the command line; nobody live notices', async (t) => {
    const admin = new Kafka({ brokers: environment.KAFKA_BROKERS.split(','), logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    const groups = async () => (await admin.listGroups()).groups.map(({ groupId }) => groupId).sort()
    const offsets = async () =>
      JSON.stringify(await admin.fetchOffsets({ groupId: 'klartext-decode', topics: [TOPICS.segments] }))
    const before = [await groups(), await offsets()]
    const worker = await new ServiceProcess('replay-worker', environment).ready()
    t.after(() => worker.child.kill('SIGKILL'))
    const window = ['--from', iso(START_US + 150e6), '--to', iso(START_US + 450e6), '--lead', '1h', '--trail', '1h']
    const done = await klartext('replay', 'submit', ...window, '--wait')
    // The traffic has messages that are none.
    assert.equal(done.code, 3, done.err)
    assert.match(done.out, /lost {7}\d+ segment batches could not be read\n/)
    const id = /^replay_[0-9a-f]{16}/.exec(done.out)?.[0] ?? ''
    await assertEqualsLive(await registry.get(id))
    const again = await klartext('replay', 'submit', ...window)
    assert.deepEqual([again.code, again.out.trim()], [3, id])
    const compared = await klartext('diff', 'live', id)
    assert.equal(compared.code, 0, compared.out)
    assert.match(compared.out, / 0 changed, 0 new, 0 vanished/)
    const [shown] = (await klartext('replay', 'list', '--json')).out.split('\n')
    assert.equal((JSON.parse(shown) as { state: string }).state, 'done')
    assert.ok((await worker.metric('klartext_replay_flows_total')) > 50)
    assert.deepEqual([await groups(), await offsets()], before)
    await admin.disconnect()
    assert.equal(await worker.end('SIGTERM'), 0)
    assert.equal((await klartext('replay', 'rm', id)).code, 0)
    assert.equal((await klartext('replay', 'show', id)).code, 1)
    t.diagnostic(compared.out.split('\n')[1])
  })

  test('replay workers killed at random: the same rows, each once; a second replay gives the same', async (t) => {
    const random = new Random(3)
    const replay = await submitted(START_US + 100e6, START_US + 500e6)
    let kills = 0
    for (; kills < KILLS && !(await isOver(replay.id)); kills++) {
      const child = await member()
      await SYSTEM_CLOCK.sleep(random.below(500))
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
    const survivors = [await member(), await member()]
    await until('it is over', () => isOver(replay.id))
    assert.equal((await registry.get(replay.id)).state, 'done')
    await assertEqualsLive(replay)
    const other = await submitted(START_US + 100e6, START_US + 500e6, HOUR_US + 1e6)
    await until('the other is over', () => isOver(other.id))
    const [one, two] = await Promise.all(
      [replay, other].map((each) => rows(served.store, replayTables(each.id, 1).flows)),
    )
    assert.deepEqual(one, two)
    for (const child of survivors) child.kill('SIGKILL')
    const parts = await registry.progress(replay)
    t.diagnostic(`${kills} kills, ${parts.reduce((sum, { blocks }) => sum + blocks, 0)} blocks`)
    assert.ok(kills > 1)
  })

  test('Redis is lost with all it held: the replay is found again', async () => {
    const replay = await submitted(START_US + 200e6, START_US + 300e6)
    await redis.kill()
    await redis.run()
    const child = await member()
    await until('it is over', () => isOver(replay.id))
    await assertEqualsLive(replay)
    child.kill('SIGKILL')
    await redis.kill()
    const away = await klartext('replay', 'submit', '--from', iso(START_US), '--to', iso(START_US + 1e6))
    assert.deepEqual([away.code, away.out], [1, ''])
    assert.match(away.err, /^127\.0\.0\.1:\d+: /)
    assert.equal((await klartext('replay', 'show', replay.id)).code, 0)
    await redis.run()
  })

  test('the store goes away in the middle and comes back', async () => {
    const replay = await submitted(START_US + 50e6, START_US + 550e6)
    const child = await member()
    for (let i = 0; i < 3; i++) {
      await SYSTEM_CLOCK.sleep(150)
      await served.refuse()
      await SYSTEM_CLOCK.sleep(300)
      await served.serve()
    }
    await until('it is over', () => isOver(replay.id))
    assert.equal((await registry.get(replay.id)).state, 'done')
    await assertEqualsLive(replay)
    child.kill('SIGKILL')
  })

  test('windows that are not there, or not any more, are said to be so', async () => {
    const none = await klartext('replay', 'submit', '--from', '2099-01-01T00:00:00Z', '--to', '2099-01-02T00:00:00Z')
    assert.equal(none.code, 1)
    assert.match(none.err, /^no segments of that window are kept: klartext\.segments holds what was sent since 20/)
    const admin = new Kafka({ brokers: environment.KAFKA_BROKERS.split(','), logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    const middle = Math.floor((START_US + 300e6) / 1000)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const found = await bus.offsetAt(TOPICS.segments, partition, middle)
      await admin.fetchTopicOffsets(TOPICS.segments)
      const partitions = [{ partition, offset: String(found?.offset) }]
      await admin.deleteTopicRecords({ topic: TOPICS.segments, partitions })
    }
    await admin.disconnect()
    const child = await member()
    const half = await klartext('replay', 'submit', '--from', iso(START_US), '--to', iso(START_US + 600e6), '--wait')
    assert.equal(half.code, 3, half.err)
    assert.match(
      half.out,
      /lost {7}segments before 20.* are not kept any more in 3 of 3 partitions: the window is not complete/,
    )
    assert.match(half.out, /note {7}\d+ connections were open before the first segment/)
    child.kill('SIGKILL')
  })

  test('an export names pods and can be asked for a namespace’s', async (t) => {
    const connections = new Map<string, string>()
    await bus.readAll(TOPICS.segments, 0, (records) => {
      for (const { value } of records)
        for (const { connection } of segmentsOf(value)) connections.set(connection.serverIp, connection.cluster)
    })
    const [[address, cluster]] = [...connections].filter(([ip]) => ip !== '')
    const producer = await bus.producer()
    const pod = identity('api-1', { cluster, addresses: [address] })
    const followed = { cluster, network: '', untilUs: Date.now() * 1000 }
    await producer.send(TOPICS.pods, 0, [
      { key: podKey(cluster, pod.key), value: encodeIdentity(pod) },
      { key: podKey(cluster, ''), value: encodeFollowed(followed) },
    ])
    await producer.close()
    const folder = mkdtempSync(join(tmpdir(), 'klartext-export-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const path = join(folder, 'shop.pcapng')
    const window = ['--from', iso(START_US), '--to', iso(START_US + SPAN_US), '--namespace', 'shop']
    const done = await klartext('export', 'pcapng', '-o', path, ...window)
    assert.ok(Number(/^(\d+) connections/m.exec(done.err)?.[1]) > 0, done.err)
    assert.match(readFileSync(path).toString('latin1'), new RegExp(`klartext: .*shop/api-1 \\(${address}:`))
    const { stdout } = await promisify(execFile)('tshark', ['-r', path, '-N', 'n', '-T', 'fields', '-e', 'ip.host'])
    for (const line of stdout.split('\n').filter(Boolean)) assert.ok(line.split(',').includes('api-1.shop'), line)
  })
})
