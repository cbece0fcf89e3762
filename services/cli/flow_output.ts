/** How commands print flows: as JSON lines, as tab-separated values, or as a table; all columns or chosen ones. */
import { UsageError } from '../core/errors.js'
import { FLOW_COLUMNS, type Flow, type FlowOrigin } from '../core/flow.js'
import { type ColumnFormat, type ColumnName, columnWriter, tsvHead } from '../core/wire/flow_columns.js'
import { writeFlowJson } from '../core/wire/flow_json.js'
import { Piece } from '../core/wire/json_bytes.js'
import { type CommandInput, type OptionHelp, oneOf, text } from './command.js'
import { FLOW_TABLE_HEAD, flowLine } from './flow_line.js'
import { nearest } from './nearest.js'
import type { LineWriter } from './output.js'

export const FLOW_OUTPUT_OPTIONS: Readonly<Record<string, OptionHelp>> = {
  format: { type: 'string', value: 'jsonl|tsv|table', help: 'form of the output; also JSONEachRow, TSVWithNames' },
  columns: { type: 'string', value: 'NAME,NAME...', help: 'only these columns, in this order' },
}

const NAMES = FLOW_COLUMNS.map(({ name }) => name)

/** For `--help`. */
export const COLUMNS_HELP = wrapped(`Columns: ${NAMES.join(', ')}`, 120)

export interface FlowOutput {
  readonly format: ColumnFormat | 'table'
  /** What is printed; null is all. */
  readonly columns: readonly ColumnName[] | null
}

/** Throws UsageError: an unknown form or column, a table of chosen columns. */
export function flowOutput(input: CommandInput, onTerminal: boolean): FlowOutput {
  const list = text(input, 'columns')
  const columns = list === undefined ? null : list.split(',').map((name) => columnNamed(name.trim()))
  const fallback = !onTerminal ? 'jsonl' : columns === null ? 'table' : 'tsv'
  const allowed = ['jsonl', 'tsv', 'table', 'JSONEachRow', 'TSVWithNames'] as const
  const named = oneOf<(typeof allowed)[number]>(input, 'format', fallback, allowed)
  const format = named === 'JSONEachRow' ? 'jsonl' : named === 'TSVWithNames' ? 'tsv' : named
  if (format === 'table' && columns !== null) {
    throw new UsageError('--format table has columns of its own; with --columns take tsv or jsonl')
  }
  return { format, columns }
}

/** Does anything printed depend on the attributes of a flow? `redactions` says whether some were left out. */
export function wantsAttrs({ format, columns }: FlowOutput): boolean {
  return format !== 'table' && (columns === null || columns.includes('attrs') || columns.includes('redactions'))
}

/** Throws UsageError, with the name that was probably meant. */
export function columnNamed(name: string): ColumnName {
  const found = NAMES.find((each) => each === name)
  if (found === undefined) throw new UsageError(`there is no column "${name}"; the nearest is ${nearest(name, NAMES)}`)
  return found
}

/** What comes before the first flow. `naming`: each line says its file. */
export function writeHead({ format, columns }: FlowOutput, out: LineWriter, naming = false): void {
  if (format === 'table') out.line(FLOW_TABLE_HEAD)
  if (format === 'tsv') out.line(tsvHead([...(naming ? ['file'] : []), ...(columns ?? NAMES)]))
}

/** Writes one flow and its line end. `file`, if it is not empty, stands before the columns. */
export function flowWriter(
  { format, columns }: FlowOutput,
  out: LineWriter,
  file = '',
): (flow: Flow, origin: FlowOrigin) => void {
  if (format === 'table') return (flow) => out.line(flowLine(flow))
  if (format === 'jsonl' && columns === null) {
    const head = file === '' ? null : Piece.of(`{"file":${JSON.stringify(file)},`)
    return (flow, origin) => {
      writeFlowJson(flow, out.json, origin, head)
      out.endLine()
    }
  }
  const write = columnWriter(columns ?? NAMES, format, file)
  return (flow) => {
    write(flow, out.json)
    out.endLine()
  }
}

function wrapped(words: string, width: number): string {
  const lines = ['']
  for (const word of words.split(' ')) {
    const last = lines[lines.length - 1]
    if (last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines.join('\n')
}
