/** Which topic becomes which table, and how a message becomes a row. */

import type { Identity } from '../core/pods.js'
import type { BusRecord } from '../core/ports/bus.js'
import type { TableName, TableRows } from '../core/ports/store.js'
import type { PodRow } from '../core/rows.js'
import { TOPICS } from '../core/topics.js'
import { decodeFlow } from '../core/wire/flow.js'
import { decodePodRecord } from '../core/wire/pods.js'
import { decodeConnectionRow, decodeCoverageRow } from '../core/wire/rows.js'

export interface SinkTable<T extends TableName = TableName> {
  readonly topic: string
  readonly table: T
  /** Rows that come twice do no harm there: a block need not be made again just as it was. */
  readonly repeatable?: boolean
  /**
   * `first`: offset of the first record of the block. Null for a record that gives no row. Throws KlartextError for what
   * cannot be read.
   */
  row(record: BusRecord, first: bigint): TableRows[T] | null
}

const FLOWS: SinkTable<'flows'> = {
  topic: TOPICS.flows,
  table: 'flows',
  row: (record, first) => {
    const flow = decodeFlow(record.value)
    flow.in_partition = record.partition
    flow.batch_first = Number(first)
    return flow
  },
}

const CONNECTIONS: SinkTable<'connections'> = {
  topic: TOPICS.connections,
  table: 'connections',
  row: (record) => decodeConnectionRow(record.value),
}

const COVERAGE: SinkTable<'coverage'> = {
  topic: TOPICS.coverage,
  table: 'coverage',
  row: (record) => decodeCoverageRow(record.value),
}

const PODS: SinkTable<'pods'> = {
  topic: TOPICS.pods,
  table: 'pods',
  // The topic is compacted: records of a block that was begun long ago may be gone. Of rows with one key the latest stays.
  repeatable: true,
  row: ({ value, timestampMs = 0 }) => {
    if (value.length === 0) return null
    const record = decodePodRecord(value)
    return record.type === 'identity' ? podRow(record.identity, timestampMs * 1000) : null
  },
}

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
