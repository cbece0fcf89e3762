/**
 * npm run bench -- chain [EXCHANGES]: segments that lie in the bus -> decode worker -> flows in the bus -> sink -> rows in chDB,
 * through the product's own classes on the memory bus. Each step alone, then both together, as `klartext up` runs them.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { Bus, BusRecord } from '../../services/core/ports/bus.js'
import { ConnectionInfo, Segment } from '../../services/core/segment.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { decodeFlow } from '../../services/core/wire/flow.js'
import { decodeSegmentBatch, SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import { DecodePipeline } from '../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { Sink } from '../../services/sink/sink.js'

const CONNECTIONS = 400
const BATCH_BYTES = 256 << 10
const HEADER = { cluster: 'bench', node: 'bench', bootId: '', capturerVersion: '0', sequence: 0 }
const BODY = '{"items":[1,2,3],"next":"/v1/items?page=2"}'.padEnd(240, ' ')
const POLICY = () => new FlowPolicy(defaultPolicy('metadata'))

/** Keep-alive HTTP/1 as capturers publish it: one segment per call of the TLS library. */
function batches(exchanges: number): Buffer[] {
  const infos = Array.from({ length: CONNECTIONS }, (_, i) => {
    const info = new ConnectionInfo((BigInt(i) << 32n) | 1n)
    return Object.assign(info, {
      side: 'server',
      source: 'openssl',
      clientIp: '10.0.0.1',
      clientPort: 20_000 + i,
      serverIp: '10.99.0.1',
      serverPort: 443,
      comm: 'nginx',
    })
  })
  const positions = infos.map(() => [0, 0])
  const all: Buffer[] = []
  let writer = new SegmentBatchWriter(HEADER)
  let timeUs = Date.now() * 1000
  const say = (connection: number, direction: 0 | 1, text: string) => {
    const payload = Buffer.from(text)
    timeUs += 3
    const position = positions[connection][direction]
    writer.add(new Segment(infos[connection], direction, position, payload.length, payload, timeUs, 0, 0))
    positions[connection][direction] += payload.length
  }
  for (let i = 0; i < exchanges; i++) {
    const connection = i % CONNECTIONS
    say(
      connection,
      0,
      `GET /v1/items/${i}?page=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n\r\n`,
    )
    say(
      connection,
      1,
      `HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\nX-Request-Id: ${i}\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
    )
    if (writer.payloadBytes > BATCH_BYTES) {
      all.push(writer.finish())
      writer = new SegmentBatchWriter(HEADER)
    }
  }
  if (writer.segmentCount > 0) all.push(writer.finish())
  return all
}

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
  const state = await timed(() => stateCost(segments))
  console.log(
    `  one checkpoint of all ${CONNECTIONS} connections: ${state.result.ms.toFixed(2)} ms, ` +
      `${Math.round(state.result.bytes / CONNECTIONS)} bytes each; four a second: ${((state.result.ms * 4) / 10).toFixed(1)} % of a core`,
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
  return 0
}

/** What it costs to write down all connections once, in the middle of their traffic. */
function stateCost(segments: readonly Buffer[]): { ms: number; bytes: number } {
  const pipeline = new DecodePipeline({
    protocols: PROTOCOLS,
    policy: POLICY(),
    onFlow: () => {},
    onConnection: () => {},
  })
  pipeline.keepChanges()
  let ms = 0
  let bytes = 0
  const rounds = Math.min(20, segments.length)
  for (let i = 0; i < rounds; i++) {
    pipeline.push(decodeSegmentBatch(segments[i]).segments, i)
    const begun = process.hrtime.bigint()
    const entries = pipeline.takeCheckpoint()
    ms += Number(process.hrtime.bigint() - begun) / 1e6
    bytes = entries.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
  }
  return { ms: ms / rounds, bytes }
}
