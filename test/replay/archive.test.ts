/**
 * Replays of archives into a real store, without any server: what they store is what the live chain stores of the same
 * segments, whatever happens on the way.
 */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ArchiveSegmentLog } from '../../services/adapters/archive/segment_log.js'
import type { ChdbStore } from '../../services/adapters/chdb/store.js'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import { LocalJobs } from '../../services/adapters/memory/local_jobs.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { Random } from '../../services/core/random.js'
import type { ReplayFilter, ReplayRequest } from '../../services/core/replay.js'
import { createTopics } from '../../services/core/topics.js'
import { SEGMENT_FORMAT_VERSION } from '../../services/core/wire/segment_batch.js'
import { FlowDiff, IGNORED_COLUMNS } from '../../services/replay/diff.js'
import { flowCondition } from '../../services/replay/filter.js'
import { type Replay, ReplayRegistry } from '../../services/replay/registry.js'
import { type Asked, replayRequest, replayTables } from '../../services/replay/request.js'
import { cancelReplay, removeReplay, submitReplay } from '../../services/replay/submit.js'
import {
  openStore,
  replayWorker,
  rows,
  runLive,
  SMALL_BLOCKS,
  send,
  timedTraffic,
  until,
  writeArchive,
} from './harness.js'

const WORKER = fileURLToPath(new URL('killed_worker.js', import.meta.url))
/** Where bytes are in klartext.segments: archives have no offsets. */
const EVIDENCE = ['seg_partition', 'seg_first', 'seg_last']
const LEDGER = ['in_partition', 'batch_first']
const START_US = Math.floor(Date.now() / 1000) * 1e6 - 900e6
const SPAN_US = 600e6
const CONNECTIONS = 150
const KILLS = 6

let store: ChdbStore
let folder: string
let close: () => Promise<void>
let log: ArchiveSegmentLog
let registry: ReplayRegistry

before(async () => {
  ;({ store, folder, close } = await openStore())
  const traffic = timedTraffic(3, CONNECTIONS, 1, START_US, SPAN_US)
  const path = join(folder, 'traffic.ktseg')
  writeArchive(path, traffic)
  log = new ArchiveSegmentLog(path)
  registry = new ReplayRegistry(store, SYSTEM_CLOCK)
  const bus = new MemoryBus()
  await createTopics(bus, 1)
  await send(bus, traffic)
  await runLive(bus, store, 'over')
  await bus.close()
})
after(() => close())

const ask = (more: Partial<Asked> = {}): ReplayRequest =>
  replayRequest({
    archive: log.path,
    fromUs: 0,
    toUs: Number.MAX_SAFE_INTEGER,
    leadUs: Number.MAX_SAFE_INTEGER,
    ...more,
  })

const tablesOf = ({ id, generation }: Replay) => replayTables(id, generation)

/** Submits, and runs it in this process to its end. */
async function replayed(request: ReplayRequest): Promise<Replay> {
  const queue = new LocalJobs((_name, error) => assert.fail(String(error)))
  const worker = replayWorker(store, queue, () => log)
  await worker.start()
  const { replay } = await submitReplay(request, log, registry, queue)
  await until('the replay is over', async () => (await registry.get(replay.id)).state !== 'open')
  await worker.stop()
  return registry.get(replay.id)
}

async function assertEqualsLive(replay: Replay): Promise<void> {
  const names = tablesOf(replay)
  const condition = flowCondition(replay.request)
  const without = [...LEDGER, ...EVIDENCE]
  const live = await rows(store, 'flows', condition, without)
  assert.ok(live.length > 0)
  assert.deepEqual(await rows(store, names.flows, '1', without), live)
}

test('what is replayed is what was decoded live, flow by flow and connection by connection', async () => {
  const replay = await replayed(ask())
  assert.equal(replay.state, 'done')
  await assertEqualsLive(replay)
  const names = tablesOf(replay)
  assert.deepEqual(await rows(store, names.connections, '1', ['node']), await rows(store, 'connections', '1', ['node']))
  const [{ unreadable, flows, joined }] = await registry.progress(replay)
  assert.ok(unreadable > 0, 'the traffic has messages that are none')
  assert.equal(flows, (await rows(store, names.flows)).length)
  assert.equal(joined, 0)
})

