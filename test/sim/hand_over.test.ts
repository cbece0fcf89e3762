/** Conversations with lost, doubled and swapped segments give the same flows when they change hands at any place. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KlartextError } from '../../services/core/errors.js'
import { Random } from '../../services/core/random.js'
import type { Segment } from '../../services/core/segment.js'
import { decodeSegmentBatch } from '../../services/core/wire/segment_batch.js'
import { run } from '../fakes/hand_over.js'
import { seededTraffic } from './traffic.js'

const SEEDS = 30
/** A request whose exchange was handed over while its body was still coming lost its state here. */
const FOUND = [2462]

function connectionsOf(seed: number): Map<bigint, Segment[]> {
  const connections = new Map<bigint, Segment[]>()
  for (const { value } of seededTraffic(new Random(seed), 14, 3)) {
    try {
      for (const segment of decodeSegmentBatch(value).segments) {
        const { id } = segment.connection
        connections.set(id, [...(connections.get(id) ?? []), segment])
      }
    } catch (error) {
      if (!(error instanceof KlartextError)) throw error
    }
  }
  return connections
}

test('handed over behind every segment, and behind some: the same flows', (t) => {
  let count = 0
  for (const seed of [...FOUND, ...Array.from({ length: SEEDS }, (_, i) => i + 1)]) {
    const random = new Random(seed)
    for (const [id, segments] of connectionsOf(seed)) {
      const expected = run(segments, () => false)
      const what = `seed ${seed}, connection ${id}`
      assert.deepEqual(
        run(segments, () => true),
        expected,
        what,
      )
      assert.deepEqual(
        run(segments, () => random.chance(0.2)),
        expected,
        what,
      )
      count += 1
    }
  }
  t.diagnostic(`${count} connections`)
})
