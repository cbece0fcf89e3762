/**
 * Replays: a past window decoded once more into tables of its own. What is asked for, what is written down of it, and where
 * its segments come from.
 */
import type { ColumnKind } from './flow.js'

/** All that are named must hold; of one that has several values any. Addresses, ports and names may be of either end. */
export interface ReplayFilter {
  readonly namespaces: readonly string[]
  readonly workloads: readonly string[]
  readonly addresses: readonly string[]
  readonly ports: readonly number[]
  readonly protocols: readonly string[]
  /** Decimal digits. */
  readonly connIds: readonly string[]
}

export interface ReplayRequest {
  /** `''`: klartext.segments; otherwise an archive or a folder of archives, by its absolute path. */
  readonly archive: string
  /** Flows with `fromUs` <= ts < `toUs` are kept; µs since 1970. */
  readonly fromUs: number
  readonly toUs: number
  /** Segments from so long before are decoded too, so that connections that were open at `fromUs` are read right. */
  readonly leadUs: number
  /** And until so long after: answers to what was asked before `toUs`. */
  readonly trailUs: number
  readonly filter: ReplayFilter
  readonly decoderVersion: string
  readonly blocks: ReplayBlocks
}

/**
 * Where a part is cut into blocks. Frozen with the replay: all who ever work on it must cut it alike, or a block that is
 * inserted again is another one.
 */
export interface ReplayBlocks {
  /** Large enough for the store, small enough for memory. */
  readonly rows: number
  /** Of segments; where few rows are kept a block ends there, so that there is a place to go on from. */
  readonly inputBytes: number
}

export const REPLAY_BLOCKS: ReplayBlocks = { rows: 20_000, inputBytes: 32 << 20 }

/** `open` is waiting or running; which, its parts say. */
export type ReplayState = 'open' | 'done' | 'failed' | 'cancelled' | 'removed'

/** What is decoded by itself, in order: a partition, or a row of archive files. */
export interface ReplayPart {
  readonly part: number
  /** Positions: offsets of klartext.segments, or bytes of the files one behind the other. `stop` is frozen. */
  readonly start: number
  readonly stop: number
  /** What is open at its end is handed over as it stands; otherwise more comes behind it, and it stays open. */
  readonly endsForGood: boolean
  /** Archive files in their order, each with its size when the replay was asked for. */
  readonly files?: readonly { readonly path: string; readonly bytes: number }[]
  /** Segments before this time (µs) are not kept any more though they were asked for; 0 where all are. */
  readonly lostBeforeUs: number
}

/** Row of klartext.replays: one per replay and generation; the one with the highest version counts. */
export interface ReplayRow {
  id: string
  /** 1, and one more each time a replay that was removed is asked for again. */
  generation: number
  version: number
  /** µs since 1970. */
  submitted: number
  updated: number
  state: ReplayState
  /** JSON of ReplayRequest and of ReplayPart[]. */
  request: string
  parts: string
  error: string
}

/**
 * Row of klartext.replay_parts: how far a part has come, and from what it goes on. The one with the highest version counts;
 * versions rise with the position, so that whoever falls behind never takes anything back.
 */
export interface ReplayPartRow {
  id: string
  generation: number
  part: number
  version: number
  updated: number
  /** Positions; `next` is the first that is not decoded. */
  start: number
  next: number
  stop: number
  done: number
  /** Blocks stored so far: number of the next. */
  blocks: number
  messages: number
  bytes: number
  segments: number
  flows: number
  connections: number
  /** Messages that could not be read. */
  unreadable: number
  /** Connections that were open before the first segment that was read. */
  joined: number
  /** Connections of the window that were open where reading ended. */
  open: number
  lost_before: number
  /** Time spent so far, all attempts. */
  busy_us: number
  /** Checkpoint of the pipeline, base64; empty before the first and when done. */
  checkpoint: string
}

export const REPLAY_COLUMNS: Readonly<Record<keyof ReplayRow, ColumnKind>> = {
  id: 'text',
  generation: 'u32',
  version: 'u64',
  submitted: 'time',
  updated: 'time',
  state: 'text',
  request: 'text',
  parts: 'text',
  error: 'text',
}

export const REPLAY_PART_COLUMNS: Readonly<Record<keyof ReplayPartRow, ColumnKind>> = {
  id: 'text',
  generation: 'u32',
  part: 'u32',
  version: 'u64',
  updated: 'time',
  start: 'u64',
  next: 'u64',
  stop: 'u64',
  done: 'u8',
  blocks: 'u64',
  messages: 'u64',
  bytes: 'u64',
  segments: 'u64',
  flows: 'u64',
  connections: 'u64',
  unreadable: 'u64',
  joined: 'u64',
  open: 'u64',
  lost_before: 'u64',
  busy_us: 'u64',
  checkpoint: 'text',
}
