/** The other tables of the main job: one row per connection, what was seen and not seen, who had an address when. */
import type { ColumnKind } from './flow.js'
import type { IdentityKind } from './pods.js'
import type { CaptureSide, Transport } from './segment.js'

/** Why a connection, or a part of it, gave no flows; closed, so that a report can list all of them. */
export type UndecodedReason =
  | ''
  | 'no_payload'
  | 'unknown_protocol'
  | 'encrypted'
  | 'too_little'
  | 'muted'
  | 'withdrawn'
  | 'decoder_failed'
  | 'limit'

export interface ConnectionRow {
  /** First and last byte seen, µs since 1970. */
  ts: number
  end_ts: number
  cluster: string
  node: string
  capture_side: CaptureSide
  capture_source: string
  /** UInt64 as decimal digits. */
  conn_id: string
  transport: Transport
  client_ip: string
  client_port: number
  server_ip: string
  server_port: number
  pid: number
  comm: string
  container: string
  protocol: string
  undecoded_reason: UndecodedReason
  tls_version: string
  /** Bytes that passed, and of them those known to be missing, per direction. */
  bytes_to_server: number
  bytes_to_client: number
  gap_bytes_to_server: number
  gap_bytes_to_client: number
  exchanges: number
  /** open, closed, reset, idle, evicted, input_end */
  state: string
  midstream: number
}

/** What a coverage row is about. */
export type CoverageKind = 'library' | 'process' | 'loss' | 'bytes'

export interface CoverageRow {
  ts: number
  cluster: string
  node: string
  kind: CoverageKind
  /** library: path; process: comm; loss and bytes: the stage (`ring`, `queue`, `decode` ...). */
  subject: string
  pid: number
  container: string
  /** library: hooked, not_hooked; process: covered, not_covered, partly; loss and bytes: '' */
  state: string
  /** Closed set: no_symbols, unreadable, ring_full, muted_policy ... `''` where nothing is to explain. */
  reason: string
  /** How it is hooked (probe sites), build id ... */
  detail: string
  /** Since the last row of the same subject and reason. */
  bytes: number
  count: number
}

/** The columns of the two tables in their order, as FLOW_COLUMNS is for flows. */
export const CONNECTION_COLUMNS: Readonly<Record<keyof ConnectionRow, ColumnKind>> = {
  ts: 'time',
  end_ts: 'time',
  cluster: 'text',
  node: 'text',
  capture_side: 'text',
  capture_source: 'text',
  conn_id: 'id',
  transport: 'text',
  client_ip: 'ip',
  client_port: 'u16',
  server_ip: 'ip',
  server_port: 'u16',
  pid: 'u32',
  comm: 'text',
  container: 'text',
  protocol: 'text',
  undecoded_reason: 'text',
  tls_version: 'text',
  bytes_to_server: 'u64',
  bytes_to_client: 'u64',
  gap_bytes_to_server: 'u64',
  gap_bytes_to_client: 'u64',
  exchanges: 'u32',
  state: 'text',
  midstream: 'u8',
}

export const COVERAGE_COLUMNS: Readonly<Record<keyof CoverageRow, ColumnKind>> = {
  ts: 'time',
  cluster: 'text',
  node: 'text',
  kind: 'text',
  subject: 'text',
  pid: 'u32',
  container: 'text',
  state: 'text',
  reason: 'text',
  detail: 'text',
  bytes: 'u64',
  count: 'u64',
}

/** One life of a pod, service, node or namespace, as it was last known. */
export interface PodRow {
  cluster: string
  kind: IdentityKind
  key: string
  ns: string
  name: string
  workload: string
  workload_kind: string
  node: string
  zone: string
  region: string
  service: string
  sa: string
  pod_uid: string
  addresses: readonly string[]
  /** Of each container its id, and at the same place its name. */
  container_ids: readonly string[]
  container_names: readonly string[]
  /** µs since 1970. */
  valid_from: number
  valid_to: number
  /** Since when this is known; of one key the latest counts. */
  known: number
}

export const POD_COLUMNS: Readonly<Record<keyof PodRow, ColumnKind>> = {
  cluster: 'text',
  kind: 'text',
  key: 'text',
  ns: 'text',
  name: 'text',
  workload: 'text',
  workload_kind: 'text',
  node: 'text',
  zone: 'text',
  region: 'text',
  service: 'text',
  sa: 'text',
  pod_uid: 'text',
  addresses: 'texts',
  container_ids: 'texts',
  container_names: 'texts',
  valid_from: 'time',
  valid_to: 'time',
  known: 'time',
}
