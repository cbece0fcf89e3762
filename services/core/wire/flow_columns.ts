/** Some columns of a flow in a chosen order, as JSON or as tab-separated values: what `klartext read --columns` prints. */
import { type ColumnKind, FLOW_COLUMNS, type Flow } from '../flow.js'
import { writeTime } from './flow_json.js'
import { type JsonBytes, Piece } from './json_bytes.js'
import { writeTsv } from './tsv.js'

/** `jsonl`: ClickHouse's JSONEachRow. `tsv`: its TSVWithNames. */
export type ColumnFormat = 'jsonl' | 'tsv'

export type ColumnName = keyof Flow

/** Appends a flow to `out`, without a line end. */
export type WriteColumns = (flow: Flow, out: JsonBytes) => void

const KINDS = Object.fromEntries(FLOW_COLUMNS.map(({ name, kind }) => [name, kind])) as Record<ColumnName, ColumnKind>

/** The line of names that comes before the values. */
export function tsvHead(names: readonly string[]): string {
  return names.join('\t')
}

/** `file`, if it is not empty, goes before the columns. */
export function columnWriter(names: readonly ColumnName[], format: ColumnFormat, file = ''): WriteColumns {
  return format === 'tsv' ? tsvWriter(names, file) : jsonWriter(names, file)
}

type Generated = (pieces: readonly Piece[], writers: typeof WRITERS) => WriteColumns
const WRITERS = { writeTime, writeTsv }

/** One straight line of code over the columns: a property that is read by a name in a variable is several times slower. */
function generate(lines: readonly string[], pieces: readonly Piece[]): WriteColumns {
  const body = `return (flow, out) => {\n${lines.join('\n')}\n}`
  return (new Function('pieces', 'writers', body) as Generated)(pieces, WRITERS)
}

function jsonWriter(names: readonly ColumnName[], file: string): WriteColumns {
  const pieces: Piece[] = []
  const lines = names.map((name, i) => {
    const before = i > 0 ? ',' : file === '' ? '{' : `{"file":${JSON.stringify(file)},`
    const quoted = KINDS[name] === 'id' || KINDS[name] === 'time' ? '"' : ''
    pieces.push(Piece.of(`${before}${JSON.stringify(name)}:${quoted}`))
    return `out.raw(pieces[${i}]); ${jsonValue(name)}`
  })
  return generate([...lines, `out.byte(${CLOSE_MAP})`], pieces)
}

function jsonValue(name: ColumnName): string {
  const value = `flow.${name}`
  switch (KINDS[name]) {
    case 'time':
      return `writers.writeTime(${value}, out)`
    case 'id':
      return `out.digits(${value}); out.byte(${QUOTE})`
    case 'text':
    case 'ip':
      return `out.text(${value})`
    case 'texts':
      return `out.texts(${value})`
    case 'map':
      return `out.map(${value})`
    case 'pairs':
      return `out.pairs(${value})`
    default:
      return `out.number(${value})`
  }
}

function tsvWriter(names: readonly ColumnName[], file: string): WriteColumns {
  const lines = names.map((name, i) => {
    const before = i > 0 || file !== '' ? `out.byte(${TAB}); ` : ''
    return `${before}writers.writeTsv.${KINDS[name]}(flow.${name}, out)`
  })
  const first = file === '' ? [] : [`writers.writeTsv.text(${JSON.stringify(file)}, out)`]
  return generate([...first, ...lines], [])
}

const TAB = 9
const QUOTE = 34
const CLOSE_MAP = 125