test('segments of a newer capturer fail the replay and say so: they are not left out', async () => {
  const path = join(folder, 'newer.ktseg')
  // The next format version, as a zig-zag number.
  const newer = Buffer.from([2 * (SEGMENT_FORMAT_VERSION + 1), 0, 0, 0])
  writeArchive(path, [...timedTraffic(4, 5, 1, START_US, SPAN_US), { partition: 0, value: newer, timeUs: START_US }])
  const errors: string[] = []
  const newerLog = new ArchiveSegmentLog(path)
  const queue = new LocalJobs(() => {})
  const worker = replayWorker(
    store,
    queue,
    () => newerLog,
    (error) => errors.push((error as Error).message),
  )
  await worker.start()
  const { replay } = await submitReplay(ask({ archive: path }), newerLog, registry, queue)
  await until('the replay is over', async () => (await registry.get(replay.id)).state !== 'open')
  await worker.stop()
  const { state, error } = await registry.get(replay.id)
  assert.equal(state, 'failed')
  assert.match(error, /^a segment batch has format version \d+, this klartext knows up to \d+: update it first$/)
  assert.equal(errors.length, 1)
})

test('a window and filters keep what the same condition keeps of the live flows', async () => {
  const [fromUs, toUs] = [START_US + 200e6, START_US + 400e6]
  const [sample] = JSON.parse(
    `[${(await store.query(`SELECT toString(conn_id) AS id, client_ip AS ip, client_port AS port FROM klartext.flows WHERE ${flowCondition({ ...ask(), fromUs, toUs })} ORDER BY ts LIMIT 1`, 'JSONEachRow')).toString()}]`,
  ) as [{ id: string; ip: string; port: number }]
  const filters: Partial<ReplayFilter>[] = [
    {},
    { connIds: [sample.id] },
    { addresses: [sample.ip], ports: [sample.port] },
    { protocols: ['http1', 'redis'] },
  ]
  for (const filter of filters) await assertEqualsLive(await replayed(ask({ fromUs, toUs, filter })))
  const none = await replayed(ask({ fromUs, toUs, filter: { namespaces: ["o'hara\\"] } }))
  assert.deepEqual(await rows(store, tablesOf(none).flows), [])
  assert.deepEqual(await rows(store, tablesOf(none).connections), [])
})

test('the same request is the same replay; two at once are one', async () => {
  const request = ask({ fromUs: 1 })
  const submit = () => submitReplay(request, log, registry, null)
  const both = await Promise.all([submit(), submit()])
  assert.equal(both[0].replay.id, both[1].replay.id)
  assert.equal(
    (await store.query(`SELECT count() FROM klartext.replays WHERE id = '${both[0].replay.id}'`, 'TSV')).toString(),
    '1\n',
  )
  const replay = await replayed(request)
  assert.equal(replay.id, both[0].replay.id)
  await assertEqualsLive(replay)
  assert.equal((await submit()).submitted, 'there')
})

test('a replay worker that is killed again and again: each row is there once', async (t) => {
  const { replay } = await submitReplay(ask({ fromUs: 2, blocks: SMALL_BLOCKS }), log, registry, null)
  const random = new Random(5)
  let kills = 0
  for (let isDone = false; !isDone; ) {
    const child = fork(WORKER, [join(folder, 'data')], { stdio: 'inherit' })
    const gone = once(child, 'exit')
    await once(child, 'message')
    const timer = kills < KILLS ? setTimeout(() => child.kill('SIGKILL'), random.below(400)) : undefined
    isDone = (await gone)[0] === 0
    clearTimeout(timer)
    if (!isDone) kills += 1
  }
  assert.equal((await registry.get(replay.id)).state, 'done')
  await assertEqualsLive(replay)
  const names = tablesOf(replay)
  assert.deepEqual(await rows(store, names.connections, '1', ['node']), await rows(store, 'connections', '1', ['node']))
  t.diagnostic(`${kills} kills`)
  assert.equal(kills, KILLS)
})

