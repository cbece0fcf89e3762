import assert from 'node:assert/strict'
import { test } from 'node:test'
import { busConformance } from '../../../test/conformance/bus.js'
import { MemoryBus } from './bus.js'

busConformance(async () => new MemoryBus(), { patienceMs: 200 })

const message = (text: string) => ({ key: null, value: Buffer.from(text) })

test('a full partition makes the sender wait until the group has committed', async () => {
  const bus = new MemoryBus({ partitionBytesMax: 2_000 })
  await bus.createTopic('t', 1)
  const producer = await bus.producer()
  const consumer = await bus.consumer('g')
  await consumer.subscribe('t', async () => {})
  for (let i = 0; i < 4; i++) await producer.send('t', 0, [message('x'.repeat(400))])
  let sent = false
  const waiting = producer.send('t', 0, [message('last')]).then(() => {
    sent = true
  })
  const records = await consumer.poll(1 << 20, 0)
  assert.equal(records.length, 4)
  await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(sent, false)
  await consumer.commit({ topic: 't', partition: 0 }, records[3].offset + 1n, '')
  await waiting
  assert.equal((await consumer.poll(1 << 20, 0)).length, 1)
  assert.equal(bus.log('t', 0).dropped, 0)
  assert.ok(bus.log('t', 0).bytes <= 2_000)
})

test('with drop_oldest the oldest records go, readers jump to the first that is there, and the loss is counted', async () => {
  const bus = new MemoryBus({ partitionBytesMax: 2_000, whenFull: 'drop_oldest' })
  await bus.createTopic('t', 1)
  const producer = await bus.producer()
  for (let i = 0; i < 100; i++) await producer.send('t', 0, [message(`${i}`.padEnd(400, '.'))])
  const log = bus.log('t', 0)
  assert.ok(log.bytes <= 2_500)
  const consumer = await bus.consumer('g')
  await consumer.subscribe('t', async () => {})
  const records = await consumer.poll(1 << 20, 0)
  assert.equal(records[0].offset, log.startOffset)
  assert.equal(records.at(-1)?.offset, 99n)
  assert.equal(log.dropped + records.length, 100)
  const ranged = async () => {
    for await (const _ of bus.read('t', 0, 0n, 100n)) assert.fail('read')
  }
  await assert.rejects(ranged(), { code: 'EXPIRED' })
})

test('a silent member loses its partitions and learns it when it speaks again', async () => {
  let now = 0
  const bus = new MemoryBus({ sessionMs: 1_000, nowMs: () => now })
  await bus.createTopic('t', 2)
  const assigned: Record<string, readonly number[]> = {}
  const member = async (name: string) => {
    const consumer = await bus.consumer('g')
    await consumer.subscribe('t', async (partitions) => {
      assigned[name] = partitions
    })
    await consumer.poll(1, 0)
    return consumer
  }
  const silent = await member('silent')
  const alive = await member('alive')
  await silent.poll(1, 0)
  assert.deepEqual(assigned, { silent: [0], alive: [1] })
  now = 2_000
  await alive.poll(1, 0)
  assert.deepEqual(assigned.alive, [0, 1])
  await assert.rejects(silent.commit({ topic: 't', partition: 0 }, 1n, ''), { code: 'FENCED' })
  await silent.poll(1, 0)
  await alive.poll(1, 0)
  assert.deepEqual(assigned, { silent: [1], alive: [0] })
})

test('a transaction that is open for too long is undone and its producer fenced', async () => {
  let now = 0
  const bus = new MemoryBus({ transactionMs: 1_000, nowMs: () => now })
  await bus.createTopic('t', 1)
  const producer = await bus.producer({ transactionalId: 'id' })
  const transaction = await producer.begin()
  await transaction.send('t', 0, [message('late')])
  const consumer = await bus.consumer('g')
  await consumer.subscribe('t', async () => {})
  const plain = await bus.producer()
  await plain.send('t', 0, [message('behind')])
  assert.deepEqual(await consumer.poll(1 << 20, 0), [])
  now = 2_000
  assert.deepEqual(
    (await consumer.poll(1 << 20, 0)).map((record) => record.value.toString()),
    ['behind'],
  )
  await assert.rejects(transaction.commit(), { code: 'FENCED' })
})

test('a compacted topic keeps the newest of each key, however often it is written', async () => {
  const bus = new MemoryBus()
  await bus.createTopic('t', 1, { compact: true })
  const producer = await bus.producer({ transactionalId: 'id' })
  for (let i = 0; i < 5_000; i++) {
    const transaction = await producer.begin()
    await transaction.send('t', 0, [
      { key: Buffer.from(`k${i % 10}`), value: Buffer.from(`${i}`) },
      { key: Buffer.from(`gone${i}`), value: Buffer.from('x') },
      { key: Buffer.from(`gone${i}`), value: null },
    ])
    await (i % 7 === 3 ? transaction.abort() : transaction.commit())
  }
  const newest = new Map<string, string>()
  await bus.readAll('t', 0, (records) => {
    assert.ok(records.length < 5_000, `${records.length} records kept`)
    for (const { key, value } of records) newest.set(String(key), value.toString())
  })
  for (let i = 0; i < 10; i++) {
    let last = 4_990 + i
    while (last % 7 === 3) last -= 10
    assert.equal(newest.get(`k${i}`), `${last}`)
  }
  assert.ok([...newest].every(([key, value]) => key.startsWith('k') || value === ''))
})

test('what all groups have committed is freed at once where the chain reads it only once', async () => {
  const bus = new MemoryBus({ freeConsumed: true })
  await bus.createTopic('t', 1)
  const producer = await bus.producer()
  const consumer = await bus.consumer('g')
  await consumer.subscribe('t', async () => {})
  for (let i = 0; i < 3_000; i++) await producer.send('t', 0, [message(`${i}`)])
  const records = await consumer.poll(1 << 20, 0)
  await consumer.commit({ topic: 't', partition: 0 }, records[2_499].offset + 1n, '')
  const log = bus.log('t', 0)
  assert.equal(log.startOffset, 2_500n)
  assert.equal(log.bytes, 500 * 104)
  consumer.seek({ topic: 't', partition: 0 }, 2_998n)
  assert.deepEqual(
    (await consumer.poll(1 << 20, 0)).map(({ value }) => value.toString()),
    ['2998', '2999'],
  )
})
