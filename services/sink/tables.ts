/** Which topic becomes which table, and how a message becomes a row. */
import type { BusRecord } from '../core/ports/bus.js'
import type { TableName, TableRows } from '../core/ports/store.js'
import { TOPICS } from '../core/topics.js'
import { decodeFlow } from '../core/wire/flow.js'
import { decodeConnectionRow, decodeCoverageRow } from '../core/wire/rows.js'

export interface SinkTable<T extends TableName = TableName> {
  readonly topic: string
  readonly table: T
  /** `first`: offset of the first record of the block. Throws KlartextError for what cannot be read. */
  row(record: BusRecord, first: bigint): TableRows[T]
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

export const SINK_TABLES: readonly SinkTable[] = [FLOWS, CONNECTIONS, COVERAGE]
