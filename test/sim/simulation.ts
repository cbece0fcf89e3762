/**
 * The product's own decode workers and sinks on the memory bus and an array for a store, under kills, fencing, zombies that go
 * on in the middle of what they did, redelivery, failing calls and an absent store. What is stored and published at the end
 * must be what an undisturbed run stores.
 */
import assert from 'node:assert/strict'
import type { Flow } from '../../services/core/flow.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { decodeFlow } from '../../services/core/wire/flow.js'
import type { DecodeWorker } from '../../services/decode/worker.js'
import { Sink } from '../../services/sink/sink.js'
import { TALKS, type Talk } from '../fakes/conversations/talks.js'
import { rowDifferences } from '../fakes/row_differences.js'
import { Killed, type Odds } from './life.js'
import { type Published, seededTraffic } from './traffic.js'
import { type Member, quiet, World } from './world.js'

const PARTITIONS = 3
const CONNECTIONS = 14
const STEPS_MAX = 20_000
const MEMBERS_MAX = 8
const NO_ODDS: Odds = { die: 0, fail: 0, stall: 0 }

const COUNTS = [
  'kills',
  'leaves',
  'zombies',
  'stalls',
  'fenced',
  'failures',
  'takeovers',
  'restored',
  'replays',
  'storeRetries',
] as const
/** What happened, and how many flows of each protocol went through it. */
export type Tally = Record<(typeof COUNTS)[number] | Talk | 'flows', number>

function newTally(flows: readonly Flow[]): Tally {
  const tally = Object.fromEntries(COUNTS.map((name) => [name, 0])) as Tally
  for (const talk of TALKS) tally[talk] = flows.filter(({ protocol }) => protocol === talk).length
  tally.flows = flows.length
  return tally
}

const flowText = (flow: Flow) => JSON.stringify({ ...flow, in_partition: 0, batch_first: 0 })

/** What must be equal: everything but the ledger of the sink, whose blocks are cut by time. */
async function outcome({ store, bus }: World): Promise<Record<string, string[]>> {
  const { flows, connections, coverage } = store.rows
  const published: string[] = []
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await bus.readAll(TOPICS.flows, partition, (records) => {
      for (const { value } of records) published.push(flowText(decodeFlow(value)))
    })
  }
  return {
    flows: flows.map(flowText),
    connections: connections.map((row) => JSON.stringify(row)),
    coverage: coverage.map((row) => JSON.stringify({ ...row, ts: 0 })),
    rollup: [...store.rollup].map(([key, count]) => `${key} ${count}`),
    published,
  }
}

async function assertSame(world: World, expected: Record<string, string[]>, what: string): Promise<void> {
  const actual = await outcome(world)
  const differences = Object.keys(expected).map((name) => rowDifferences(name, actual[name], expected[name]))
  assert.equal(differences.filter(Boolean).join('\n'), '', what)
}

async function undisturbed(traffic: readonly Published[]): Promise<World> {
  const world = new World(new Random(1), NO_ODDS)
  await createTopics(world.bus, PARTITIONS)
  const producer = await world.bus.producer()
  for (const { partition, value } of traffic) await producer.send(TOPICS.segments, partition, [{ key: null, value }])
  await finish(world)
  return world
}

/** All is read to its end, open connections are handed over, all is stored. */
async function finish(world: World): Promise<void> {
  const [worker, sink] = [await world.join('worker'), await world.join('sink')]
  await (worker.process as DecodeWorker).drain()
  await (sink.process as Sink).drain()
  assert.ok(await world.consumed('decode', TOPICS.segments), 'segments are left')
  assert.ok(await world.consumed('sink', TOPICS.flows), 'flows are left')
}

export async function simulate(seed: number): Promise<Tally> {
  const random = new Random(seed)
  const traffic = seededTraffic(random, CONNECTIONS, PARTITIONS)
  const quietWorld = await undisturbed(traffic)
  const expected = await outcome(quietWorld)
  const tally = newTally(quietWorld.store.rows.flows)
  const odds = { die: 0.004 + random.next() * 0.02, fail: random.next() * 0.02, stall: random.next() * 0.01 }
  const world = new World(random, odds)
  await createTopics(world.bus, PARTITIONS)
  let outageUntilUs = 0
  world.store.fail = () => {
    if (world.clock.nowUs() < outageUntilUs || random.chance(0.05)) return 'before'
    return random.chance(0.05) ? 'after' : random.chance(0.05) ? 'half' : 'none'
  }
  for (const kind of ['worker', 'worker', 'sink', 'sink'] as const) await world.join(kind)

  const producer = await world.bus.producer()
  let sent = 0
  for (;;) {
    assert.ok(world.tick < STEPS_MAX, `seed ${seed} does not come to an end`)
    await world.next(random.below(40))
    if (sent < traffic.length && random.chance(0.5)) {
      const { partition, value } = traffic[sent++]
      await producer.send(TOPICS.segments, partition, [{ key: null, value }])
    }
    if (random.chance(0.005)) outageUntilUs = world.clock.nowUs() + random.below(3_000_000)
    await disturb(world, tally)
    if (sent === traffic.length && world.tick % 50 === 0 && (await world.consumed('decode', TOPICS.segments))) break
  }
  await end(world, expected, seed)
  for (const member of world.members) count(member, tally)
  tally.stalls = world.stalls
  for (const error of world.errors as { code?: string; stack?: string }[]) {
    assert.ok(error.code !== undefined || error instanceof Killed, `seed ${seed}: ${error.stack}`)
  }
  return tally
}

/** The end of the input is announced once, by the last worker, while the others are silent; what they do later does nothing. */
async function end(world: World, expected: Record<string, string[]>, seed: number): Promise<void> {
  Object.assign(world.odds, NO_ODDS)
  world.store.fail = () => 'none'
  await quiet()
  const stale = [...world.members]
  world.clock.advance(10_000)
  await finish(world)
  await assertSame(world, expected, `seed ${seed}`)
  await world.release()
  for (const member of stale) {
    if (member.doing === null && !member.left) await world.let(member, () => member.process.step(0))
  }
  await quiet()
  await assertSame(world, expected, `seed ${seed}, zombies`)
}

function count({ process: { metrics } }: Member, tally: Tally): void {
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

/** One member takes a step, or something happens to it. */
async function disturb(world: World, tally: Tally): Promise<void> {
  const { random, tick } = world
  const awake = world.members.filter(({ silentUntil, doing, left }) => silentUntil <= tick && doing === null && !left)
  if (awake.length === 0) return
  const member = random.pick(awake)
  const replace = async () => {
    count(member, tally)
    world.members = world.members.filter((each) => each !== member)
    await world.join(member.process instanceof Sink ? 'sink' : 'worker')
  }
  if (random.chance(0.006)) {
    // Falls silent for longer than its session, and comes back with all it had in hand.
    tally.zombies += 1
    member.silentUntil = tick + 50 + random.below(400)
    await world.join(member.process instanceof Sink ? 'sink' : 'worker')
    if (world.members.length > MEMBERS_MAX) world.members.splice(world.members.indexOf(member), 1)
    return
  }
  if (random.chance(0.002)) {
    tally.leaves += 1
    member.left = true
    await world.let(member, () => member.process.stop())
    await replace()
    return
  }
  await world.let(member, () => member.process.step(0))
  if (member.life.dead) {
    tally.kills += 1
    await replace()
  }
}
