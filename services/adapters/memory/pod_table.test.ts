import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identity } from '../../../test/fakes/identities.js'
import { PodTable } from './pod_table.js'

const S = 1_000_000

test('an address is whose it was at the time', () => {
  const table = new PodTable()
  table.put(identity('a', { validFromUs: 10 * S, validToUs: 20 * S }))
  table.put(identity('b', { validFromUs: 22 * S }))
  const at = (second: number) => table.byAddress('lab', '10.1.0.1', second * S)?.name ?? null
  assert.deepEqual([9, 10, 19.9, 20, 21, 22, 900].map(at), [null, 'a', 'a', null, null, 'b', 'b'])
  assert.equal(table.byAddress('other', '10.1.0.1', 15 * S), null)
})

test('the next life ends one whose end is not known yet, in whatever order they are heard of', () => {
  for (const order of [
    ['a', 'b'],
    ['b', 'a'],
  ]) {
    const table = new PodTable()
    for (const name of order) table.put(identity(name, { validFromUs: (name === 'a' ? 10 : 20) * S }))
    assert.equal(table.byAddress('lab', '10.1.0.1', 15 * S)?.name, 'a')
    assert.equal(table.byAddress('lab', '10.1.0.1', 25 * S)?.name, 'b')
  }
})

test('where two known lives overlap nobody is named', () => {
  const table = new PodTable()
  table.put(identity('a', { validFromUs: 10 * S, validToUs: 21 * S }))
  table.put(identity('b', { validFromUs: 20 * S }))
  assert.equal(table.byAddress('lab', '10.1.0.1', 20.5 * S), null)
  assert.equal(table.byAddress('lab', '10.1.0.1', 21 * S)?.name, 'b')
})

test('what is known of an identity is replaced, and its old address is free', () => {
  const table = new PodTable()
  table.put(identity('a', {}))
  table.put(identity('a', { addresses: ['10.1.0.2'], containers: [{ id: 'c1', name: 'app' }] }))
  assert.equal(table.byAddress('lab', '10.1.0.1', 15 * S), null)
  assert.equal(table.byAddress('lab', '10.1.0.2', 15 * S)?.name, 'a')
  assert.equal(table.byContainer('c1')?.name, 'a')
  assert.equal(table.size, 1)
})

test('identities leave an hour after their end', () => {
  const table = new PodTable()
  table.put(identity('a', { validToUs: 20 * S, containers: [{ id: 'c1', name: 'app' }] }))
  table.expire(3600 * S)
  assert.equal(table.size, 1)
  table.expire(3621 * S)
  assert.equal(table.size, 0)
  assert.equal(table.byContainer('c1'), null)
  assert.equal(table.byAddress('lab', '10.1.0.1', 15 * S), null)
})
