/**
 * Names after a replay: two clusters whose pods come and go and hand on their addresses, decoded live, then a window of it
 * replayed by the replay worker from klartext.segments and klartext.pods. The same names, and all of them right.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { LocalJobs } from '../../services/adapters/memory/local_jobs.js'
import { PodTable } from '../../services/adapters/memory/pod_table.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { KlartextError } from '../../services/core/errors.js'
import type { Flow } from '../../services/core/flow.js'
import { createTopics } from '../../services/core/topics.js'
import { NAMES_WAIT_MS } from '../../services/decode/names.js'
import { PodFeed } from '../../services/decode/pod_feed.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { BusSegmentLog } from '../../services/replay/bus_log.js'
import { ReplayRegistry } from '../../services/replay/registry.js'
import { replayRequest, replayTables } from '../../services/replay/request.js'
import { submitReplay } from '../../services/replay/submit.js'
import { ReplayWorker } from '../../services/replay/worker.js'
import {
  CONNECTIONS_PER_TICK,
  flowsOf,
  judge,
  PARTITIONS,
  Run,
  START_US,
  TRAFFIC_FROM_S,
  unrest,
} from '../sim/names_run.js'
import { openStore, policy, SMALL_BLOCKS, until } from './harness.js'

const S = 1_000_000
const TRAFFIC_TO_S = 50
const FROM_US = START_US + 20 * S
const TO_US = START_US + 40 * S
const LEAD_US = 15 * S

/** What names a flow, and what it is. */
const COLUMNS = ['client', 'server']
  .flatMap((end) =>
    ['kind', 'cluster', 'ns', 'workload', 'pod', 'container', 'node', 'zone', 'region', 'service', 'sa'].map(
      (part) => `${end}_${part}`,
    ),
  )
  .concat(['capture_side', 'cluster', 'resource', 'scope', 'exchange_seq', 'status_code'])

test('a window of two restless clusters, replayed: every end is named as it was live, and right', async (t) => {
  const run = new Run(9)
  const opened = await openStore()
  after(() => opened.close())
  const { store } = opened
  await createTopics(run.bus, PARTITIONS)
  for (const cluster of run.clusters) await run.startDirectory(cluster)
  await run.startWorker('live')
  const traffic = () => {
    unrest(run)
    for (let i = 0; i < CONNECTIONS_PER_TICK; i++) run.traffic.connect(run.clock.nowUs())
  }
  await run.until(TRAFFIC_FROM_S)
  await run.until(30, traffic)
  run.killDirectory(run.clusters[0])
  await run.until(31, traffic)
  await run.startDirectory(run.clusters[0])
  await run.until(TRAFFIC_TO_S, traffic)
  await run.until(TRAFFIC_TO_S + 12)
  await run.end()
  const live = (await flowsOf(run.bus)).filter(({ ts }) => ts >= FROM_US && ts < TO_US)

  const errors: string[] = []
  const log = new BusSegmentLog(run.bus)
  const queue = new LocalJobs((name, error) => errors.push(`${name}: ${String(error)}`))
  const registry = new ReplayRegistry(store, SYSTEM_CLOCK)
  let away = 2
  const worker = new ReplayWorker({
    store,
    queue,
    clock: SYSTEM_CLOCK,
    protocols: PROTOCOLS,
    policy: policy(),
    takes: () => true,
    log: () => log,
    // All of klartext.pods is there: nothing is waited for, but for a bus that is away when the replay begins.
    pods: async ({ fromUs, toUs, leadUs, trailUs }) => {
      if (away-- > 0) throw new KlartextError('BUS_UNREACHABLE', 'no Kafka answers', { retryable: true })
      return PodFeed.past({ bus: run.bus, clock: run.clock, pods: new PodTable() }, fromUs - leadUs, toUs + trailUs)
    },
    namesWaitUs: NAMES_WAIT_MS * 1000,
    checkpointUs: 0,
    lookMs: 200,
    cancelMs: 50,
  })
  await worker.start()
  const request = replayRequest({
    fromUs: FROM_US,
    toUs: TO_US,
    leadUs: LEAD_US,
    trailUs: 5 * S,
    blocks: SMALL_BLOCKS,
  })
  const { replay } = await submitReplay(request, log, registry, queue)
  await until('it is over', async () => (await registry.get(replay.id)).state !== 'open')
  await worker.stop()
  assert.deepEqual(errors, [])
  assert.equal((await registry.get(replay.id)).state, 'done')

  const sql = `SELECT ${COLUMNS.join(', ')} FROM klartext.${replayTables(replay.id, replay.generation).flows}`
  const text = (await store.query(sql, 'JSONEachRow')).toString('utf8')
  const again = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Flow)
  const say = (flow: Flow) =>
    COLUMNS.map((column) => String((flow as unknown as Record<string, unknown>)[column])).join(' ')
  assert.ok(live.length > 1000)
  assert.deepEqual(again.map(say).sort(), live.map(say).sort())
  const tally = judge(again, run.traffic.truths, [['east', 28, 40]])
  t.diagnostic(
    `${again.length} flows of the window, ${tally.named} ends named right, 0 wrong, ${tally.unknown} unknown`,
  )
})
