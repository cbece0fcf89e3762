/**
 * A run of two clusters with the same addresses whose pods come and go while they talk, driven by one clock, and the judge of
 * what their flows are named. What happened is the simulation's own log.
 */
import assert from 'node:assert/strict'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import { MemoryCache } from '../../services/adapters/memory/cache.js'
import { PodTable } from '../../services/adapters/memory/pod_table.js'
import type { Flow } from '../../services/core/flow.js'
import { ApiError } from '../../services/core/ports/kubernetes.js'
import { Random } from '../../services/core/random.js'
import { TOPICS } from '../../services/core/topics.js'
import { decodeFlow } from '../../services/core/wire/flow.js'
import { PodCache } from '../../services/decode/pod_cache.js'
import { PodFeed } from '../../services/decode/pod_feed.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { DirectoryService } from '../../services/directory/service.js'
import { SteppedClock } from '../fakes/stepped_clock.js'
import { ClusterTraffic, type Name, type Truth } from './cluster_traffic.js'
import { Cluster } from './clusters.js'

export const PARTITIONS = 3
const WORKLOADS = 15
const CACHE_EVERY_MS = 2_000
export const START_US: number = 1_790_000_000_000_000
const S = 1_000_000
export const TICK_US = 50_000
export const TRAFFIC_FROM_S = 6
export const CONNECTIONS_PER_TICK = 2

/** Seconds in which names may be unknown, per cluster; never wrong. */
export type Outage = readonly [cluster: string, fromS: number, toS: number]

export interface Tally {
  ends: number
  named: number
  unknown: number
}

/** All there is of one run, driven by one clock. */
export class Run {
  readonly clock = new SteppedClock(START_US)
  readonly random: Random
  readonly bus = new MemoryBus({ sessionMs: 900, nowMs: () => this.clock.nowUs() / 1000 })
  readonly clusters: Cluster[]
  readonly traffic: ClusterTraffic
  readonly errors: string[] = []
  /** Seconds at which all watches of a cluster were broken. */
  readonly brokenAt = new Map<string, number>()
  readonly #directories = new Map<string, AbortController>()
  readonly #cache = new MemoryCache(() => this.clock.nowUs() / 1000)
  /** Workers that began with what was in the cache. */
  taken = 0
  #workers: DecodeWorker[] = []
  #feeds: PodFeed[] = []

  constructor(seed: number) {
    this.random = new Random(seed)
    this.clusters = ['east', 'west'].map((name, i) => new Cluster(name, i, WORKLOADS, this.clock, this.random))
    this.traffic = new ClusterTraffic(this.clusters, this.random, PARTITIONS)
  }

  get second(): number {
    return (this.clock.nowUs() - START_US) / S
  }

  async startDirectory({ name, api }: Cluster): Promise<DirectoryService> {
    const stop = new AbortController()
    const service = new DirectoryService({
      bus: this.bus,
      api,
      clock: this.clock,
      cluster: name,
      network: '',
      random: () => this.random.next(),
      onError: (where, error) => this.errors.push(`${name} ${where}: ${(error as Error).message}`),
    })
    await service.start()
    void service.run(stop.signal)
    this.#directories.set(name, stop)
    return service
  }

  killDirectory({ name }: Cluster): void {
    this.#directories.get(name)?.abort()
  }

