import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ArrayStore } from '../../test/fakes/array_store.js'
import { DrivenClock } from '../../test/fakes/clock.js'
import { seededFlow } from '../../test/fakes/flows.js'
import { MemoryBus } from '../adapters/memory/bus.js'
import { KlartextError } from '../core/errors.js'
import { Random } from '../core/random.js'
import { createTopics, TOPICS } from '../core/topics.js'
import { encodeFlow } from '../core/wire/flow.js'
import type { BlockLimits } from './partition_sink.js'
import { Sink } from './sink.js'

const START_US = 1_790_000_000_000_000

async function world(limits: Partial<BlockLimits> = {}) {
  const clock = new DrivenClock()
  const bus = new MemoryBus({ nowMs: () => clock.nowMs })
  await createTopics(bus, 2)
  const store = new ArrayStore()
  const producer = await bus.producer()
  let seq = 0
  const publish = async (partition: number, count: number) => {
    const random = new Random(1)
    const messages = Array.from({ length: count }, () => {
      const flow = seededFlow(random, seq++, START_US)
      return { key: Buffer.from(flow.conn_id), value: encodeFlow(flow) }
    })
    await producer.send(TOPICS.flows, partition, messages)
  }
  const join = async (epoch = 'test') => {
    const sink = new Sink({ bus, store, clock, group: 'sink', epoch, limits })
    await sink.start()
    return sink
  }
  return { clock, bus, store, publish, join, producer }
}

test('rows know the partition and first offset of the block that brought them', async () => {
  const { store, publish, join } = await world()
  await publish(1, 5)
  const sink = await join()
  await sink.drain()
  await publish(1, 3)
  await (await join('second')).drain()
  assert.deepEqual(
    store.rows.flows.map((flow) => [flow.in_partition, flow.batch_first]),
    [...Array.from({ length: 5 }, () => [1, 0]), ...Array.from({ length: 3 }, () => [1, 5])],
  )
  assert.deepEqual(
    store.inserts.map(({ token }) => token),
    ['test/klartext.flows/1/0-4', 'second/klartext.flows/1/5-7'],
  )
})

test('blocks end by rows, by bytes and by age', async () => {
  const byRows = await world({ rows: 4, ageMs: 1e9 })
  await byRows.publish(0, 11)
  const sink = await byRows.join()
  for (let i = 0; i < 20; i++) await sink.step(0)
  assert.equal(byRows.store.rows.flows.length, 11)
  const byAge = await world({ ageMs: 300 })
  await byAge.publish(0, 2)
  const second = await byAge.join()
  await second.step(0)
  byAge.clock.advance(299)
  await second.step(0)
  assert.equal(byAge.store.rows.flows.length, 0)
  byAge.clock.advance(1)
  await second.step(0)
  await second.step(0)
  assert.equal(byAge.store.rows.flows.length, 2)
  const byBytes = await world({ bytes: 1, ageMs: 1e9 })
  await byBytes.publish(0, 2)
  const third = await byBytes.join()
  for (let i = 0; i < 4; i++) await third.step(0)
  assert.equal(byBytes.store.rows.flows.length, 2)
})

test('a wall clock that is set back keeps no row waiting', async () => {
  const { clock, store, publish, join } = await world({ ageMs: 300 })
  await publish(0, 2)
  const sink = await join()
  await sink.step(0)
  clock.set(-3_600_000)
  clock.advance(300)
  await sink.step(0)
  await sink.step(0)
  assert.equal(store.rows.flows.length, 2)
})

test('an outage is waited out: no row lost, none twice, input not read beyond the next block', async () => {
  const { clock, bus, store, publish, join } = await world({ rows: 10, ageMs: 0 })
  let tries = 0
  store.fail = () => (tries++ < 6 ? 'before' : tries < 9 ? 'after' : 'none')
  for (let i = 0; i < 10; i++) await publish(0, 10)
  const sink = await join()
  const before = clock.nowMs
  for (let i = 0; i < 100 && store.rows.flows.length < 100; i++) await sink.step(0)
  await sink.drain()
  assert.equal(store.rows.flows.length, 100)
  assert.ok(sink.metrics.retries >= 6)
  assert.ok(clock.nowMs - before > 1_000, 'it waited longer each time')
  assert.equal(new Set(store.rows.flows.map((flow) => `${flow.conn_id}/${flow.exchange_seq}`)).size, 100)
  const reader = await bus.consumer('sink')
  assert.deepEqual(await reader.committed({ topic: TOPICS.flows, partition: 0 }), { offset: 100n, metadata: '' })
})

