/** What simulation and chaos run are made of is what it says: each exchange of a conversation is one whole flow. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { Random } from '../../services/core/random.js'
import type { Segment } from '../../services/core/segment.js'
import { Line } from '../fakes/conversations/line.js'
import { TALKS } from '../fakes/conversations/talks.js'
import { run } from '../fakes/hand_over.js'

for (const talk of TALKS) {
  test(`${talk}: every exchange of a long conversation is a flow, through hand-overs at any place`, () => {
    const random = new Random(9)
    const line = new Line(random, talk, 3, 400)
    const segments: Segment[] = []
    for (let us = 1_790_000_000_000_000; ; us += 100) {
      const segment = line.next(us)
      if (segment === null) break
      segments.push(segment)
    }
    const { flows, connections } = run(segments, () => random.chance(0.02))
    assert.equal(flows.length, line.exchanges)
    assert.ok(flows.length >= 400)
    assert.deepEqual(new Set(flows.map(({ protocol }: Flow) => protocol)), new Set([talk]))
    assert.deepEqual(new Set(flows.map(({ complete }: Flow) => complete)), new Set([1]))
    assert.equal(connections.length, 1)
  })
}
