/** Which topic becomes which table, and how a message becomes a row. */

import type { Identity } from '../core/pods.js'
import type { BusRecord } from '../core/ports/bus.js'
import type { Store, TableName, TableRows } from '../core/ports/store.js'
import type { PodRow } from '../core/rows.js'
import { TOPICS } from '../core/topics.js'
import { checkFlow } from '../core/wire/flow.js'
import { decodePodRecord } from '../core/wire/pods.js'
import { decodeConnectionRow, decodeCoverageRow } from '../core/wire/rows.js'

export interface SinkBlock {
  /** What `row` gave of each message. */
  readonly rows: readonly unknown[]
  readonly partition: number
  /** Offset of the first message. */
  readonly first: bigint
}

export interface SinkTable {
  readonly topic: string
  /** Rows that come twice do no harm there: a block need not be made again just as it was. */
  readonly repeatable?: boolean
  /** Null for a record that gives no row. Throws KlartextError for what cannot be read. */
  row(record: BusRecord): unknown
  insert(store: Store, block: SinkBlock, token: string): Promise<void>
}

function sinkTable<T extends TableName>(
  topic: string,
  table: T,
  row: (record: BusRecord) => TableRows[T] | null,
  repeatable = false,
): SinkTable {
  const insert = (store: Store, { rows }: SinkBlock, token: string) =>
    store.insert(table, rows as TableRows[T][], token)
  return { topic, row, insert, repeatable }
}

/** Flows stay the messages that they are until the store makes columns of them: no object is made of each. */
const FLOWS: SinkTable = {
  topic: TOPICS.flows,
  row: ({ value }) => {
    checkFlow(value)
    return value
  },
  insert: (store, { rows, partition, first }, token) =>
    store.insertFlows({ messages: rows as Buffer[], partition, first: Number(first) }, token),
}

const CONNECTIONS = sinkTable(TOPICS.connections, 'connections', ({ value }) => decodeConnectionRow(value))

const COVERAGE = sinkTable(TOPICS.coverage, 'coverage', ({ value }) => decodeCoverageRow(value))

// The topic is compacted: records of a block that was begun long ago may be gone. Of rows with one key the latest stays.
const PODS = sinkTable(
  TOPICS.pods,
  'pods',
  ({ value, timestampMs = 0 }) => {
    if (value.length === 0) return null
    const record = decodePodRecord(value)
    return record.type === 'identity' ? podRow(record.identity, timestampMs * 1000) : null
  },
  true,
)

/** `known`: since when, µs since 1970. */
export function podRow(identity: Identity, known: number): PodRow {
  return {
    cluster: identity.cluster,
    kind: identity.kind,
    key: identity.key,
    ns: identity.namespace,
    name: identity.name,
    workload: identity.workload,
    workload_kind: identity.workloadKind,
    node: identity.node,
    zone: identity.zone,
    region: identity.region,
    service: identity.service,
    sa: identity.serviceAccount,
    pod_uid: identity.podUid,
    addresses: identity.addresses,
    container_ids: identity.containers.map(({ id }) => id),
    container_names: identity.containers.map(({ name }) => name),
    valid_from: identity.validFromUs,
    valid_to: identity.validToUs,
    known,
  }
}

export const SINK_TABLES: readonly SinkTable[] = [FLOWS, CONNECTIONS, COVERAGE, PODS]
