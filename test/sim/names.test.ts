/**
 * Two clusters with the same addresses, 30 workloads, rolling restarts, addresses used again within seconds: every flow is
 * named right at both ends, live and again afterwards. What happened is the simulation's own log.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import { PodTable } from '../../services/adapters/memory/pod_table.js'
import { type Flow, plainFlow } from '../../services/core/flow.js'
import { ApiError } from '../../services/core/ports/kubernetes.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { decodeFlow } from '../../services/core/wire/flow.js'
import { decodePodRecord } from '../../services/core/wire/pods.js'
import { decodeSegmentBatch } from '../../services/core/wire/segment_batch.js'
import { DecodePipeline } from '../../services/decode/pipeline.js'
import { PodFeed } from '../../services/decode/pod_feed.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import {
  CONNECTIONS_PER_TICK,
  flowsOf,
  judge,
  type Outage,
  PARTITIONS,
  Run,
  recordsOf,
  TICK_US,
  TRAFFIC_FROM_S,
  unrest,
} from './names_run.js'

const TRAFFIC_TO_S = 100

/** All of the run's traffic decoded once more, by another worker with a table of its own. */
async function replayed(run: Run): Promise<Buffer[][]> {
  const again = new MemoryBus({ nowMs: () => run.clock.nowUs() / 1000 })
  await createTopics(again, PARTITIONS)
  const producer = await again.producer()
  for (const topic of [TOPICS.segments, TOPICS.pods]) {
    for (let i = 0; i < (await run.bus.partitions(topic)); i++) {
      for (const { key, value, timestampMs } of await recordsOf(run.bus, topic, i)) {
        await producer.send(topic, i, [{ key, value, ...(timestampMs === undefined ? {} : { timestampMs }) }])
      }
    }
  }
  const feed = new PodFeed({ bus: again, clock: run.clock, pods: new PodTable() })
  await feed.start()
  const worker = new DecodeWorker({
    bus: again,
    clock: run.clock,
    group: 'replay',
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('full')),
    names: feed,
    deadLetters: false,
  })
  await worker.start()
  const counts = async () => (await flowsOf(again)).length
  const wanted = (await flowsOf(run.bus)).length
  for (let i = 0; i < 5_000 && (await counts()) < wanted; i++) {
    await run.clock.advanceTo(run.clock.nowUs() + TICK_US)
    await worker.step(0)
  }
  void feed.stop()
  return Promise.all(Array.from({ length: PARTITIONS }, (_, i) => valuesOf(again, i)))
}

async function valuesOf(bus: MemoryBus, partition: number): Promise<Buffer[]> {
  return (await recordsOf(bus, TOPICS.flows, partition)).map(({ value }) => value)
}

/** What a compacted topic has kept in the end: of each key the newest. */
async function compacted(bus: MemoryBus): Promise<PodTable> {
  const newest = new Map<string, Buffer>()
  for (const { key, value } of await recordsOf(bus, TOPICS.pods, 0)) newest.set(String(key), value)
  const table = new PodTable()
  for (const value of newest.values()) {
    const record = decodePodRecord(value)
    if (record.type === 'identity') table.put(record.identity)
  }
  return table
}

async function decodedWith(bus: MemoryBus, pods: PodTable): Promise<Flow[]> {
  const flows: Flow[] = []
  for (let i = 0; i < PARTITIONS; i++) {
    const pipeline = new DecodePipeline({
      protocols: PROTOCOLS,
      policy: new FlowPolicy(defaultPolicy('full')),
      pods,
      onFlow: (flow) => flows.push(plainFlow(flow)),
      onConnection: () => {},
    })
    for (const { value } of await recordsOf(bus, TOPICS.segments, i)) pipeline.push(decodeSegmentBatch(value).segments)
    pipeline.finish()
  }
  return flows
}

for (const seed of [1, 2]) {
  describe(`two clusters, 30 workloads, seed ${seed}`, () => {
    const run = new Run(seed)
    const [east, west] = run.clusters
    const outages: Outage[] = [
      ['east', 37, 60],
      ['west', 57, 86],
    ]
    let flows: Flow[]

    test('live: every flow is named at both ends as it was', async (t) => {
      await createTopics(run.bus, PARTITIONS)
      for (const cluster of run.clusters) await run.startDirectory(cluster)
      await run.startWorker('live')
      const traffic = () => {
        unrest(run)
        for (let i = 0; i < CONNECTIONS_PER_TICK; i++) run.traffic.connect(run.clock.nowUs())
      }
      await run.until(TRAFFIC_FROM_S, () => {})
      await run.until(20, traffic)
      run.killWorkers()
      await run.until(23, traffic)
      await run.startWorker('live')
      await run.until(40, traffic)
      run.killDirectory(east)
      await run.until(50, traffic)
      await run.startDirectory(east)
      await run.until(60, traffic)
      west.api.failure = new ApiError(503, 'the server is away')
      west.api.endWatches(new ApiError(0, 'connection lost'))
      await run.until(68, traffic)
      west.api.compact()
      west.api.failure = null
      await run.until(TRAFFIC_TO_S, traffic)
      await run.until(TRAFFIC_TO_S + 12)
      await run.end()
      assert.equal(run.taken, 1, 'the second worker began with what the first one had written to the cache')
      flows = await flowsOf(run.bus)
      assert.equal(flows.length, run.traffic.truths.size, 'every exchange that an end saw is one flow')
      const tally = judge(flows, run.traffic.truths, outages)
      const pods = run.clusters.reduce((sum, cluster) => sum + cluster.pods.length, 0)
      const addresses = new Set(
        run.clusters.flatMap(({ pods }) => pods.map(({ cluster, ip }) => `${cluster.name} ${ip}`)),
      )
      assert.ok(pods > 1.5 * addresses.size, `${pods} pods with ${addresses.size} addresses`)
      assert.ok(tally.unknown < tally.ends / 10)
      t.diagnostic(
        `seed ${seed}: ${pods} pods on ${addresses.size} addresses; ${flows.length} flows, ${tally.named} ends named right, ` +
          `0 wrong, ${tally.unknown} unknown while a directory or its API server was away`,
      )
    })

    test('again later: the same bytes', async () => {
      const again = await replayed(run)
      for (let i = 0; i < PARTITIONS; i++) {
        const live = await valuesOf(run.bus, i)
        assert.equal(again[i].length, live.length)
        for (const [at, value] of live.entries()) {
          if (!value.equals(again[i][at])) assert.deepEqual(decodeFlow(again[i][at]), decodeFlow(value))
        }
      }
    })

    test('with what the topic has kept in the end: nothing wrong, and more is known', async (t) => {
      const later = await decodedWith(run.bus, await compacted(run.bus))
      // A slice may have gone before its pod, with a directory away in between: then the pod's service is not known.
      const always: Outage[] = run.clusters.map(({ name }) => [name, 0, Number.POSITIVE_INFINITY])
      const tally = judge(later, run.traffic.truths, always)
      const live = judge(flows, run.traffic.truths, outages)
      assert.ok(tally.unknown <= live.unknown)
      t.diagnostic(`seed ${seed}: ${tally.unknown} of ${tally.ends} ends unknown, live it were ${live.unknown}`)
    })
  })
}
