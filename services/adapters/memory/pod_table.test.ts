import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identity } from '../../../test/fakes/identities.js'
import type { Identity } from '../../core/pods.js'
import type { Unnamed } from '../../core/ports/pods.js'
import { PodTable } from './pod_table.js'

const S = 1_000_000
const FOR_EVER = Number.POSITIVE_INFINITY
const nameOf = (found: Identity | Unnamed) => (typeof found === 'string' ? found : found.name)

/** Who had 10.1.0.1 of cluster `lab` in these seconds, as known in that one. */
function holders(table: PodTable, seconds: readonly number[], knownS = FOR_EVER): string[] {
  return seconds.map((second) => nameOf(table.at(knownS * S).byAddress('lab', '10.1.0.1', second * S)))
}

test('an address is whose it was at the time', () => {
  const table = new PodTable()
  table.put(identity('a', { validFromUs: 10 * S, validToUs: 20 * S }))
  table.put(identity('b', { validFromUs: 22 * S }))
  assert.deepEqual(holders(table, [9, 10, 19.9, 20, 21, 22, 900]), ['nobody', 'a', 'a', 'nobody', 'nobody', 'b', 'b'])
})

test('the next life ends one whose end is not known yet, in whatever order they are heard of', () => {
  for (const order of [
    ['a', 'b'],
    ['b', 'a'],
  ]) {
    const table = new PodTable()
    for (const name of order) table.put(identity(name, { validFromUs: (name === 'a' ? 10 : 20) * S }))
    // The beginning is a whole second: in it both may have had the address.
    assert.deepEqual(holders(table, [15, 20.5, 21, 25]), ['a', 'unknown', 'b', 'b'])
  }
})

test('where two known lives overlap nobody is named', () => {
  const table = new PodTable()
  table.put(identity('a', { validFromUs: 10 * S, validToUs: 23 * S }))
  table.put(identity('b', { validFromUs: 20 * S }))
  assert.deepEqual(holders(table, [19, 20.5, 22.9, 23]), ['a', 'unknown', 'unknown', 'b'])
})

test('what is known of an identity is replaced, and its old address is free', () => {
  const table = new PodTable()
  table.put(identity('a', {}))
  table.put(identity('a', { addresses: ['10.1.0.2'], containers: [{ id: 'c1', name: 'app' }], podUid: 'u' }))
  const view = table.at()
  assert.deepEqual(holders(table, [15]), ['nobody'])
  assert.equal(nameOf(view.byAddress('lab', '10.1.0.2', 15 * S)), 'a')
  assert.equal(view.byContainer('lab', 'c1')?.name, 'a')
  assert.equal(view.byPod('lab', 'u')?.name, 'a')
  assert.equal(view.byPod('other', 'u'), null)
  assert.equal(table.size, 1)
})

test('a view knows what was known at its time, in whatever order that came in', () => {
  const life = { validFromUs: 10 * S }
  const put = [
    () => table.put(identity('a', { ...life, workload: 'first' }), 100 * S),
    () => table.put(identity('a', { ...life, workload: 'second' }), 200 * S),
    () => table.put(identity('a', { ...life, workload: 'second', validToUs: 30 * S }), 300 * S),
    () => table.put(identity('b', { validFromUs: 40 * S, containers: [{ id: 'c', name: 'x' }] }), 300 * S),
  ]
  let table = new PodTable()
  for (const order of [
    [0, 1, 2, 3],
    [3, 2, 1, 0],
    [2, 0, 3, 1],
  ]) {
    table = new PodTable()
    for (const i of order) put[i]()
    const workload = (known: number) => (table.at(known * S).byAddress('lab', '10.1.0.1', 20 * S) as Identity).workload
    assert.deepEqual(holders(table, [20, 50], 99), ['nobody', 'nobody'])
    assert.deepEqual([100, 199, 200, 299, 300].map(workload), ['first', 'first', 'second', 'second', 'second'])
    assert.deepEqual(holders(table, [20, 50], 299), ['a', 'a'])
    assert.deepEqual(holders(table, [20, 35, 50], 300), ['a', 'nobody', 'b'])
    assert.equal(table.at(299 * S).byContainer('lab', 'c'), null)
    assert.equal(table.at(300 * S).byContainer('lab', 'c')?.name, 'b')
  }
})

