/** The same segments through the same workers and sink when nothing happens to them: one process, memory bus, a fresh store. */
import type { ChdbStore } from '../../services/adapters/chdb/store.js'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { Bus, BusRecord } from '../../services/core/ports/bus.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { Sink } from '../../services/sink/sink.js'

/** Everything the log of klartext.segments holds, partition by partition. */
export async function publishedSegments(bus: Bus): Promise<BusRecord[][]> {
  const partitions: BusRecord[][] = []
  for (let partition = 0; partition < (await bus.partitions(TOPICS.segments)); partition++) {
    const records: BusRecord[] = []
    await bus.readAll(TOPICS.segments, partition, (some) => records.push(...some))
    partitions.push(records)
  }
  return partitions
}

export async function runUndisturbed(segments: readonly BusRecord[][], store: ChdbStore): Promise<MemoryBus> {
  const bus = new MemoryBus({ partitionBytesMax: 2 ** 34, sessionMs: 1e12, transactionMs: 1e12 })
  await createTopics(bus, segments.length)
  const producer = await bus.producer()
  for (const [partition, records] of segments.entries()) {
    for (const { key, value, offset, timestampMs } of records) {
      const at = await producer.send(TOPICS.segments, partition, [
        { key, value, ...(timestampMs === undefined ? {} : { timestampMs }) },
      ])
      if (at !== offset) throw new Error(`partition ${partition}: offset ${offset} is ${at} in memory`)
    }
  }
  const worker = new DecodeWorker({
    bus,
    clock: SYSTEM_CLOCK,
    group: 'decode',
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('metadata')),
    deadLetters: true,
  })
  await worker.start()
  // Not to the end of the input: what is open there is open here.
  for (let idle = 0; idle < 2; ) idle = (await worker.step(0)) === 0 ? idle + 1 : 0
  await worker.stop()
  const sink = new Sink({ bus, store, clock: SYSTEM_CLOCK, group: 'sink', epoch: 'undisturbed' })
  await sink.start()
  await sink.drain()
  return bus
}
