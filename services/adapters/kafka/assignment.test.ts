import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assign, decodeAssignment, decodeSubscriber, encodeAssignment, encodeSubscriber } from './assignment.js'

const subscriber = (memberId: string, had: Record<string, number[]> = {}, generation = 1) => ({
  memberId,
  topics: ['t'],
  had,
  generation,
})
const of = (assigned: Map<string, Record<string, number[]>>) =>
  Object.fromEntries([...assigned].map(([id, topics]) => [id, topics.t]))

test('a member that comes takes as few partitions as it must, one that goes leaves the rest alone', () => {
  const two = assign([subscriber('a', { t: [0, 1, 2, 3, 4] }), subscriber('b')], () => 5)
  assert.deepEqual(of(two), { a: [0, 1, 2], b: [3, 4] })
  const three = assign([subscriber('a', { t: [0, 1, 2] }), subscriber('b', { t: [3, 4] }), subscriber('c')], () => 5)
  assert.deepEqual(of(three), { a: [0, 1], b: [3, 4], c: [2] })
  const left = assign([subscriber('b', { t: [3, 4] }), subscriber('c', { t: [2] })], () => 5)
  assert.deepEqual(of(left), { b: [1, 3, 4], c: [0, 2] })
})

test('a claim of an older generation yields; partitions that are not there are nobody’s', () => {
  const assigned = assign([subscriber('a', { t: [0, 1] }, 4), subscriber('b', { t: [1, 0, 9] }, 5)], () => 2)
  assert.deepEqual(of(assigned), { b: [1], a: [0] })
})

test('more members than partitions, and random histories: each partition once, shares differ by at most one', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const count = (seed * 7) % 13
    const members = Array.from({ length: 1 + (seed % 5) }, (_, i) =>
      subscriber(`m${i}`, { t: Array.from({ length: (seed * (i + 3)) % 9 }, (_, k) => (k * seed + i) % 15) }, i % 3),
    )
    const shares = Object.values(of(assign(members, () => count)))
    assert.deepEqual(
      shares.flat().sort((a, b) => a - b),
      Array.from({ length: count }, (_, partition) => partition),
    )
    const sizes = shares.map((share) => share.length)
    assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1)
  }
})

test('what travels comes back; what another client wrote into its own data is no history', () => {
  const bytes = encodeSubscriber({ topics: ['t'], had: { t: [1] }, generation: 3 })
  assert.deepEqual(decodeSubscriber('a', bytes), subscriber('a', { t: [1] }, 3))
  assert.deepEqual(decodeAssignment(encodeAssignment({ t: [4, 5] })), { t: [4, 5] })
  assert.deepEqual(decodeAssignment(Buffer.alloc(0)), {})
})
