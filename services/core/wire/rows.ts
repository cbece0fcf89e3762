/** Connection and coverage rows as the values of messages: JSON with the names of the columns, and a version. */
import { KlartextError, NewerSchemaError } from '../errors.js'
import type { ColumnKind } from '../flow.js'
import { CONNECTION_COLUMNS, COVERAGE_COLUMNS, type ConnectionRow, type CoverageRow } from '../rows.js'

/** What is written. One more wherever a reader of before would pass over something: a new column, another meaning. */
export const ROW_SCHEMA_VERSION = 1

export function encodeRow(row: ConnectionRow | CoverageRow): Buffer {
  return Buffer.from(JSON.stringify({ schema_version: ROW_SCHEMA_VERSION, ...row }))
}

/** Throws KlartextError `BAD_ROW`, and NewerSchemaError for a version to come. */
export function decodeConnectionRow(bytes: Buffer): ConnectionRow {
  return decode(bytes, CONNECTION_COLUMNS, 'connection') as unknown as ConnectionRow
}

/** Throws as `decodeConnectionRow` does. */
export function decodeCoverageRow(bytes: Buffer): CoverageRow {
  return decode(bytes, COVERAGE_COLUMNS, 'coverage') as unknown as CoverageRow
}

const TEXTS: ReadonlySet<ColumnKind> = new Set(['text', 'id', 'ip'])

/** All columns, each of its kind: what a store would refuse later, with the rows around it, is refused here. */
function decode(bytes: Buffer, columns: Readonly<Record<string, ColumnKind>>, what: string): Record<string, unknown> {
  let row: Record<string, unknown>
  try {
    row = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>
  } catch (error) {
    throw new KlartextError('BAD_ROW', `a ${what} row is not JSON`, { cause: error })
  }
  if (typeof row !== 'object' || row === null) throw new KlartextError('BAD_ROW', `a ${what} row is no object`)
  // The first ones did not say it.
  const { schema_version: version = 1, ...values } = row
  if (Number.isInteger(version))
    NewerSchemaError.check(`a ${what} row has schema`, version as number, ROW_SCHEMA_VERSION)
  if (version !== ROW_SCHEMA_VERSION) {
    const found = JSON.stringify(version).slice(0, 20)
    throw new KlartextError('BAD_ROW', `a ${what} row has schema ${found}, this reader knows ${ROW_SCHEMA_VERSION}`)
  }
  for (const [name, kind] of Object.entries(columns)) {
    const wanted = TEXTS.has(kind) ? 'string' : 'number'
    if (typeof values[name] !== wanted) throw new KlartextError('BAD_ROW', `a ${what} row has no ${wanted} "${name}"`)
  }
  return values
}