  async startWorker(group: string): Promise<DecodeWorker> {
    const { bus, clock } = this
    const onError = (error: unknown) => this.errors.push(String(error))
    const cache = new PodCache({ cache: this.#cache, bus, clock, everyMs: CACHE_EVERY_MS, onError })
    const feed = new PodFeed({ bus, clock, pods: new PodTable(), cache, onError })
    await feed.start()
    if (cache.loads.taken === 1) this.taken += 1
    const worker = new DecodeWorker({
      bus,
      clock,
      group,
      protocols: PROTOCOLS,
      policy: new FlowPolicy(defaultPolicy('full')),
      names: feed,
      deadLetters: false,
      onError: (error) => this.errors.push(String(error)),
    })
    await worker.start()
    this.#workers.push(worker)
    this.#feeds.push(feed)
    return worker
  }

  /** Silent from now on, as after kill -9. */
  killWorkers(): void {
    this.#workers = []
  }

  async tick(): Promise<void> {
    await this.clock.advanceTo(this.clock.nowUs() + TICK_US)
    const nowUs = this.clock.nowUs()
    for (const cluster of this.clusters) cluster.advanceTo(nowUs)
    const producer = await this.bus.producer()
    for (const { partition, value } of this.traffic.published(nowUs)) {
      await producer.send(TOPICS.segments, partition, [{ key: null, value }])
    }
    for (const worker of this.#workers) await worker.step(0)
  }

  async until(second: number, each: () => void = () => {}): Promise<void> {
    while (this.second < second) {
      each()
      await this.tick()
    }
  }

  async end(): Promise<void> {
    for (const cluster of this.clusters) this.killDirectory(cluster)
    for (const feed of this.#feeds) void feed.stop()
    await this.tick()
  }
}

export async function recordsOf(bus: MemoryBus, topic: string, partition: number) {
  const found: { key: Buffer | null; value: Buffer; timestampMs?: number }[] = []
  await bus.readAll(topic, partition, (records) => found.push(...records))
  return found
}

export async function flowsOf(bus: MemoryBus): Promise<Flow[]> {
  const flows: Flow[] = []
  for (let i = 0; i < PARTITIONS; i++) {
    flows.push(...(await recordsOf(bus, TOPICS.flows, i)).map(({ value }) => decodeFlow(value)))
  }
  return flows
}

const PARTS = ['kind', 'cluster', 'ns', 'workload', 'pod', 'node', 'zone', 'region', 'service', 'sa'] as const

function nameIn(flow: Flow, end: 'client' | 'server'): Name {
  return Object.fromEntries(PARTS.map((part) => [part, flow[`${end}_${part}`]])) as unknown as Name
}

/** What is not known of an end that is known. */
function blank(name: Name, wanted: Name): Partial<Name> {
  return Object.fromEntries(PARTS.filter((part) => name[part] === '' && wanted[part] !== '').map((part) => [part, '']))
}

/** Asserts that each flow is named as it was, or not at all where that is allowed. */
export function judge(flows: readonly Flow[], truths: ReadonlyMap<string, Truth>, outages: readonly Outage[]): Tally {
  const tally: Tally = { ends: 0, named: 0, unknown: 0 }
  const seen = new Set<string>()
  for (const flow of flows) {
    const key = `${flow.capture_side} ${flow.resource}`
    const truth = truths.get(key)
    assert.ok(truth && !seen.has(key), `${key} happened once`)
    seen.add(key)
    const second = (truth.atUs - START_US) / S
    let isCertain = true
    for (const end of ['client', 'server'] as const) {
      const wanted: Name = truth[end]
      const isAway = outages.some(
        ([cluster, fromS, toS]) => [flow.cluster, wanted.cluster].includes(cluster) && second >= fromS && second < toS,
      )
      isCertain &&= !isAway
      const name = nameIn(flow, end)
      const at = `${key} of ${flow.cluster} at ${second.toFixed(3)} s, the ${end}`
      tally.ends += 1
      if (name.kind === 'unknown' && isAway) {
        tally.unknown += 1
        continue
      }
      assert.deepEqual(isAway ? { ...wanted, ...blank(name, wanted) } : wanted, name, at)
      // The pod may be known by its cgroup before its containers are.
      const container = flow[`${end}_container`]
      if (end === flow.capture_side) assert.match(container, isAway ? /^(app|[0-9a-f]{64})$/ : /^app$/, at)
      tally.named += 1
    }
    if (isCertain) assert.equal(flow.scope, scopeOf(truth), key)
  }
  return tally
}

function scopeOf({ client, server }: Truth): string {
  if (client.kind === 'external' || server.kind === 'external') return 'internet'
  if (client.cluster !== server.cluster) return 'other_cluster'
  if (server.node === '') return 'unknown'
  if (client.node === server.node) return 'same_node'
  if (client.region !== server.region) return 'cross_region'
  return client.zone === server.zone ? 'same_zone' : 'cross_zone'
}

/** Rolls a random workload now and then, ends watches, forgets versions, sends garbage: what no name may suffer from. */
export function unrest(run: Run): void {
  const { random } = run
  const cluster = random.pick(run.clusters)
  if (random.chance(0.05)) cluster.roll(random.pick(cluster.workloads), run.clock.nowUs())
  // Broken twice within seconds is an outage.
  if (random.chance(0.01) && run.second > (run.brokenAt.get(cluster.name) ?? 0) + 5) {
    run.brokenAt.set(cluster.name, run.second)
    if (random.chance(0.5)) cluster.api.compact()
    cluster.api.endWatches(random.chance(0.5) ? null : new ApiError(0, 'connection lost'))
  }
  if (random.chance(0.01)) cluster.api.garbage('/api/v1/pods', random.pick([null, 7, {}, { metadata: { uid: [] } }]))
}
