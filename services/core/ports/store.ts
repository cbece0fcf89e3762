import type { DetectRun, Finding } from '../finding.js'
import type { Flow } from '../flow.js'
import type { ReplayPartRow, ReplayRow } from '../replay.js'
import type { ConnectionRow, CoverageRow, PodRow } from '../rows.js'

export interface TableRows {
  flows: Flow
  connections: ConnectionRow
  coverage: CoverageRow
  pods: PodRow
  findings: Finding
  detect_runs: DetectRun
  replays: ReplayRow
  replay_parts: ReplayPartRow
}
export type TableName = keyof TableRows

/** Flows as they are in klartext.flows. */
export interface FlowMessages {
  /** Each was checked (core/wire/flow.ts). */
  readonly messages: readonly Buffer[]
  /** Their columns in_partition and batch_first, whatever the messages say. */
  readonly partition: number
  readonly first: number
}

/** Where rows end: a ClickHouse server, or the ClickHouse engine in this process. */
export interface Store {
  /**
   * Inserts the rows as one block. `token` names exactly these rows: a second insert with the same token changes nothing.
   * `into`: another table that was made as `table` is. Throws KlartextError; `retryable` says whether the same call may
   * succeed later.
   */
  insert<T extends TableName>(table: T, rows: readonly TableRows[T][], token: string, into?: string): Promise<void>
  /** `insert` of flows, without an object of each. */
  insertFlows(flows: FlowMessages, token: string): Promise<void>
  /** Runs one read-only statement and answers the body in ClickHouse's `format`. `parameters`: values of `{name:Type}`. */
  query(sql: string, format: string, parameters?: Readonly<Record<string, unknown>>): Promise<Buffer>
  /** Runs a statement for its effect. */
  command(sql: string): Promise<void>
  close(): Promise<void>
}
