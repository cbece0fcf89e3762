import assert from 'node:assert/strict'
import { test } from 'node:test'
import { murmur2, partitionOf } from './partitioner.js'

test('murmur2 is that of Kafka (values of its own UtilsTest)', () => {
  for (const [text, hash] of [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ] as const) {
    assert.equal(murmur2(Buffer.from(text)), hash, text)
  }
})

test('connections spread over the partitions, both ends of the number range too', () => {
  const counts = new Array(12).fill(0)
  for (let i = 0n; i < 12_000n; i++) counts[partitionOf(i, 12)] += 1
  assert.ok(Math.min(...counts) > 800 && Math.max(...counts) < 1200, counts.join(' '))
  for (const connId of [0n, 2n ** 64n - 1n]) {
    const partition = partitionOf(connId, 96)
    assert.ok(partition >= 0 && partition < 96)
    assert.equal(partitionOf(connId, 96), partition)
  }
})
