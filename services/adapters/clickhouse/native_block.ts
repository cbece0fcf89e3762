/**
 * Rows as one block of ClickHouse's Native format: columns one after the other, repeated texts as a dictionary. The engine
 * reads it several times faster than JSON, and parses nothing. Source: ClickHouse docs "Native", src/Formats/NativeWriter.cpp.
 */
import { DETECT_RUN_COLUMNS, FINDING_COLUMNS } from '../../core/finding.js'
import { type ColumnKind, FLOW_COLUMNS } from '../../core/flow.js'
import type { TableName, TableRows } from '../../core/ports/store.js'
import { REPLAY_COLUMNS, REPLAY_PART_COLUMNS } from '../../core/replay.js'
import { CONNECTION_COLUMNS, COVERAGE_COLUMNS, POD_COLUMNS } from '../../core/rows.js'
import { type ColumnWriter, IdColumn, numberColumn, textBytes, varintBytes } from './native_columns.js'
import { DictionaryColumn, MapColumn, PairsColumn, TextColumn, TextsColumn } from './native_texts.js'

export interface Column {
  readonly name: string
  readonly kind: ColumnKind
}

const entries = (columns: Readonly<Record<string, ColumnKind>>): Column[] =>
  Object.entries(columns).map(([name, kind]) => ({ name, kind }))

export const TABLE_COLUMNS: Readonly<Record<TableName, readonly Column[]>> = {
  flows: FLOW_COLUMNS,
  connections: entries(CONNECTION_COLUMNS),
  coverage: entries(COVERAGE_COLUMNS),
  pods: entries(POD_COLUMNS),
  findings: entries(FINDING_COLUMNS),
  detect_runs: entries(DETECT_RUN_COLUMNS),
  replays: entries(REPLAY_COLUMNS),
  replay_parts: entries(REPLAY_PART_COLUMNS),
}

/** Texts that hardly repeat: a dictionary would only cost. The engine converts to the type of the table. */
export const HARDLY_REPEAT = new Set([
  'resource',
  'trace_id',
  'span_id',
  'request_id',
  'principal',
  'detail',
  'checkpoint',
  'key',
  'pod_uid',
])

/** So many rows are read for all columns before the next ones: they stay in the processor's cache meanwhile. */
const ROWS_AT_ONCE = 256

/** One block of all columns of the table. The rows are not kept. */
export function nativeBlock<T extends TableName>(table: T, rows: readonly TableRows[T][]): Buffer {
  const columns = TABLE_COLUMNS[table]
  const writers = columns.map(({ name, kind }) => writerFor(name, kind, rows.length))
  const readers = columns.map(({ name }) => readerOf(name))
  const values = new Array<never>(ROWS_AT_ONCE)
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    const to = Math.min(from + ROWS_AT_ONCE, rows.length)
    for (let i = 0; i < columns.length; i++) {
      readers[i](rows, from, to, values)
      writers[i].add(values, to - from)
    }
  }
  return blockBytes(columns, writers, rows.length)
}

export function blockBytes(
  columns: readonly Column[],
  writers: readonly Pick<ColumnWriter<never>, 'type' | 'finish'>[],
  rows: number,
): Buffer {
  const parts = [varintBytes(columns.length), varintBytes(rows)]
  for (let i = 0; i < columns.length; i++) {
    parts.push(textBytes(columns[i].name), textBytes(writers[i].type), ...writers[i].finish())
  }
  return Buffer.concat(parts)
}

function writerFor(name: string, kind: ColumnKind, rows: number): ColumnWriter<never> {
  const numbers = numberColumn(kind, rows)
  if (numbers !== null) return numbers
  switch (kind) {
    case 'id':
      return new IdColumn(rows)
    case 'texts':
      return new TextsColumn(rows)
    case 'map':
      return new MapColumn(rows)
    case 'pairs':
      return new PairsColumn(rows)
    default:
      return HARDLY_REPEAT.has(name) ? new TextColumn() : new DictionaryColumn(rows)
  }
}

type ColumnReader = (rows: readonly unknown[], from: number, to: number, into: unknown[]) => void
const readers = new Map<string, ColumnReader>()

/** Made from text, one per column of our own lists: a property read by a name in a variable is several times slower. */
function readerOf(name: string): ColumnReader {
  let reader = readers.get(name)
  if (reader === undefined) {
    const body = `for (let i = from; i < to; i++) into[i - from] = rows[i].${name}`
    reader = new Function('rows', 'from', 'to', 'into', body) as ColumnReader
    readers.set(name, reader)
  }
  return reader
}
