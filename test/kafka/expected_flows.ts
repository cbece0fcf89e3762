/** Seeded traffic into Kafka, and what must be stored of it. */
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { Bus } from '../../services/core/ports/bus.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { Sink } from '../../services/sink/sink.js'
import { ArrayStore } from '../fakes/array_store.js'
import type { Published } from '../sim/traffic.js'
import type { ServedStore } from '../store/served_store.js'

export async function publish(bus: Bus, traffic: readonly Published[]): Promise<void> {
  const producer = await bus.producer()
  for (const { partition, value } of traffic) await producer.send(TOPICS.segments, partition, [{ key: null, value }])
  await producer.close()
}

/** What the same traffic gives in one process over the memory bus, while connections are still open. */
export async function expectedFlows(traffic: readonly Published[], partitions: number): Promise<string[]> {
  const [bus, store] = [new MemoryBus(), new ArrayStore()]
  await createTopics(bus, partitions)
  await publish(bus, traffic)
  const policy = new FlowPolicy(defaultPolicy('metadata'))
  const common = { bus, clock: SYSTEM_CLOCK }
  const worker = new DecodeWorker({ ...common, group: 'd', protocols: PROTOCOLS, policy, deadLetters: true })
  const sink = new Sink({ ...common, group: 's', store, epoch: 'e' })
  await worker.start()
  await sink.start()
  while ((await worker.step(0)) > 0);
  await worker.stop()
  await sink.drain()
  await bus.close()
  return store.rows.flows.map(({ conn_id, exchange_seq, method, status_code, resource, ts }) =>
    [conn_id, exchange_seq, method, status_code, resource, Math.round(ts)].join(' '),
  )
}

export async function storedFlows(served: Pick<ServedStore, 'rows'>): Promise<string[]> {
  const rows = await served.rows(
    `SELECT toString(conn_id) AS conn_id, exchange_seq, method, status_code, resource, toUnixTimestamp64Micro(ts) AS us
     FROM klartext.flows`,
  )
  return rows.map((row) => [row.conn_id, row.exchange_seq, row.method, row.status_code, row.resource, row.us].join(' '))
}
