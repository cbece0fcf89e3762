import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DrivenClock } from '../../test/fakes/clock.js'
import { identity } from '../../test/fakes/identities.js'
import { MemoryBus } from '../adapters/memory/bus.js'
import { PodTable } from '../adapters/memory/pod_table.js'
import type { Identity } from '../core/pods.js'
import { createTopics, TOPICS } from '../core/topics.js'
import { encodeFollowed, encodeIdentity, POD_SCHEMA_ID, podKey } from '../core/wire/pods.js'
import { PodFeed } from './pod_feed.js'

const S = 1_000_000
const HOUR_S = 3600

async function world() {
  const clock = new DrivenClock()
  const startUs = clock.nowUs()
  const bus = new MemoryBus({ nowMs: () => clock.nowMs })
  await createTopics(bus, 1)
  const producer = await bus.producer()
  const send = (key: Buffer, value: Buffer | null) => producer.send(TOPICS.pods, 0, [{ key, value }])
  return {
    clock,
    /** µs since 1970 of a second of this world. */
    at: (second: number) => startUs + second * S,
    pass: (seconds: number) => clock.advance(seconds * 1000),
    put: (one: Identity) => send(podKey('lab', one.key), encodeIdentity(one)),
    drop: (key: string) => send(podKey('lab', key), null),
    newer: (one: Identity) => {
      const value = encodeIdentity(one)
      value.writeInt32BE(POD_SCHEMA_ID + 1, 1)
      return send(podKey('lab', one.key), value)
    },
    garbage: () => send(podKey('lab', 'x'), Buffer.from('{"kind":"pod"}')),
    follow: (cluster = 'lab') =>
      send(podKey(cluster, ''), encodeFollowed({ cluster, network: '', untilUs: clock.nowUs() })),
    feed: () => {
      const table = new PodTable()
      return { table, feed: new PodFeed({ bus, clock, pods: table, waitMs: 3000 }) }
    },
  }
}

test('what a directory has told before it says how far it came is there when that was read', async () => {
  const { at, pass, put, follow, feed: make } = await world()
  const { feed, table } = make()
  await put(identity('a', {}))
  await follow()
  assert.equal(feed.isReady('lab', at(0), at(0)), false, 'nothing was read yet')
  await feed.step()
  assert.equal(feed.isReady('lab', at(0), at(0)), true)
  assert.equal(feed.isReady('lab', at(3), at(0)), false)
  pass(2)
  await put(identity('b', { addresses: ['10.1.0.2'] }))
  pass(2)
  await follow()
  await feed.step()
  assert.equal(feed.isReady('lab', at(3), at(0)), true)
  assert.equal(feed.isReady('lab', at(5), at(2)), false)
  const named = (known: number) => table.at(at(known)).byAddress('lab', '10.1.0.2', at(0))
  assert.equal(named(1), 'nobody')
  assert.equal((named(2) as Identity).name, 'b')
  assert.equal(feed.given, 0)
})

test('a cluster that nobody follows is not waited for, nor a directory that has stopped, nor a clock that is ahead', async () => {
  const { at, pass, put, follow, feed: make } = await world()
  const { feed } = make()
  await put(identity('a', {}))
  await feed.step()
  assert.equal(feed.isReady('other', at(3), at(0)), true)
  assert.equal(feed.isReady('other', at(4), at(1)), false, 'its directory may have begun since the last reading')
  assert.equal(feed.isReady('lab', at(3), at(0)), false, 'told of: its directory has just begun')
  await follow()
  await feed.step()
  pass(4)
  await feed.step()
  assert.equal(feed.isReady('lab', at(3), at(0)), false)
  pass(1)
  assert.equal(feed.isReady('lab', at(3), at(0)), false, 'what came in the last second was not read yet')
  await feed.step()
  assert.equal(feed.isReady('lab', at(3), at(0)), true)
  assert.equal(feed.isReady('lab', at(9000), at(0)), false)
  pass(3)
  assert.equal(feed.isReady('lab', at(9000), at(0)), true)
  assert.equal(feed.given, 2)
})

test('messages that nobody can read are counted, and those without a value take identities away', async () => {
  const { at, put, garbage, drop, follow, feed: make } = await world()
  const { feed, table } = make()
  await garbage()
  await put(identity('a', {}))
  await put(identity('b', { addresses: ['10.1.0.2'] }))
  await drop('a')
  await follow()
  await feed.step()
  assert.deepEqual([feed.unreadable, feed.records, table.size], [1, 5, 1])
  assert.equal(table.at().byAddress('lab', '10.1.0.1', at(1)), 'unknown', 'not followed so far')
  assert.equal(table.at().byAddress('lab', '10.1.0.1', at(0)), 'nobody')
})

