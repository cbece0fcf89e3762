/** What the tests of replays share: traffic with real times, the live chain over a bus, rows to compare. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ArchiveWriter } from '../../services/adapters/archive/writer.js'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { KlartextError } from '../../services/core/errors.js'
import type { Bus } from '../../services/core/ports/bus.js'
import type { JobQueue } from '../../services/core/ports/jobs.js'
import type { SegmentLog } from '../../services/core/ports/segment_log.js'
import type { Store } from '../../services/core/ports/store.js'
import { Random } from '../../services/core/random.js'
import type { ReplayBlocks, ReplayRequest } from '../../services/core/replay.js'
import { Segment, SegmentFlag } from '../../services/core/segment.js'
import { TOPICS } from '../../services/core/topics.js'
import { decodeSegmentBatch, SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { ReplayWorker } from '../../services/replay/worker.js'
import { Sink } from '../../services/sink/sink.js'
import { seededTraffic } from '../sim/traffic.js'

export interface Sent {
  readonly partition: number
  readonly value: Buffer
  /** Capture time of its first segment, µs; what cannot be read has that of the message before. */
  readonly timeUs: number
}

/**
 * Seeded conversations spread over `spanUs` from `startUs` on, as capturers send them: the first segment of each connection
 * says that it is the first.
 */
export function timedTraffic(
  seed: number,
  connections: number,
  partitions: number,
  startUs: number,
  spanUs: number,
): Sent[] {
  const traffic = seededTraffic(new Random(seed), connections, partitions)
  const times: number[] = []
  for (const { value } of traffic) for (const { timeUs } of segmentsOf(value)) times.push(timeUs)
  const first = Math.min(...times)
  const scale = spanUs / Math.max(1, Math.max(...times) - first)
  const opened = new Set<bigint>()
  let timeUs = startUs
  return traffic.map(({ partition, value }) => {
    const segments = segmentsOf(value)
    if (segments.length === 0) return { partition, value, timeUs }
    const writer = new SegmentBatchWriter({ cluster: 'sim', node: 'n', bootId: '', capturerVersion: '0', sequence: 0 })
    for (const each of segments) {
      const { connection, direction, position, length, payload, flags } = each
      const isFirst = !opened.has(connection.id)
      opened.add(connection.id)
      const at = startUs + Math.floor((each.timeUs - first) * scale)
      const marked = isFirst ? flags | SegmentFlag.OPEN : flags
      writer.add(new Segment(connection, direction, position, length, payload, at, 0, marked))
    }
    timeUs = startUs + Math.floor((segments[0].timeUs - first) * scale)
    return { partition, value: writer.finish(), timeUs }
  })
}

/** None of a message that cannot be read. */
export function segmentsOf(value: Buffer): Segment[] {
  try {
    return decodeSegmentBatch(value).segments
  } catch (error) {
    if ((error as KlartextError).code !== 'BAD_SEGMENT_BATCH') throw error
    return []
  }
}

/** As capturers do it: sent a moment after the capture. */
export async function send(bus: Bus, traffic: readonly Sent[]): Promise<void> {
  const producer = await bus.producer()
  for (const { partition, value, timeUs } of traffic) {
    await producer.send(TOPICS.segments, partition, [{ key: null, value, timestampMs: Math.floor(timeUs / 1000) + 5 }])
  }
  await producer.close()
}

export function writeArchive(path: string, traffic: readonly Sent[]): void {
  const archive = new ArchiveWriter(path)
  for (const { value } of traffic) archive.append(value)
  archive.close()
}

export const policy = () => new FlowPolicy(defaultPolicy('metadata'))

/**
 * Decode worker and sink until all of klartext.segments is stored. `end`: what is open then stays open, or is handed over as
 * where the input ends for good.
 */
export async function runLive(bus: Bus, store: Store, end: 'open' | 'over'): Promise<void> {
  const common = { bus, clock: SYSTEM_CLOCK }
  const worker = new DecodeWorker({
    ...common,
    group: 'klartext-decode',
    protocols: PROTOCOLS,
    policy: policy(),
    deadLetters: true,
    tickMs: 50,
  })
  const sink = new Sink({ ...common, group: 'klartext-sink', store, epoch: 'live', limits: { ageMs: 50 } })
  await sink.start()
  await worker.start()
  const running = [worker.run(), sink.run()]
  await until('all is decoded', () => isConsumed(bus, 'klartext-decode', TOPICS.segments))
  await (end === 'open' ? worker.stop() : worker.drain())
  for (const topic of [TOPICS.flows, TOPICS.connections]) {
    await until(`${topic} is stored`, () => isConsumed(bus, 'klartext-sink', topic))
  }
  await sink.drain()
  await Promise.all(running)
}

/** The group has committed all that can be read of the topic, with nothing in hand. */
async function isConsumed(bus: Bus, group: string, topic: string): Promise<boolean> {
  const reader = await bus.consumer(group)
  try {
    for (let partition = 0; partition < (await bus.partitions(topic)); partition++) {
      let last = -1n
      await bus.readAll(topic, partition, (records) => {
        last = records.at(-1)?.offset ?? last
      })
      const { offset, metadata } = await reader.committed({ topic, partition })
      if (last >= 0n && (offset <= last || metadata !== '')) return false
    }
    return true
  } finally {
    await reader.close()
  }
}

export async function openStore(): Promise<{ store: ChdbStore; folder: string; close(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-replay-'))
  const store = await ChdbStore.open(join(folder, 'data'))
  return {
    store,
    folder,
    close: async () => {
      await store.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Rows as text, sorted, without the columns that are the ledger of whoever stored them. */
export async function rows(
  store: Store,
  table: string,
  condition = '1',
  without = ['in_partition', 'batch_first'],
): Promise<string[]> {
  const columns = `* EXCEPT(${without.join(', ')})`
  const sql = `SELECT ${columns} FROM klartext.${table} WHERE ${condition}`
  const text = (await store.query(sql, 'JSONEachRow')).toString('utf8')
  return text.split('\n').filter(Boolean).sort()
}

/** Small, so that there is much to go wrong between two blocks. */
export const SMALL_BLOCKS: ReplayBlocks = { rows: 150, inputBytes: 40_000 }

export function replayWorker(
  store: Store,
  queue: JobQueue,
  log: (request: ReplayRequest) => SegmentLog,
  onError: (error: unknown) => void = () => {},
): ReplayWorker {
  return new ReplayWorker({
    store,
    queue,
    clock: SYSTEM_CLOCK,
    protocols: PROTOCOLS,
    policy: policy(),
    takes: () => true,
    log,
    checkpointUs: 0,
    lookMs: 200,
    cancelMs: 50,
    onError,
  })
}

const PATIENCE_MS = 60_000

export async function until(what: string, holds: () => Promise<boolean>, patienceMs = PATIENCE_MS): Promise<void> {
  for (const end = Date.now() + patienceMs; !(await holds()); ) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`)
    await SYSTEM_CLOCK.sleep(30)
  }
}
