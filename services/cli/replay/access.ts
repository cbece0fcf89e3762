/** Where replays are kept and who runs them: a ClickHouse server with Redis and Kafka, or the embedded store. Wiring only. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ArchiveSegmentLog } from '../../adapters/archive/segment_log.js'
import { ChdbStore, defaultDataDir, storeHolder } from '../../adapters/chdb/store.js'
import { ClickHouseStore } from '../../adapters/clickhouse/store.js'
import { KafkaBus } from '../../adapters/kafka/bus.js'
import { kafkaOptions } from '../../adapters/kafka/config.js'
import { PodTable } from '../../adapters/memory/pod_table.js'
import { BullJobs } from '../../adapters/redis/bull_jobs.js'
import { SYSTEM_CLOCK } from '../../adapters/system/clock.js'
import { KAFKA_KEYS } from '../../core/config/shared.js'
import { KlartextError, UsageError } from '../../core/errors.js'
import type { JobQueue } from '../../core/ports/jobs.js'
import type { PodDirectory } from '../../core/ports/pods.js'
import type { SegmentLog } from '../../core/ports/segment_log.js'
import type { Store } from '../../core/ports/store.js'
import type { ReplayRequest } from '../../core/replay.js'
import { PodFeed } from '../../decode/pod_feed.js'
import { BusSegmentLog } from '../../replay/bus_log.js'
import { ReplayRegistry } from '../../replay/registry.js'
import { REPLAY_QUEUE } from '../../replay/worker.js'
import { type CommandInput, text } from '../command.js'
import { ENDPOINT_FILE } from '../commands/up.js'
import { loadConfig } from '../config_options.js'
import { serverUrl } from '../server_url.js'
import { RECORDING_FILE } from './record.js'

export interface StoreAccess {
  readonly store: Store
  /** `server`: at CLICKHOUSE_URL; `ours`: held by this process; `joined`: another one holds it. */
  readonly kind: 'server' | 'ours' | 'joined'
  readonly dataDir: string
  close(): Promise<void>
}

/** Throws `NO_STORE` where there is none and none is to be made. */
export async function openStore(dataDir: string = defaultDataDir(), make = false): Promise<StoreAccess> {
  const url = serverUrl('CLICKHOUSE_URL')
  if (url !== null) {
    const store = new ClickHouseStore({ url })
    return { store, kind: 'server', dataDir, close: () => store.close() }
  }
  const joined = ChdbStore.join(dataDir)
  if (joined !== null) return { store: joined, kind: 'joined', dataDir, close: () => joined.close() }
  if (!make && !existsSync(join(dataDir, 'store'))) {
    throw new KlartextError('NO_STORE', `nothing is stored in ${dataDir} yet: run klartext up or klartext demo first`)
  }
  const store = await ChdbStore.open(dataDir)
  return { store, kind: 'ours', dataDir, close: () => store.close() }
}

/** The process that runs replays of this folder: a `klartext up`; null where there is none. */
export function runningUp(dataDir: string): number | null {
  const holder = storeHolder(dataDir)
  return holder !== null && existsSync(join(dataDir, ENDPOINT_FILE)) ? holder : null
}

export function registryOf({ store }: StoreAccess): ReplayRegistry {
  return new ReplayRegistry(store, SYSTEM_CLOCK)
}

/** The queue of the replay workers; null where REDIS_URL is not set: whoever runs it finds it in the store. */
export async function openQueue(): Promise<JobQueue | null> {
  const url = serverUrl('REDIS_URL')
  return url === null ? null : BullJobs.open({ url, queue: REPLAY_QUEUE, onFailure: () => {} })
}

/** Where the queue is a help only: without it whoever runs the replay learns it from the store. */
export async function openQueueOrNone(): Promise<JobQueue | null> {
  try {
    return await openQueue()
  } catch (error) {
    if ((error as { code?: string }).code !== 'REDIS_UNREACHABLE') throw error
    process.stderr.write(`${(error as Error).message}; going on without Redis\n`)
    return null
  }
}

export interface OpenLog {
  readonly log: SegmentLog
  /** `''`: klartext.segments. */
  readonly archive: string
  /** What is known of the pods of that time; null for archives: they hold no names. */
  pods(request: ReplayRequest): Promise<PodDirectory | null>
  close(): Promise<void>
}

/** `--archive`; else Kafka, where KAFKA_BROKERS or `--config` names it; else what `klartext up --record` recorded. */
export async function openLog(input: CommandInput, dataDir: string, command: string): Promise<OpenLog> {
  const archive = text(input, 'archive')
  if (archive === undefined && (process.env.KAFKA_BROKERS || text(input, 'config') !== undefined)) {
    const { config } = await loadConfig({ kafka: KAFKA_KEYS }, input)
    const bus = await KafkaBus.connect(kafkaOptions(config.kafka))
    const feed = { bus, clock: SYSTEM_CLOCK, pods: new PodTable() }
    const pods = ({ fromUs, toUs, leadUs, trailUs }: ReplayRequest) =>
      PodFeed.past(feed, fromUs - leadUs, toUs + trailUs)
    return { log: new BusSegmentLog(bus), archive: '', pods, close: () => bus.close() }
  }
  const path = archive ?? recordingOf(dataDir)
  if (path === null) {
    const hint = 'KAFKA_BROKERS or --config for Kafka, --archive for a file or folder, or klartext up --record'
    throw new UsageError(`klartext ${command}: no segments to read: ${hint}`)
  }
  const log = new ArchiveSegmentLog(path)
  return { log, archive: log.path, pods: async () => null, close: async () => {} }
}

function recordingOf(dataDir: string): string | null {
  try {
    return readFileSync(join(dataDir, RECORDING_FILE), 'utf8').trim()
  } catch {
    return null
  }
}
