/**
 * Hours of two clusters in klartext.pods, with everything that makes order matter: lives of a pod that share its uid, addresses
 * that change hands, several messages at one time, a broker whose clock goes back, identities taken out. Workers that start
 * from the cache and from the topic, and one table that has heard everything and forgotten nothing, are asked the same.
 */
import assert from 'node:assert/strict'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import { MemoryCache } from '../../services/adapters/memory/cache.js'
import { PodTable } from '../../services/adapters/memory/pod_table.js'
import { type Identity, STILL_VALID_US } from '../../services/core/pods.js'
import type { BusProducer } from '../../services/core/ports/bus.js'
import type { Unnamed } from '../../services/core/ports/pods.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { encodeFollowed, encodeIdentity, podKey } from '../../services/core/wire/pods.js'
import { PodCache } from '../../services/decode/pod_cache.js'
import { PodFeed } from '../../services/decode/pod_feed.js'
import { DrivenClock } from '../fakes/clock.js'
import { identity } from '../fakes/identities.js'

const S = 1_000_000
const HOUR_US = 3600 * S
/** What all know who have just started, from wherever. */
const RECENT_US = 540 * S
/** The last is public: it means the same in all clusters. */
const ADDRESSES = ['10.1.0.1', '10.1.0.2', '10.1.0.3', '10.1.0.4', '8.8.8.8']
const PODS = 6
const SERVICES = ['', 'shop', 'cart']
const CLUSTERS = ['east', 'west', 'south']

interface Worker {
  readonly name: string
  readonly table: PodTable
  readonly feed: PodFeed
  readonly cache: PodCache | null
  readonly startedUs: number
}

export interface History {
  /** Workers that started from the cache, and from the topic. */
  taken: number
  read: number
  saved: number
  lookups: number
  named: number
  unknown: number
  /** Of lookups, those that made a worker read all once more. */
  reread: number
}

export class PodHistory {
  readonly #random: Random
  readonly #clock = new DrivenClock()
  readonly #bus = new MemoryBus()
  readonly #kept = new MemoryCache(() => this.#clock.nowMs)
  /** What each record says, to whoever forgets nothing. */
  readonly #all = new PodTable()
  readonly #lives = new Map<string, Identity>()
  #producer: BusProducer | null = null
  #workers: Worker[] = []
  readonly tally: History = { taken: 0, read: 0, saved: 0, lookups: 0, named: 0, unknown: 0, reread: 0 }

  constructor(seed: number) {
    this.#random = new Random(seed)
  }

