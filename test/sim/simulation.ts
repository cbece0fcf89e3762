/**
 * The product's own decode workers and sinks on the memory bus and an array for a store, under kills, fencing, zombies,
 * redelivery, failing calls and an absent store. What is stored at the end must be what an undisturbed run stores.
 */
import assert from 'node:assert/strict'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import type { Bus } from '../../services/core/ports/bus.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { Sink } from '../../services/sink/sink.js'
import { ArrayStore } from '../fakes/array_store.js'
import { DrivenClock } from '../fakes/clock.js'
import { Killed, Life, MortalBus, type Odds } from './mortal_bus.js'
import { type Published, seededTraffic } from './traffic.js'

const PARTITIONS = 3
const CONNECTIONS = 14
const STEPS_MAX = 20_000
const NO_ODDS: Odds = { die: 0, fail: 0 }

export interface Tally {
  flows: number
  kills: number
  leaves: number
  zombies: number
  fenced: number
  failures: number
  takeovers: number
  restored: number
  replays: number
  storeRetries: number
}

interface Member {
  readonly life: Life
  readonly process: DecodeWorker | Sink
  /** Silent until this tick. */
  silentUntil: number
  leaving: Promise<void> | null
}

class World {
  readonly clock = new DrivenClock()
  readonly bus: MemoryBus
  readonly store = new ArrayStore()
  readonly random: Random
  readonly odds: Odds
  readonly errors: unknown[] = []
  members: Member[] = []
  #names = 0

  constructor(random: Random, odds: Odds) {
    this.random = random
    this.odds = { ...odds }
    this.bus = new MemoryBus({ sessionMs: 900, transactionMs: 700, nowMs: () => this.clock.nowMs })
  }

  async join(kind: 'worker' | 'sink'): Promise<Member> {
    const life = new Life(this.random, this.odds)
    const bus: Bus = new MortalBus(this.bus, life)
    const onError = (error: unknown) => this.errors.push(error)
    const { clock } = this
    const process =
      kind === 'worker'
        ? new DecodeWorker({
            bus,
            clock,
            group: 'decode',
            protocols: PROTOCOLS,
            policy: new FlowPolicy(defaultPolicy('metadata')),
            deadLetters: true,
            tickMs: 50 + this.random.below(200),
            onError,
          })
        : new Sink({
            bus,
            clock,
            group: 'sink',
            store: this.store,
            // Every sink process has its own: an intent must be repeated under the token of who wrote it.
            epoch: `sink-${this.#names++}`,
            limits: { rows: 1 + this.random.below(60), ageMs: this.random.below(400) },
            onError,
          })
    const member: Member = { life, process, silentUntil: -1, leaving: null }
    this.members.push(member)
    await process.start()
    return member
  }

  /** Offset behind the last message that every reader of the group has to reach. */
  async consumed(group: string, topic: string): Promise<boolean> {
    const reader = await this.bus.consumer(group)
    for (let partition = 0; partition < (await this.bus.partitions(topic)); partition++) {
      let last = -1n
      await this.bus.readAll(topic, partition, (records) => {
        last = records.at(-1)?.offset ?? -1n
      })
      const { offset, metadata } = await reader.committed({ topic, partition })
      if (last >= 0n && (offset <= last || metadata !== '')) return false
    }
    return true
  }
}

/** What must be equal: everything but the ledger of the sink, whose blocks are cut by time. */
function comparable(store: ArrayStore): unknown {
  const flows = store.rows.flows.map((flow) => JSON.stringify({ ...flow, batch_first: 0 }))
  const connections = store.rows.connections.map((row) => JSON.stringify(row))
  const coverage = store.rows.coverage.map((row) => JSON.stringify({ ...row, ts: 0 }))
  return { flows: flows.sort(), connections: connections.sort(), coverage: coverage.sort() }
}

async function undisturbed(traffic: readonly Published[]): Promise<ArrayStore> {
  const world = new World(new Random(1), NO_ODDS)
  await createTopics(world.bus, PARTITIONS)
  const producer = await world.bus.producer()
  for (const { partition, value } of traffic) await producer.send(TOPICS.segments, partition, [{ key: null, value }])
  const worker = await world.join('worker')
  const sink = await world.join('sink')
  await finish(world, [worker, sink])
  return world.store
}

