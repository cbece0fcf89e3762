/** The replay worker as a service: past windows of klartext.segments to tables of their own. Wiring only. */
import { ClickHouseStore } from '../adapters/clickhouse/store.js'
import { KafkaBus } from '../adapters/kafka/bus.js'
import { kafkaOptions } from '../adapters/kafka/config.js'
import { PodTable } from '../adapters/memory/pod_table.js'
import { BullJobs } from '../adapters/redis/bull_jobs.js'
import { readTextFile } from '../adapters/system/text_file.js'
import type { ServiceDefinition } from '../core/service.js'
import { checkTopics, TOPICS } from '../core/topics.js'
import { decodePolicy } from '../decode/config.js'
import { PodFeed } from '../decode/pod_feed.js'
import { FlowPolicy } from '../decode/policy.js'
import { PROTOCOLS } from '../decode/protocols/registry.js'
import { BusSegmentLog } from './bus_log.js'
import { REPLAY_CONFIG } from './config.js'
import { replayMetrics } from './metrics.js'
import { REPLAY_QUEUE, ReplayWorker } from './worker.js'

export const replayService: ServiceDefinition<typeof REPLAY_CONFIG> = {
  name: 'replay-worker',
  summary: 'replay worker: past windows of klartext.segments to tables of their own, exactly once; any number of them',
  config: REPLAY_CONFIG,
  check: ({ kafka, replay }) => {
    kafkaOptions(kafka)
    decodePolicy(replay, readTextFile)
  },
  open: async ({ kafka, clickhouse, redis, replay }, { log, health, clock, waitFor }) => {
    const bus = await waitFor('kafka', () => KafkaBus.connect(kafkaOptions(kafka)))
    await waitFor('topics', () => checkTopics(bus, [TOPICS.segments, TOPICS.pods]))
    const store = new ClickHouseStore({ url: clickhouse.url })
    await waitFor('store', () => store.checkSchema())
    const onFailure = (name: string, error: unknown) => log.failure(`running ${name}`, error)
    const { lockMs } = replay
    const open = () => BullJobs.open({ url: redis.url, queue: REPLAY_QUEUE, lockMs, onFailure })
    const queue = await waitFor('redis', open)
    const segments = new BusSegmentLog(bus)
    const worker = new ReplayWorker({
      store,
      queue,
      clock,
      protocols: PROTOCOLS,
      policy: new FlowPolicy(decodePolicy(replay, readTextFile)),
      // Archives are replayed where they lie.
      takes: ({ request }) => request.archive === '',
      log: () => segments,
      pods: ({ fromUs, toUs, leadUs, trailUs }) =>
        PodFeed.past({ bus, clock, pods: new PodTable(), waitMs: replay.namesWaitMs }, fromUs - leadUs, toUs + trailUs),
      namesWaitUs: replay.namesWaitMs * 1000,
      concurrency: replay.concurrency,
      lookMs: replay.lookMs,
      onError: (error) => log.failure('replaying', error),
      onProgress: () => health.beat(),
    })
    await waitFor('redis', () => worker.start())
    return {
      run: () => worker.run(),
      stop: () => worker.stop(),
      close: async () => {
        await bus.close()
        await store.close()
      },
      metrics: () => replayMetrics(worker.metrics),
      status: () => ({ running: worker.running }),
    }
  },
}
