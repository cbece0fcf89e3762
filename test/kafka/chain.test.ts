/**
 * Decode workers and sinks on a real Kafka, while the broker is killed and workers come and go: what is stored is what the
 * same traffic gives over the memory bus when nothing happens.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { Bus } from '../../services/core/ports/bus.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { Sink } from '../../services/sink/sink.js'
import { ArrayStore } from '../fakes/array_store.js'
import { type Published, seededTraffic } from '../sim/traffic.js'
import { ownKafka } from './test_kafka.js'

const PARTITIONS = 3
const CONNECTIONS = 80
const CONSUMED_MS_MAX = 60_000

function newWorker(bus: Bus, errors: unknown[] = []): DecodeWorker {
  return new DecodeWorker({
    bus,
    clock: SYSTEM_CLOCK,
    group: 'decode',
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('metadata')),
    deadLetters: true,
    tickMs: 100,
    onError: (error) => errors.push(error),
  })
}

function newSink(bus: Bus, store: ArrayStore, epoch: string, errors: unknown[] = []): Sink {
  const onError = (error: unknown) => errors.push(error)
  return new Sink({ bus, clock: SYSTEM_CLOCK, group: 'sink', store, epoch, limits: { rows: 50, ageMs: 50 }, onError })
}

async function publish(bus: Bus, traffic: readonly Published[]): Promise<void> {
  const producer = await bus.producer()
  for (const { partition, value } of traffic) await producer.send(TOPICS.segments, partition, [{ key: null, value }])
  await producer.close()
}

async function inMemory(traffic: readonly Published[]): Promise<ArrayStore> {
  const [bus, store] = [new MemoryBus(), new ArrayStore()]
  await createTopics(bus, PARTITIONS)
  await publish(bus, traffic)
  const [worker, sink] = [newWorker(bus), newSink(bus, store, 'memory')]
  await worker.start()
  await sink.start()
  await worker.drain()
  await sink.drain()
  await bus.close()
  return store
}

/** Until the group has committed all that can be read of the topics. */
async function consumed(bus: Bus, group: string, topics: readonly string[]): Promise<void> {
  const reader = await bus.consumer(group)
  for (const until = Date.now() + CONSUMED_MS_MAX; ; await sleep(100)) {
    let left = 0
    for (const topic of topics) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        let last = -1n
        await bus.readAll(topic, partition, (records) => (last = records.at(-1)?.offset ?? last))
        const { offset, metadata } = await reader.committed({ topic, partition })
        if (last >= 0n && (offset <= last || metadata.startsWith('i'))) left += 1
      }
    }
    if (left === 0) break
    assert.ok(Date.now() < until, `${left} partitions of ${topics.join(', ')} are not read to their end`)
  }
  await reader.close()
}

function comparable({ rows }: ArrayStore): unknown {
  return {
    flows: rows.flows.map((flow) => JSON.stringify({ ...flow, batch_first: 0 })).sort(),
    connections: rows.connections.map((row) => JSON.stringify(row)).sort(),
  }
}

const kafka = await ownKafka()

test('a killed broker, workers that come and go, a second sink: the same rows', {
  skip: typeof kafka === 'string' ? kafka : false,
}, async (t) => {
  assert.ok(typeof kafka !== 'string')
  after(() => kafka.stop())
  const traffic = seededTraffic(new Random(7), CONNECTIONS, PARTITIONS)
  const half = Math.floor(traffic.length / 2)
  const expected = await inMemory(traffic)

  const store = new ArrayStore()
  const errors: unknown[] = []
  const buses = await Promise.all([0, 1, 2, 3, 4].map(() => KafkaBus.connect({ brokers: kafka.brokers })))
  const [admin, ...of] = buses
  await createTopics(admin, PARTITIONS)
  const [one, two] = [newWorker(of[0], errors), newWorker(of[1], errors)]
  const [sinkOne, sinkTwo] = [newSink(of[2], store, 'one', errors), newSink(of[3], store, 'two', errors)]
  const begun = Date.now()
  await Promise.all([one.start(), sinkOne.start()])
  const running = [one.run(), sinkOne.run()]
  await publish(admin, traffic.slice(0, half))
  await sleep(500)
  await kafka.kill()
  await kafka.restart()
  await Promise.all([two.start(), sinkTwo.start()])
  running.push(two.run(), sinkTwo.run())
  await publish(admin, traffic.slice(half))
  await sleep(500)
  await one.stop()
  await sinkOne.stop()
  await consumed(admin, 'decode', [TOPICS.segments])
  await two.drain()
  await consumed(admin, 'sink', [TOPICS.flows, TOPICS.connections])
  await sinkTwo.stop()
  await Promise.all(running)
  t.diagnostic(`${store.rows.flows.length} flows in ${Date.now() - begun} ms, ${errors.length} calls tried again`)
  assert.deepEqual(comparable(store), comparable(expected))
  await Promise.all(buses.map((bus) => bus.close()))
})
