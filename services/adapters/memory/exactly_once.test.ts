/**
 * Read, transform, write under kills: workers that read a topic and write another in transactions (one transactional id per
 * input partition) are killed at any await, go on as zombies after they were replaced, or abort. The output must hold every
 * input once, in order. `KLARTEXT_SEED=n` plays one seed.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BusConsumer, BusProducer, BusRecord } from '../../core/ports/bus.js'
import { Random } from '../../core/random.js'
import { MemoryBus } from './bus.js'

const PARTITIONS = 4
const RECORDS = 400
const seeds =
  process.env.KLARTEXT_SEED === undefined
    ? Array.from({ length: 25 }, (_, i) => i)
    : [Number(process.env.KLARTEXT_SEED)]

interface Tally {
  kills: number
  fenced: number
  aborts: number
}

/** Thrown where a worker dies: nothing after it runs, nothing is closed. */
class Killed extends Error {}

class Worker {
  readonly #bus: MemoryBus
  readonly #random: Random
  readonly #tally: Tally
  readonly #next = new Map<number, bigint>()
  readonly #producers = new Map<number, BusProducer>()
  #consumer: BusConsumer | null = null
  #inHand: BusRecord[] = []

  constructor(bus: MemoryBus, random: Random, tally: Tally) {
    this.#bus = bus
    this.#random = random
    this.#tally = tally
  }

  /** A place where kill -9 may strike. */
  #maybeDie(): void {
    if (!this.#random.chance(0.02)) return
    this.#tally.kills += 1
    throw new Killed()
  }

  async step(): Promise<void> {
    if (this.#consumer === null) {
      const consumer = await this.#bus.consumer('workers')
      this.#consumer = consumer
      await consumer.subscribe('in', async (partitions) => {
        this.#producers.clear()
        this.#next.clear()
        for (const partition of partitions) {
          // Fence first, then read what was committed: the other way round a zombie could commit in between.
          this.#producers.set(partition, await this.#bus.producer({ transactionalId: `worker-${partition}` }))
          const { offset } = await consumer.committed({ topic: 'in', partition })
          this.#next.set(partition, offset < 0n ? 0n : offset)
          consumer.seek({ topic: 'in', partition }, this.#next.get(partition) as bigint)
        }
      })
    }
    // Taking and writing are two steps: the others move on in between, and this one may be a zombie by then.
    if (this.#inHand.length === 0) {
      this.#inHand = await this.#consumer.poll(this.#random.below(300) + 1, 0)
      this.#maybeDie()
      return
    }
    const byPartition = group(this.#inHand)
    this.#inHand = []
    for (const [partition, list] of byPartition) {
      const transaction = await (this.#producers.get(partition) as BusProducer).begin()
      for (const { value } of list) {
        this.#maybeDie()
        await transaction.send('out', partition, [{ key: null, value: Buffer.from(`done ${value}`) }])
      }
      const next = list[list.length - 1].offset + 1n
      await transaction.commitOffset('workers', { topic: 'in', partition }, next, '')
      this.#maybeDie()
      if (this.#random.chance(0.05)) {
        this.#tally.aborts += 1
        await transaction.abort()
        this.#consumer.seek({ topic: 'in', partition }, this.#next.get(partition) as bigint)
        continue
      }
      await transaction.commit()
      this.#next.set(partition, next)
      this.#maybeDie()
    }
  }
}

function group<T extends { partition: number }>(records: readonly T[]): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  for (const record of records) {
    const list = groups.get(record.partition)
    if (list === undefined) groups.set(record.partition, [record])
    else list.push(record)
  }
  return groups
}

async function play(seed: number): Promise<Tally> {
  const random = new Random(seed)
  const tally = { kills: 0, fenced: 0, aborts: 0 }
  let nowMs = 0
  const bus = new MemoryBus({ sessionMs: 300, transactionMs: 500, nowMs: () => nowMs })
  await bus.createTopic('in', PARTITIONS)
  await bus.createTopic('out', PARTITIONS)
  const source = await bus.producer()
  let workers = [new Worker(bus, random, tally), new Worker(bus, random, tally), new Worker(bus, random, tally)]
  const zombies: Worker[] = []
  const committed = await bus.consumer('workers')

  let sent = 0
  for (let tick = 0; ; tick++) {
    assert.ok(tick < 100_000, `seed ${seed} does not come to an end`)
    nowMs += random.below(40)
    if (sent < RECORDS && random.chance(0.6)) {
      await source.send('in', sent % PARTITIONS, [{ key: null, value: Buffer.from(`${sent}`) }])
      sent += 1
    }
    // A zombie: replaced for being silent, and back with all it had in hand.
    const worker = zombies.length > 0 && random.chance(0.1) ? random.pick(zombies) : random.pick(workers)
    if (random.chance(0.01) && !zombies.includes(worker)) {
      zombies.push(worker)
      workers = workers.map((each) => (each === worker ? new Worker(bus, random, tally) : each))
    }
    try {
      await worker.step()
    } catch (error) {
      if (!(error instanceof Killed)) {
        assert.equal((error as { code?: string }).code, 'FENCED', `${error}`)
        tally.fenced += 1
      }
      // Killed, or fenced and told to stop: a fresh one in its place.
      workers = workers.map((each) => (each === worker ? new Worker(bus, random, tally) : each))
      const at = zombies.indexOf(worker)
      if (at >= 0) zombies.splice(at, 1)
    }
    if (sent === RECORDS && tick % 20 === 0) {
      const done = await Promise.all(
        Array.from({ length: PARTITIONS }, (_, partition) => committed.committed({ topic: 'in', partition })),
      )
      if (done.every(({ offset }) => offset === BigInt(RECORDS / PARTITIONS))) break
    }
  }

  nowMs += 10_000
  const reader = await bus.consumer('check')
  await reader.subscribe('out', async () => {})
  const seen = Array.from({ length: PARTITIONS }, () => [] as string[])
  for (let records = await reader.poll(1 << 20, 0); records.length > 0; records = await reader.poll(1 << 20, 0)) {
    for (const { partition, value } of records) seen[partition].push(value.toString())
  }
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const expected = Array.from({ length: RECORDS / PARTITIONS }, (_, i) => `done ${i * PARTITIONS + partition}`)
    assert.deepEqual(seen[partition], expected, `seed ${seed}, partition ${partition}`)
  }
  return tally
}

test('every input once and in order, whatever is killed, fenced or aborted', async (t) => {
  const total = { kills: 0, fenced: 0, aborts: 0 }
  for (const seed of seeds) {
    const tally = await play(seed)
    total.kills += tally.kills
    total.fenced += tally.fenced
    total.aborts += tally.aborts
  }
  t.diagnostic(`${seeds.length} seeds: ${total.kills} kills, ${total.fenced} fenced, ${total.aborts} aborts`)
  assert.ok(total.kills > 0 && total.fenced > 0 && total.aborts > 0, 'the simulation struck nothing')
})