test('cancelled on the way, submitted again, removed, and once more', async () => {
  const request = ask({ fromUs: 3, blocks: SMALL_BLOCKS })
  const queue = new LocalJobs((_name, error) => assert.fail(String(error)))
  // Reading takes its time, so that there is a way to be stopped on.
  const slow = Object.create(log, {
    read: {
      value: async function* (...words: Parameters<ArchiveSegmentLog['read']>) {
        for await (const pieces of log.read(...words)) {
          for (const piece of pieces) {
            await SYSTEM_CLOCK.sleep(20)
            yield [piece]
          }
        }
      },
    },
  }) as ArchiveSegmentLog
  const worker = replayWorker(store, queue, () => slow)
  await worker.start()
  const { replay } = await submitReplay(request, log, registry, queue)
  await until('it runs', async () => (await registry.progress(replay)).length > 0)
  assert.equal((await cancelReplay(replay.id, registry, null)).state, 'cancelled')
  await until('it has stopped', async () => !queue.busy)
  assert.equal((await registry.get(replay.id)).state, 'cancelled')
  await worker.stop()

  const again = await replayed(request)
  assert.equal(again.generation, 1)
  await assertEqualsLive(again)

  await removeReplay(replay.id, registry, null)
  await assert.rejects(registry.get(replay.id), { code: 'NO_SUCH_REPLAY' })
  const left = await store.query(`SELECT count() FROM system.tables WHERE name LIKE '${replay.id}%'`, 'TSV')
  assert.equal(left.toString(), '0\n')
  const anew = await replayed(request)
  assert.equal(anew.generation, 2)
  await assertEqualsLive(anew)
})

test('a window without segments is refused; nothing is left behind', async () => {
  const before = (await registry.list()).length
  const empty = new ArchiveSegmentLog(folder)
  const request = replayRequest({ archive: join(folder, 'data'), fromUs: 0, toUs: 1 })
  const none = new ArchiveSegmentLog(join(folder, 'data'))
  await assert.rejects(submitReplay(request, none, registry, null), {
    code: 'NO_SEGMENTS',
    message: 'no segments of that window are kept: there are none at all',
  })
  assert.equal((await registry.list()).length, before)
  assert.equal((await empty.parts(0, 1)).length, 1)
})

test('differences are told: new, vanished, changed by column', async () => {
  const replay = await replayed(ask())
  const { flows } = tablesOf(replay)
  await store.command(`CREATE TABLE klartext.other AS klartext.${flows}`)
  const numbered = `SELECT *, row_number() OVER (ORDER BY conn_id, exchange_seq) AS n FROM klartext.${flows}`
  const changes =
    "if(n % 10 = 1, status_code + 1, status_code) AS status_code, if(n % 20 = 1, concat(error, 'x'), error) AS error"
  await store.command(
    `INSERT INTO klartext.other SELECT * EXCEPT(n) REPLACE(${changes}) FROM (${numbered}) WHERE n % 10 != 5`,
  )
  const all = (await rows(store, flows)).length
  const count = (first: number, every: number) => Math.floor((all - first) / every) + 1
  const before = { name: 'a', table: flows }
  const other = { name: 'b', table: 'other' }
  const summary = await new FlowDiff(store, before, other, '1', IGNORED_COLUMNS).summary()
  const [changed, vanished] = [count(1, 10), count(5, 10)]
  assert.deepEqual(summary, {
    before: all,
    after: all - vanished,
    equal: all - vanished - changed,
    new: 0,
    vanished,
    changed,
    repeated: 0,
    columns: [
      ['status_code', changed],
      ['error', count(1, 20)],
    ],
  })
  const back = new FlowDiff(store, other, before, '1', IGNORED_COLUMNS)
  assert.equal((await back.summary()).new, vanished)
  const kinds: string[] = []
  for await (const difference of back.differences(3)) {
    kinds.push(difference.kind)
    if (difference.kind !== 'changed') continue
    const [old, now] = difference.columns.status_code
    assert.equal(Number(old), Number(now) + 1)
  }
  assert.deepEqual(kinds, ['new', 'new', 'new', 'changed', 'changed', 'changed'])
  const equal = await new FlowDiff(store, before, before, '1', IGNORED_COLUMNS).summary()
  assert.equal(equal.equal, all)
})