test('what is long past is dropped, and read again for whoever comes with old messages', async () => {
  const { at, pass, put, follow, feed: make } = await world()
  await put(identity('a', { workload: 'first' }))
  await follow()
  pass(60)
  await put(identity('a', { workload: 'second', validToUs: at(50) }))
  await follow()
  pass(10 * HOUR_S)
  await put(identity('new', { addresses: ['10.1.0.2'] }))
  await follow()
  const { feed, table } = make()
  await feed.step()
  pass(120)
  await feed.step()
  assert.equal(table.size, 1)
  // A worker that is ten hours behind.
  assert.equal(feed.isReady('lab', at(30), at(0)), false)
  await feed.step()
  assert.equal(feed.isReady('lab', at(30), at(0)), true)
  const workload = (known: number) => (table.at(at(known)).byAddress('lab', '10.1.0.1', at(0)) as Identity).workload
  assert.deepEqual([workload(59), workload(60)], ['first', 'second'])
  // It has caught up.
  feed.release(at(10 * HOUR_S + 60))
  pass(120)
  await feed.step()
  assert.equal(table.size, 1)
})

test('of what is long known only the newest is read, and those who ask for older times still get theirs', async () => {
  const { at, pass, put, drop, follow, feed: make } = await world()
  const workloads = ['first', 'second', 'third']
  for (const workload of workloads) await put(identity('a', { workload }))
  await put(identity('gone', { addresses: ['10.1.0.2'] }))
  await drop('gone')
  await follow()
  pass(3 * HOUR_S)
  for (const workload of ['fourth', 'fifth']) await put(identity('a', { workload }))
  await follow()
  const { feed, table } = make()
  const read: string[] = []
  const keep = table.put.bind(table)
  table.put = (one, knownUs) => {
    read.push(one.workload)
    keep(one, knownUs)
  }
  await feed.step()
  assert.deepEqual([read, feed.records], [['third', 'fourth', 'fifth'], 9])
  const named = (known: number) => table.at(at(known)).byAddress('lab', '10.1.0.1', at(0))
  assert.equal((named(3 * HOUR_S - 1) as Identity).workload, 'third')
  assert.equal((named(3 * HOUR_S) as Identity).workload, 'fifth')
  assert.equal(table.at(at(3 * HOUR_S)).byAddress('lab', '10.1.0.2', at(0)), 'nobody')
  feed.release(at(0) - S)
  assert.equal(feed.isReady('lab', at(0) - S, at(0)), false)
  read.length = 0
  await feed.step()
  assert.deepEqual(read, [...workloads, 'gone', 'fourth', 'fifth'])
})

test('what is long known counts by its time, also where the clock of a new leader was behind', async () => {
  const { at, pass, put, drop, follow, feed: make } = await world()
  pass(10)
  await put(identity('a', { workload: 'second' }))
  await put(identity('gone', { addresses: ['10.1.0.2'] }))
  pass(-2)
  await put(identity('a', { workload: 'first' }))
  await drop('gone')
  await follow()
  pass(3 * HOUR_S)
  const { feed, table } = make()
  await feed.step()
  const named = (address: string) => table.at(at(HOUR_S)).byAddress('lab', address, at(0))
  assert.equal((named('10.1.0.1') as Identity).workload, 'second')
  assert.equal(named('10.1.0.2'), 'nobody')
})

test('what a newer directory wrote is not passed over: names stay as they are', async () => {
  const { at, put, newer, feed: make } = await world()
  const { feed, table } = make()
  await put(identity('a', { addresses: ['10.1.0.1'] }))
  await newer(identity('b', { addresses: ['10.1.0.2'] }))
  await put(identity('c', { addresses: ['10.1.0.3'] }))
  for (let i = 0; i < 2; i++) await assert.rejects(feed.step(), { code: 'SCHEMA_NEWER' })
  assert.equal(feed.unreadable, 0)
  const named = (address: string) => table.at(at(1)).byAddress('lab', address, at(1))
  assert.equal((named('10.1.0.1') as Identity).name, 'a')
  assert.equal(named('10.1.0.3'), 'nobody')
})
