/**
 * The stored row. `FLOW_COLUMNS` is the one list of columns: ClickHouse, Avro and JSON use these names in this order,
 * and tests hold `schemas/` to it. Meaning per protocol: docs in `schemas/README.md`.
 */

import type { HeaderList, Outcome } from './exchange.js'
import type { CaptureSide, Transport } from './segment.js'
import type { Shape } from './wire/flow_json_shape.js'

export const SCHEMA_VERSION = 2
export const DECODER_VERSION = '0.1.0'

/** How far a call went; `unknown` where the ends are not known well enough. */
export type Scope = 'same_node' | 'same_zone' | 'cross_zone' | 'cross_region' | 'other_cluster' | 'internet' | 'unknown'

export type WorkloadKind = 'unknown' | 'pod' | 'service' | 'node' | 'external'

/** How a column looks in JSON and which family of types it has in ClickHouse and Avro. */
/** `pairs` are names and values in turn here, and a map like `map` wherever they are stored. */
export type ColumnKind =
  | 'time'
  | 'text'
  | 'u8'
  | 'u16'
  | 'u32'
  | 'u64'
  | 'f64'
  | 'id'
  | 'ip'
  | 'texts'
  | 'map'
  | 'pairs'

export interface FlowColumn {
  readonly name: keyof Flow
  readonly kind: ColumnKind
}

/** One flow. Property names are the column names, so that no mapping stands between a row and its three forms. */
export interface Flow {
  /** First request byte (or first response byte where no request was seen), µs since 1970. */
  ts: number
  latency_us: number
  ttfb_us: number
  cluster: string
  node: string
  capture_side: CaptureSide
  capture_source: string
  /** UInt64 as decimal digits: JavaScript's numbers cannot hold it. */
  conn_id: string
  exchange_seq: number
  client_ip: string
  client_port: number
  server_ip: string
  server_port: number
  transport: Transport
  client_kind: WorkloadKind
  client_cluster: string
  client_ns: string
  client_workload: string
  client_pod: string
  client_container: string
  client_node: string
  client_zone: string
  client_service: string
  client_sa: string
  server_kind: WorkloadKind
  server_cluster: string
  server_ns: string
  server_workload: string
  server_pod: string
  server_container: string
  server_node: string
  server_zone: string
  server_service: string
  server_sa: string
  protocol: string
  l7_version: string
  method: string
  host: string
  endpoint: string
  resource: string
  status_code: number
  outcome: Outcome
  error: string
  user_agent: string
  content_type: string
  req_bytes: number
  resp_bytes: number
  trace_id: string
  span_id: string
  request_id: string
  principal: string
  tls_version: string
  sni: string
  findings: readonly string[]
  pii: readonly string[]
  redactions: readonly string[]
  complete: number
  gaps: number
  truncated: number
  decoder_version: string
  schema_version: number
  attrs: Record<string, string>
  /** Each name once. */
  req_headers: HeaderList
  resp_headers: HeaderList
  /** The process at the observed end: pid and comm as the kernel names them; 0 and '' where unknown. */
  pid: number
  comm: string
  seg_partition: number
  seg_first: number
  seg_last: number
  in_partition: number
  batch_first: number
  client_region: string
  server_region: string
  scope: Scope
}

/**
 * What the flows of one connection have in common, as long as its ends keep their names: handed out beside each flow, so that
 * a writer finds again what it made of the flow before.
 */
export class FlowOrigin {
  /** Counted up in this process: no two origins have the same. */
  readonly number = origins++
  /** Of the JSON writer. */
  shape: Shape | null = null
}

let origins = 0

const column = (kind: ColumnKind, ...names: (keyof Flow)[]): FlowColumn[] => names.map((name) => ({ name, kind }))

const workload = (end: 'client' | 'server'): FlowColumn[] =>
  column(
    'text',
    `${end}_kind`,
    `${end}_cluster`,
    `${end}_ns`,
    `${end}_workload`,
    `${end}_pod`,
    `${end}_container`,
    `${end}_node`,
    `${end}_zone`,
    `${end}_service`,
    `${end}_sa`,
  )

export const FLOW_COLUMNS: readonly FlowColumn[] = [
  ...column('time', 'ts'),
  ...column('u64', 'latency_us', 'ttfb_us'),
  ...column('text', 'cluster', 'node', 'capture_side', 'capture_source'),
  ...column('id', 'conn_id'),
  ...column('u32', 'exchange_seq'),
  ...column('ip', 'client_ip'),
  ...column('u16', 'client_port'),
  ...column('ip', 'server_ip'),
  ...column('u16', 'server_port'),
  ...column('text', 'transport'),
  ...workload('client'),
  ...workload('server'),
  ...column('text', 'protocol', 'l7_version', 'method', 'host', 'endpoint', 'resource'),
  ...column('u16', 'status_code'),
  ...column('text', 'outcome', 'error', 'user_agent', 'content_type'),
  ...column('u64', 'req_bytes', 'resp_bytes'),
  ...column('text', 'trace_id', 'span_id', 'request_id', 'principal', 'tls_version', 'sni'),
  ...column('texts', 'findings', 'pii', 'redactions'),
  ...column('u8', 'complete'),
  ...column('u16', 'gaps'),
  ...column('u8', 'truncated'),
  ...column('text', 'decoder_version'),
  ...column('u8', 'schema_version'),
  ...column('map', 'attrs'),
  ...column('pairs', 'req_headers', 'resp_headers'),
  ...column('u32', 'pid'),
  ...column('text', 'comm'),
  ...column('u16', 'seg_partition'),
  ...column('u64', 'seg_first', 'seg_last'),
  ...column('u16', 'in_partition'),
  ...column('u64', 'batch_first'),
  ...column('text', 'client_region', 'server_region', 'scope'),
]

/** All columns in an object of its own, for what looks at an object's own properties. */
export function plainFlow(flow: Flow): Flow {
  const plain: Record<string, unknown> = {}
  for (const { name } of FLOW_COLUMNS) plain[name] = flow[name]
  return plain as unknown as Flow
}