test('draining stores all, however often the input had to be paused', async () => {
  const { store, publish, join } = await world({ rows: 500, ageMs: 1e9 })
  const insert = store.insert.bind(store)
  let answer = () => {}
  const slow = new Promise<void>((resolve) => {
    answer = resolve
  })
  store.insert = async (...words) => {
    await slow
    return insert(...words)
  }
  for (let i = 0; i < 12; i++) await publish(0, 2_000)
  const sink = await join()
  for (let i = 0; i < 4; i++) await sink.step(0)
  assert.ok(sink.metrics.pauses > 0)
  answer()
  await sink.drain()
  assert.equal(store.rows.flows.length, 24_000)
})

test('a store that refuses for good ends the sink with its error, and the block stays an intent', async () => {
  const { bus, store, publish, join } = await world()
  store.insert = async () => {
    throw new KlartextError('CLICKHOUSE_60', 'no such table')
  }
  await publish(0, 3)
  const sink = await join()
  await assert.rejects(sink.drain(), { code: 'CLICKHOUSE_60' })
  const reader = await bus.consumer('sink')
  const { offset, metadata } = await reader.committed({ topic: TOPICS.flows, partition: 0 })
  assert.deepEqual([offset, metadata], [0n, 'v1|2|test'])
})

test('a message that is no row is passed over and counted', async () => {
  const { store, publish, join, producer } = await world()
  await publish(0, 1)
  await producer.send(TOPICS.flows, 0, [{ key: null, value: Buffer.from([0, 0, 0, 0, 99, 1]) }])
  await producer.send(TOPICS.connections, 1, [{ key: null, value: Buffer.from('{"ts":1}') }])
  await publish(0, 1)
  const sink = await join()
  await sink.drain()
  assert.equal(store.rows.flows.length, 2)
  assert.equal(sink.metrics.unreadable, 2)
})

test('a message of a newer klartext ends its partition here: nothing behind it is stored or passed over', async () => {
  const { store, bus, publish, join, producer } = await world()
  await publish(0, 1)
  await producer.send(TOPICS.flows, 0, [{ key: null, value: Buffer.from([0, 0, 0, 0, 4, 1]) }])
  await publish(0, 1)
  const sink = await join()
  await sink.drain()
  assert.deepEqual([store.rows.flows.length, sink.metrics.unreadable], [1, 0])
  const reader = await bus.consumer('sink')
  assert.equal((await reader.committed({ topic: TOPICS.flows, partition: 0 })).offset, 1n)
})

test('so does a row of a connection or of coverage', async () => {
  for (const topic of [TOPICS.connections, TOPICS.coverage]) {
    const { bus, join, producer } = await world()
    await producer.send(topic, 0, [{ key: null, value: Buffer.from('{"schema_version":2,"ts":1}') }])
    const sink = await join()
    await sink.drain()
    assert.equal(sink.metrics.unreadable, 0)
    assert.match(sink.notReady ?? '', /schema 2, this klartext knows up to 1: update it first$/)
    const reader = await bus.consumer('sink')
    assert.equal((await reader.committed({ topic, partition: 0 })).offset, -1n)
  }
})

test('an intent whose block has lost its beginning is passed over and counted: no row twice, and what follows goes on', async () => {
  for (const [kept, inDoubt] of [
    [2n, 1],
    [3n, 0],
  ] as const) {
    const { bus, clock, store, publish } = await world()
    await publish(0, 3)
    const other = await bus.consumer('sink')
    await other.subscribe(TOPICS.flows, async () => {})
    await other.poll(1, 0)
    await other.commit({ topic: TOPICS.flows, partition: 0 }, 0n, 'v1|2|test')
    await other.close()
    await publish(0, 2)
    bus.log(TOPICS.flows, 0).trim(0, kept, true)
    const errors: unknown[] = []
    const onError = (error: unknown) => errors.push((error as KlartextError).code)
    const sink = new Sink({ bus, store, clock, group: 'sink', epoch: 'next', onError })
    await sink.start()
    await sink.drain()
    assert.deepEqual(errors, ['INTENT_LOST'])
    assert.equal(sink.metrics.inDoubt, inDoubt)
    assert.deepEqual(
      store.inserts.map(({ token, count }) => [token, count]),
      [['next/klartext.flows/0/3-4', 2]],
    )
    const reader = await bus.consumer('sink')
    assert.deepEqual(await reader.committed({ topic: TOPICS.flows, partition: 0 }), { offset: 5n, metadata: '' })
  }
})

test('rows on their way to the store are waiting rows too', async () => {
  const { store, publish, join } = await world({ rows: 2 })
  store.insert = () => new Promise(() => {})
  await publish(0, 2)
  const sink = await join()
  await sink.step(0)
  await publish(0, 1)
  await sink.step(0)
  assert.equal(sink.waitingRows, 3)
})
