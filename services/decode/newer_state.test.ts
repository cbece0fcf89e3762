/** State that a newer decode worker has left: an older one does not throw it away, it waits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededTraffic } from '../../test/sim/traffic.js'
import { MemoryBus } from '../adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../adapters/system/clock.js'
import type { BusRecord } from '../core/ports/bus.js'
import { Random } from '../core/random.js'
import { createTopics, TOPICS } from '../core/topics.js'
import { defaultPolicy, FlowPolicy } from './policy.js'
import { PROTOCOLS } from './protocols/registry.js'
import { DecodeWorker } from './worker.js'

const newWorker = (bus: MemoryBus) =>
  new DecodeWorker({
    bus,
    clock: SYSTEM_CLOCK,
    group: 'decode',
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('metadata')),
    deadLetters: true,
  })

async function states(bus: MemoryBus): Promise<Map<string, BusRecord>> {
  const newest = new Map<string, BusRecord>()
  await bus.readAll(TOPICS.state, 0, (records) => {
    for (const record of records) {
      const key = String(record.key)
      if (record.value.length === 0) newest.delete(key)
      else newest.set(key, record)
    }
  })
  return newest
}

test('the state of a newer worker is neither used nor removed: the partition waits and says why', async () => {
  const bus = new MemoryBus()
  await createTopics(bus, 1)
  const producer = await bus.producer()
  const traffic = seededTraffic(new Random(3), 10, 1)
  for (const { value } of traffic.slice(0, traffic.length >> 1)) {
    await producer.send(TOPICS.segments, 0, [{ key: null, value }])
  }
  const first = newWorker(bus)
  await first.start()
  while ((await first.step(0)) > 0);
  await first.stop()
  let open = 0
  const make = bus.producer.bind(bus)
  bus.producer = async (options) => {
    const made = await make(options)
    const close = made.close.bind(made)
    open += 1
    made.close = async () => {
      open -= 1
      await close()
    }
    return made
  }
  const left = await states(bus)
  assert.ok(left.size > 2, 'connections are open')
  for (const name of ['clock', [...left.keys()].find((key) => key !== 'clock') as string]) {
    const { key, value } = left.get(name) as BusRecord
    const newer = Buffer.from(value)
    newer[0] += 1
    await producer.send(TOPICS.state, 0, [{ key, value: newer }])
    const second = newWorker(bus)
    await second.start()
    await second.step(0)
    assert.match(
      second.notReady ?? '',
      /^partition 0 is not taken yet: .* has version \d+, this klartext knows up to \d+: update it first$/,
    )
    // It is tried again and again, and holds nothing of the tries before.
    assert.equal(open, 0)
    await second.stop()
    assert.equal((await states(bus)).size, left.size)
    await producer.send(TOPICS.state, 0, [{ key, value }])
  }
  const third = newWorker(bus)
  await third.start()
  await third.step(0)
  assert.equal(third.notReady, null)
  assert.ok(third.metrics.restoredConnections > 0)
  assert.equal(third.metrics.statesDiscarded, 0)
  await third.stop()
})
