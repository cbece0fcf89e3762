import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DrivenClock } from '../../test/fakes/clock.js'
import { seededTraffic } from '../../test/sim/traffic.js'
import { MemoryBus } from '../adapters/memory/bus.js'
import { Random } from '../core/random.js'
import { createTopics, TOPICS } from '../core/topics.js'
import { defaultPolicy, FlowPolicy } from './policy.js'
import { PROTOCOLS } from './protocols/registry.js'
import { DecodeWorker } from './worker.js'

const TICK_MS = 200

test('a wall clock that is set back keeps no transaction waiting', async () => {
  const clock = new DrivenClock()
  const bus = new MemoryBus({ nowMs: () => clock.elapsedMs() })
  await createTopics(bus, 1)
  const worker = new DecodeWorker({
    bus,
    clock,
    group: 'decode',
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('metadata')),
    deadLetters: true,
    tickMs: TICK_MS,
  })
  await worker.start()
  await worker.step(0)
  const producer = await bus.producer()
  const values = seededTraffic(new Random(3), 10, 1).map(({ value }) => ({ key: null, value }))
  await producer.send(TOPICS.segments, 0, values)
  clock.set(-3_600_000)
  clock.advance(TICK_MS)
  for (let i = 0; i < 5; i++) await worker.step(0)
  assert.equal(worker.positions()[0].committed, BigInt(values.length))
  await worker.stop()
})