  async play(steps: number): Promise<History> {
    await createTopics(this.#bus, 1)
    this.#producer = await this.#bus.producer()
    // The third one comes later.
    for (const cluster of CLUSTERS.slice(0, 2)) await this.#follow(cluster)
    await this.#start(true)
    for (let i = 0; i < steps; i++) {
      for (let n = this.#random.below(6); n > 0; n--) await this.#tell()
      this.#pass()
      if (this.#random.chance(0.6)) await this.#step()
      if (this.#random.chance(0.15)) {
        await this.#start(true)
        await this.#start(false)
        if (this.#workers.length > 6) this.#workers.splice(1, 2)
      }
      if (this.#random.chance(0.4)) {
        await this.#step()
        for (let n = 0; n < 10; n++) await this.#ask()
      }
    }
    for (const { cache } of this.#workers) this.tally.saved += cache?.saved ?? 0
    return this.tally
  }

  /** Mostly moments, now and then hours. */
  #pass(): void {
    const random = this.#random
    const ms = random.chance(0.3) ? 0 : random.chance(0.2) ? random.below(40 * 60_000) : random.below(30_000)
    this.#clock.advance(ms)
  }

  async #start(isCached: boolean): Promise<void> {
    const [bus, clock] = [this.#bus, this.#clock]
    const table = new PodTable()
    const cache = isCached ? new PodCache({ cache: this.#kept, bus, clock, everyMs: 60_000 }) : null
    const feed = new PodFeed({ bus, clock, pods: table, ...(cache === null ? {} : { cache }) })
    await feed.load()
    await feed.step()
    await cache?.idle()
    const isTaken = cache?.loads.taken === 1
    this.tally[isTaken ? 'taken' : 'read'] += 1
    const name = `${isTaken ? 'cache' : 'topic'} ${this.tally.taken + this.tally.read}`
    this.#workers.push({ name, table, feed, cache, startedUs: clock.nowUs() })
  }

  async #step(): Promise<void> {
    for (const { feed, cache } of this.#workers) {
      await feed.step()
      await cache?.idle()
    }
  }

  async #send(key: Buffer, value: Buffer | null, tell: (knownUs: number) => void): Promise<void> {
    const backMs = this.#random.chance(0.05) ? this.#random.below(5_000) : 0
    const timestampMs = this.#clock.nowMs - backMs
    await this.#producer?.send(TOPICS.pods, 0, [{ key, value, timestampMs }])
    tell(timestampMs * 1000)
  }

  async #follow(cluster: string): Promise<void> {
    const followed = { cluster, network: cluster === 'south' ? '' : 'vpc', untilUs: this.#clock.nowUs() }
    await this.#send(podKey(cluster, ''), encodeFollowed(followed), (knownUs) => this.#all.follow(followed, knownUs))
  }

  async #tell(): Promise<void> {
    const random = this.#random
    const [cluster, nowUs] = [random.pick(CLUSTERS), this.#clock.nowUs()]
    if (random.chance(0.4)) return this.#follow(cluster)
    if (random.chance(0.02)) return this.#send(podKey(cluster, 'odd'), Buffer.from('garbage'), () => {})
    const ended = [...this.#lives.values()].filter(({ validToUs }) => validToUs < nowUs - 6 * HOUR_US)
    if (ended.length > 0 && random.chance(0.3)) {
      const { cluster: from, key } = random.pick(ended)
      this.#lives.delete(`${from}/${key}`)
      return this.#send(podKey(from, key), null, () => this.#all.remove(from, key))
    }
    const uid = `pod-${random.below(PODS)}`
    const lives = [...this.#lives.values()].filter((one) => one.cluster === cluster && one.podUid === uid)
    const open = lives.find(({ validToUs }) => validToUs === STILL_VALID_US)
    const told: Identity[] = []
    if (open === undefined || random.chance(0.3)) {
      // Another life, with another address; the one before ends, told before or behind it, or not at all.
      const fromUs = nowUs - random.below(10 * S)
      if (open !== undefined && random.chance(0.8)) told.push({ ...open, validToUs: fromUs })
      const life = identity(`${uid}-${nowUs}-${this.#lives.size}`, {
        cluster,
        workload: uid,
        podUid: uid,
        addresses: [random.pick(ADDRESSES)],
        containers: [{ id: `c-${uid}`, name: 'app' }],
        validFromUs: fromUs,
      })
      if (random.chance(0.5)) told.push(life)
      else told.unshift(life)
    } else if (random.below(10) < 3) told.push({ ...open, validToUs: nowUs - random.below(5 * S) })
    else told.push({ ...open, service: random.pick(SERVICES) })
    for (const one of told) {
      this.#lives.set(`${cluster}/${one.key}`, one)
      await this.#send(podKey(cluster, one.key), encodeIdentity(one), (knownUs) => this.#all.put(one, knownUs))
    }
  }

  /** One question to all; who does not know so much of the past any more reads it once more. */
  async #ask(): Promise<void> {
    const random = this.#random
    const nowUs = this.#clock.nowUs()
    const [cluster, address] = [random.pick(CLUSTERS), random.pick(ADDRESSES)]
    const knownUs = nowUs - random.below(random.chance(0.1) ? 4 * HOUR_US : RECENT_US)
    const timeUs = knownUs - random.below(HOUR_US - S)
    const uid = `pod-${random.below(PODS)}`
    const wanted = this.#all.at(knownUs)
    const [byAddress, byPod, byContainer] = [
      wanted.byAddress(cluster, address, timeUs),
      wanted.byPod(cluster, uid),
      wanted.byContainer(cluster, `c-${uid}`),
    ]
    const isReady = new Set<boolean>()
    for (const { name, feed, table, cache } of this.#workers) {
      const at = `${name}: ${cluster} ${address} or ${uid}, ${(nowUs - timeUs) / S} s ago, known ${(nowUs - knownUs) / S} s ago`
      if (knownUs > nowUs - RECENT_US) isReady.add(feed.isReady(cluster, knownUs, nowUs))
      else if (!feed.isReady(cluster, knownUs, nowUs)) {
        await feed.step()
        await cache?.idle()
        this.tally.reread += 1
      }
      const view = table.at(knownUs)
      assert.deepEqual(view.byAddress(cluster, address, timeUs), byAddress, at)
      // Who has ended an hour before may have been forgotten.
      const isKept = (one: Identity | null) => one === null || one.validToUs > knownUs - HOUR_US
      if (isKept(byPod)) assert.deepEqual(view.byPod(cluster, uid), byPod, at)
      if (isKept(byContainer)) assert.deepEqual(view.byContainer(cluster, `c-${uid}`), byContainer, at)
      feed.release(Number.POSITIVE_INFINITY)
    }
    assert.ok(isReady.size < 2, 'some are ready, others are not')
    this.tally.lookups += 1
    this.tally[isNamed(byAddress) ? 'named' : 'unknown'] += byAddress === 'nobody' ? 0 : 1
  }
}

function isNamed(answer: Identity | Unnamed): boolean {
  return typeof answer === 'object'
}
