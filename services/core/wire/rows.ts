/** Connection and coverage rows as the values of messages: JSON with the names of the columns. */
import { KlartextError } from '../errors.js'
import type { ColumnKind } from '../flow.js'
import { CONNECTION_COLUMNS, COVERAGE_COLUMNS, type ConnectionRow, type CoverageRow } from '../rows.js'

export function encodeRow(row: ConnectionRow | CoverageRow): Buffer {
  return Buffer.from(JSON.stringify(row))
}

/** Throws KlartextError `BAD_ROW`. */
export function decodeConnectionRow(bytes: Buffer): ConnectionRow {
  return decode(bytes, CONNECTION_COLUMNS, 'connection') as unknown as ConnectionRow
}

/** Throws KlartextError `BAD_ROW`. */
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
  for (const [name, kind] of Object.entries(columns)) {
    const wanted = TEXTS.has(kind) ? 'string' : 'number'
    if (typeof row[name] !== wanted) throw new KlartextError('BAD_ROW', `a ${what} row has no ${wanted} "${name}"`)
  }
  return row
}