test('views have one number as long as they know the same', () => {
  const table = new PodTable()
  table.put(identity('a', {}), 100 * S)
  const [before, same] = [table.at(150 * S).number, table.at(199 * S).number]
  assert.equal(before, same)
  table.put(identity('b', {}), 200 * S)
  assert.equal(table.at(199 * S).number, before)
  assert.notEqual(table.at(200 * S).number, before)
  const numbers = new Set([before, table.at(200 * S).number])
  // Heard of late: what it changes must not be taken for what was seen before.
  table.put(identity('c', {}), 120 * S)
  for (const known of [110, 130, 200]) assert.ok(!numbers.has(table.at(known * S).number), String(known))
  const now = table.at(500 * S).number
  table.expire(300 * S)
  assert.equal(table.at(500 * S).number, now)
})

test('beyond what was followed nobody is named by an address; containers still are', () => {
  const table = new PodTable()
  table.put(identity('a', { containers: [{ id: 'c', name: 'x' }] }), 10 * S)
  table.follow({ cluster: 'lab', network: '', untilUs: 50 * S }, 50 * S)
  table.follow({ cluster: 'lab', network: '', untilUs: 60 * S }, 61 * S)
  assert.deepEqual(holders(table, [50, 50.1, 60, 61]), ['a', 'a', 'a', 'unknown'])
  assert.deepEqual(holders(table, [50, 50.1], 60), ['a', 'unknown'])
  assert.deepEqual(holders(table, [40], 49), ['unknown'])
  assert.equal(table.at().byContainer('lab', 'c')?.name, 'a')
})

test('clusters use the same addresses; another one is asked only where the address means the same there', () => {
  const table = new PodTable()
  const put = (cluster: string, name: string, address: string) =>
    table.put(identity(name, { cluster, key: `${cluster}/${name}`, addresses: [address] }))
  for (const cluster of ['a', 'b']) put(cluster, `own-${cluster}`, '10.1.0.1')
  put('b', 'private', '10.1.0.9')
  put('b', 'gateway', '198.41.0.4')
  put('c', 'routed', '10.3.0.1')
  for (const cluster of ['b', 'c', 'd']) table.follow({ cluster, network: 'n1', untilUs: FOR_EVER })
  const of = (cluster: string, address: string) => nameOf(table.at().byAddress(cluster, address, 20 * S))
  assert.deepEqual([of('a', '10.1.0.1'), of('b', '10.1.0.1')], ['own-a', 'own-b'])
  assert.deepEqual([of('a', '10.1.0.9'), of('a', '198.41.0.4')], ['nobody', 'gateway'])
  assert.deepEqual([of('b', '10.3.0.1'), of('c', '10.1.0.9'), of('a', '10.3.0.1')], ['routed', 'private', 'nobody'])
  assert.deepEqual(
    [of('none', '10.1.0.1'), of('none', '198.41.0.4'), of('none', '8.8.8.8')],
    ['unknown', 'gateway', 'unknown'],
  )
  // Two of one network claim it: who is right?
  put('c', 'twice', '10.1.0.9')
  assert.equal(of('d', '10.1.0.9'), 'unknown')
})

test('a cluster that is not followed any more says nothing of addresses it never had', () => {
  const table = new PodTable()
  table.put(identity('gone', { cluster: 'old', addresses: ['198.41.0.4'] }))
  table.follow({ cluster: 'old', network: '', untilUs: 10 * S })
  table.put(identity('a', {}))
  const of = (address: string) => nameOf(table.at().byAddress('lab', address, 20 * S))
  assert.deepEqual([of('198.41.0.4'), of('8.8.8.8')], ['unknown', 'nobody'])
})

