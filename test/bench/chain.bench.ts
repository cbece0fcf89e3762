/**
 * npm run bench -- chain [EXCHANGES]: segments that lie in the bus -> decode worker -> flows in the bus -> sink -> rows in chDB,
 * through the product's own classes on the memory bus, each step alone, then both together, as `klartext up` runs them. Then
 * what checkpoints cost, and the same chain over Kafka in processes of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { Bus, BusRecord } from '../../services/core/ports/bus.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { decodeFlow } from '../../services/core/wire/flow.js'
import { decodeSegmentBatch } from '../../services/core/wire/segment_batch.js'
import { DecodePipeline } from '../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { Sink } from '../../services/sink/sink.js'
import { kafkaChain } from './chain/kafka_chain.js'
import { stateCosts } from './chain/state_cost.js'
import { batches, CONNECTIONS } from './chain/traffic.js'

const POLICY = () => new FlowPolicy(defaultPolicy('metadata'))

async function filledBus(segments: readonly Buffer[]): Promise<MemoryBus> {
  const bus = new MemoryBus({ partitionBytesMax: 8 * 2 ** 30, sessionMs: 1e12, transactionMs: 1e12 })
  await createTopics(bus, 1)
  const producer = await bus.producer()
  for (const value of segments) await producer.send(TOPICS.segments, 0, [{ key: null, value }])
  return bus
}

const worker = (bus: Bus) =>
  new DecodeWorker({
    bus,
    clock: SYSTEM_CLOCK,
    group: 'decode',
    protocols: PROTOCOLS,
    policy: POLICY(),
    deadLetters: true,
  })

const sink = (bus: Bus, store: ChdbStore, epoch: string) =>
  new Sink({ bus, store, clock: SYSTEM_CLOCK, group: 'sink', epoch })

interface Timed<T> {
  readonly seconds: number
  /** Of this process, all threads: what counts where others use the machine too. The engine of chDB is another process. */
  readonly cpuSeconds: number
  readonly result: T
}

async function timed<T>(work: () => T | Promise<T>): Promise<Timed<T>> {
  const begun = process.hrtime.bigint()
  const cpu = process.cpuUsage()
  const result = await work()
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9
  const { user, system } = process.cpuUsage(cpu)
  return { seconds, cpuSeconds: (user + system) / 1e6, result }
}

export async function main(words: readonly string[]): Promise<number> {
  const exchanges = Number(words[0] ?? 400_000)
  const segments = batches(exchanges)
  const rate = (seconds: number) => `${(exchanges / seconds / 1000).toFixed(0).padStart(4)} k/s`
  const say = (label: string, { seconds, cpuSeconds }: Timed<unknown>) =>
    console.log(
      `${label.padEnd(62)} ${seconds.toFixed(2).padStart(6)} s ${rate(seconds)}   CPU ${cpuSeconds.toFixed(2).padStart(6)} s ${rate(cpuSeconds)}`,
    )
  console.log(
    `${exchanges} exchanges in ${segments.length} messages, ${CONNECTIONS} connections, one partition, one thread`,
  )

  const wire = await timed(() => {
    for (const value of segments) decodeSegmentBatch(value)
  })
  say('segment batches read (Avro)', wire)
  const bare = await timed(() => {
    const pipeline = new DecodePipeline({
      protocols: PROTOCOLS,
      policy: POLICY(),
      onFlow: () => {},
      onConnection: () => {},
    })
    for (const value of segments) pipeline.push(decodeSegmentBatch(value).segments)
    pipeline.finish()
  })
  say('  and decoded, no bus', bare)

  const bus = await filledBus(segments)
  const decoding = await timed(async () => {
    const decoder = worker(bus)
    await decoder.start()
    await decoder.drain()
    return decoder.metrics
  })
  say('decode worker, bus to bus: flows (Avro), state, transactions', decoding)
  const { flows, transactions, stateMessages, stateBytes } = decoding.result
  const perTransaction = Math.round(stateMessages / transactions)
  console.log(
    `  ${flows} flows in ${transactions} transactions, each with ${perTransaction} states; ` +
      `${stateMessages} states, ${(stateBytes / 2 ** 20).toFixed(1)} MiB`,
  )
  const read = await timed(async () => {
    let records: readonly BusRecord[] = []
    await bus.readAll(TOPICS.flows, 0, (some) => {
      records = some
    })
    for (const { value } of records) decodeFlow(value)
  })
  say('flows read (Avro)', read)

  const dataDir = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  const store = await ChdbStore.open(dataDir)
  try {
    const storing = await timed(async () => {
      const storer = sink(bus, store, 'alone')
      await storer.start()
      await storer.drain()
    })
    say('sink, bus to chDB with rollups', storing)
    const whole = await filledBus(segments)
    const together = await timed(async () => {
      const [decoder, storer] = [worker(whole), sink(whole, store, 'together')]
      await storer.start()
      await decoder.start()
      const running = storer.run()
      await decoder.drain()
      await storer.drain()
      await running
    })
    say('both together: segments in the bus -> rows queryable', together)
    const count = (await store.query('SELECT count() FROM klartext.flows', 'TSV')).toString().trim()
    if (Number(count) !== 2 * flows || flows !== exchanges) {
      console.error(`${count} rows are stored, ${2 * exchanges} were expected`)
      return 1
    }
  } finally {
    await store.close()
    rmSync(dataDir, { recursive: true, force: true })
  }
  stateCosts()
  return kafkaChain(segments, exchanges)
}