/** All is read to its end, open connections are handed over, all is stored. */
async function finish(world: World, [worker, sink]: readonly [Member, Member]): Promise<void> {
  await (worker.process as DecodeWorker).drain()
  await (sink.process as Sink).drain()
  assert.ok(await world.consumed('decode', TOPICS.segments), 'segments are left')
}

export async function simulate(seed: number): Promise<Tally> {
  const random = new Random(seed)
  const traffic = seededTraffic(random, CONNECTIONS, PARTITIONS)
  const expected = await undisturbed(traffic)
  const tally: Tally = {
    flows: expected.rows.flows.length,
    kills: 0,
    leaves: 0,
    zombies: 0,
    fenced: 0,
    failures: 0,
    takeovers: 0,
    restored: 0,
    replays: 0,
    storeRetries: 0,
  }
  const world = new World(random, { die: 0.004 + random.next() * 0.02, fail: random.next() * 0.02 })
  await createTopics(world.bus, PARTITIONS)
  let outageUntilUs = 0
  world.store.fail = () => {
    if (world.clock.nowUs() < outageUntilUs || random.chance(0.05)) return 'before'
    return random.chance(0.05) ? 'after' : 'none'
  }
  const count = (member: Member) => {
    const { metrics } = member.process
    tally.fenced += metrics.fenced
    tally.failures += metrics.failures
    if ('takeovers' in metrics) {
      tally.takeovers += metrics.takeovers
      tally.restored += metrics.restoredConnections
    } else {
      tally.replays += metrics.intentsReplayed
      tally.storeRetries += metrics.retries
    }
  }
  for (const kind of ['worker', 'worker', 'sink', 'sink'] as const) await world.join(kind)

  const producer = await world.bus.producer()
  let sent = 0
  for (let tick = 0; ; tick++) {
    assert.ok(tick < STEPS_MAX, `seed ${seed} does not come to an end`)
    world.clock.advance(random.below(40))
    if (sent < traffic.length && random.chance(0.5)) {
      const { partition, value } = traffic[sent++]
      await producer.send(TOPICS.segments, partition, [{ key: null, value }])
    }
    if (random.chance(0.005)) outageUntilUs = world.clock.nowUs() + random.below(3_000_000)
    await disturb(world, tick, tally, count)
    if (sent === traffic.length && tick % 50 === 0 && (await world.consumed('decode', TOPICS.segments))) break
  }

  // The end of the input is announced once, by the last worker; the others are gone.
  Object.assign(world.odds, NO_ODDS)
  world.store.fail = () => 'none'
  for (const member of world.members) count(member)
  world.clock.advance(10_000)
  await finish(world, [await world.join('worker'), await world.join('sink')])
  assert.deepEqual(comparable(world.store), comparable(expected), `seed ${seed}`)
  for (const { error } of world.errors.map((error) => ({ error: error as { code?: string } }))) {
    assert.ok(error.code !== undefined || error instanceof Killed, `seed ${seed}: ${(error as Error).stack}`)
  }
  return tally
}

/** One member takes a step, or something happens to it. */
async function disturb(world: World, tick: number, tally: Tally, count: (member: Member) => void): Promise<void> {
  const { random } = world
  const awake = world.members.filter(({ silentUntil }) => silentUntil <= tick)
  if (awake.length === 0) return
  const member = random.pick(awake)
  const kind = member.process instanceof Sink ? 'sink' : 'worker'
  const gone = () => {
    count(member)
    world.members = world.members.filter((each) => each !== member)
    return world.join(kind)
  }
  try {
    if (random.chance(0.006)) {
      // Falls silent for longer than its session, and comes back with all it had in hand.
      tally.zombies += 1
      member.silentUntil = tick + 50 + random.below(400)
      await world.join(kind)
      if (world.members.length > 8) world.members.splice(world.members.indexOf(member), 1)
      return
    }
    if (random.chance(0.002)) {
      tally.leaves += 1
      await member.process.stop()
      await gone()
      return
    }
    await member.process.step(0)
  } catch (error) {
    if (!(error instanceof Killed)) {
      if ((error as { retryable?: boolean }).retryable !== true) throw error
      return
    }
  }
  if (member.life.dead) {
    tally.kills += 1
    await gone()
  }
}