test('what such a cluster had counts for an hour, whether or not it was told later or is forgotten', () => {
  const HOUR_S = 3600
  const [never, often] = [new PodTable(), new PodTable()]
  for (const table of [never, often]) {
    for (const cluster of ['lab', 'other']) table.follow({ cluster, network: 'vpc', untilUs: 100 * S }, 100 * S)
    table.put(identity('a', { cluster: 'other', validToUs: 90 * S }), 90 * S)
    table.follow({ cluster: 'lab', network: 'vpc', untilUs: 3 * HOUR_S * S }, 200 * S)
    table.put(identity('b', { cluster: 'other', addresses: ['10.1.0.2'] }), 2 * HOUR_S * S)
  }
  const asked = (table: PodTable, address: string, second: number) =>
    nameOf(table.at(second * S).byAddress('lab', address, (second - 1) * S))
  for (const [second, answer] of [
    [HOUR_S, 'unknown'],
    [HOUR_S + 89, 'unknown'],
    [HOUR_S + 90, 'nobody'],
    [HOUR_S + 200, 'nobody'],
  ] as const) {
    often.expire(second * S)
    for (const table of [never, often]) assert.equal(asked(table, '10.1.0.1', second), answer, `${second}`)
  }
  // Not known yet.
  assert.equal(asked(never, '10.1.0.2', 2 * HOUR_S - 1), 'nobody')
  assert.equal(asked(never, '10.1.0.2', 2 * HOUR_S), 'unknown')
})

test('what nobody will ask any more leaves', () => {
  const table = new PodTable()
  const containers = [{ id: 'c1', name: 'app' }]
  table.put(identity('a', { validToUs: 20 * S, containers, podUid: 'u' }), 10 * S)
  table.put(identity('a', { validToUs: 20 * S, containers, podUid: 'u', service: 's' }), 30 * S)
  table.follow({ cluster: 'lab', network: '', untilUs: 9000 * S }, 9000 * S)
  table.expire(3619 * S)
  assert.equal(table.size, 1)
  assert.deepEqual(holders(table, [10]), ['a'])
  table.expire(3620 * S)
  assert.equal(table.size, 0)
  assert.equal(table.at().byContainer('lab', 'c1'), null)
  assert.equal(table.at().byPod('lab', 'u'), null)
  assert.deepEqual(holders(table, [10]), ['nobody'])
})

test('a removed identity is forgotten at all times', () => {
  const table = new PodTable()
  table.put(identity('a', {}), 10 * S)
  const { number } = table.at()
  table.remove('lab', 'a')
  table.remove('lab', 'never heard of')
  table.remove('nowhere', 'a')
  assert.deepEqual(holders(table, [20]), ['nobody'])
  assert.notEqual(table.at().number, number)
})

test('an address with endless lives keeps the latest', () => {
  const table = new PodTable()
  for (let i = 0; i < 3000; i++) {
    table.put(identity(`p${i}`, { validFromUs: i * S, validToUs: (i + 1) * S }))
  }
  assert.deepEqual(holders(table, [2999, 2500]), ['p2999', 'p2500'])
  assert.deepEqual(holders(table, [100]), ['nobody'])
})

test('another table that is told what can be seen answers alike', () => {
  const table = new PodTable()
  table.follow({ cluster: 'lab', network: 'vpc', untilUs: 50 * S }, 50 * S)
  table.follow({ cluster: 'lab', network: 'vpc', untilUs: 9000 * S }, 9000 * S)
  const lives = { podUid: 'u', containers: [{ id: 'c', name: 'app' }] }
  table.put(identity('a', { ...lives, workload: 'first' }), 100 * S)
  table.put(identity('b', { ...lives, validFromUs: 200 * S }), 200 * S)
  table.put(identity('a', { ...lives, workload: 'second', validToUs: 500 * S }), 200 * S)
  table.put(identity('gone', { addresses: ['10.1.0.2'], validToUs: 300 * S }), 300 * S)
  const known = table.seenFrom(4000 * S)
  const told = known.map(({ record, knownUs }) => [
    record.type === 'identity' ? record.identity.name : record.followed.untilUs / S,
    knownUs / S,
  ])
  assert.deepEqual(told, [
    [50, 50],
    ['b', 200],
    ['a', 200],
    [9000, 9000],
  ])
  table.put(identity('later', {}), 9000 * S)
  assert.equal(known.length, 4)
  const other = new PodTable()
  for (const { record, knownUs } of known) {
    if (record.type === 'identity') other.put(record.identity, knownUs)
    else other.follow(record.followed, knownUs)
  }
  const view = other.at(8999 * S)
  // Of two lives of one pod the one that was told last.
  assert.equal(view.byContainer('lab', 'c')?.name, 'a')
  assert.deepEqual(holders(other, [40, 60], 8999), ['a', 'unknown'])
  assert.deepEqual(holders(other, [199, 201, 501, 9001], 9000), ['a', 'unknown', 'b', 'unknown'])
})
