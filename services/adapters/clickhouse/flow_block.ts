/**
 * Messages of klartext.flows as one block of ClickHouse's Native format, without making a flow of each: every field goes from
 * the message into its column. `nativeBlock` makes the same of flows that were read; the test holds the two together.
 */
import type { ColumnKind } from '../../core/flow.js'
import type { FlowMessages } from '../../core/ports/store.js'
import { FLOW_FIELDS_AT, wholeFlow } from '../../core/wire/flow.js'
import {
  FieldCursor,
  FlowDictionaryColumn,
  FlowIdColumn,
  FlowMapColumn,
  FlowTextColumn,
  FlowTextsColumn,
} from './flow_columns.js'
import { blockBytes, HARDLY_REPEAT, TABLE_COLUMNS } from './native_block.js'
import { numberColumn } from './native_columns.js'

interface FlowColumnWriter {
  readonly type: string
  finish(): Buffer[]
}

/** Takes the message under the cursor. */
type Take = (cursor: FieldCursor, columns: readonly FlowColumnWriter[], partition: number, first: number) => void

const COLUMNS = TABLE_COLUMNS.flows
/** Which block a flow is in is known to who makes it, not to the message. */
const LEDGER: Readonly<Record<string, string>> = { in_partition: 'partition', batch_first: 'first' }

/** One straight line of code over all columns. */
const take = new Function(
  'cursor',
  'columns',
  'partition',
  'first',
  COLUMNS.map(({ name, kind }, i) => {
    if (name in LEDGER) return `cursor.number(); columns[${i}].put(${LEDGER[name]})`
    return numberColumn(kind, 0) !== null ? `columns[${i}].put(cursor.number())` : `columns[${i}].take(cursor)`
  }).join('\n'),
) as Take

const cursor = new FieldCursor()

/** The messages are not kept. */
export function flowBlock({ messages, partition, first }: FlowMessages): Buffer {
  const writers = COLUMNS.map(({ name, kind }) => writerFor(name, kind, messages.length))
  for (const message of messages) {
    cursor.bytes = wholeFlow(message)
    cursor.at = FLOW_FIELDS_AT
    take(cursor, writers, partition, first)
  }
  return blockBytes(COLUMNS, writers, messages.length)
}

function writerFor(name: string, kind: ColumnKind, rows: number): FlowColumnWriter {
  const numbers = numberColumn(kind, rows)
  if (numbers !== null) return numbers
  switch (kind) {
    case 'id':
      return new FlowIdColumn(rows)
    case 'texts':
      return new FlowTextsColumn(rows)
    case 'map':
    case 'pairs':
      return new FlowMapColumn(rows)
    default:
      return HARDLY_REPEAT.has(name) ? new FlowTextColumn() : new FlowDictionaryColumn(rows)
  }
}
