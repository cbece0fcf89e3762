/** Two heaps of rows, each row a text, against each other: what is too few, what too many, and by which columns. */

const SHOWN_MAX = 5
const SHOWN_CHARS_MAX = 600

/** '' where they are equal; otherwise some lines for a person. */
export function rowDifferences(what: string, actual: readonly string[], expected: readonly string[]): string {
  const missing = minus(expected, actual)
  const surplus = minus(actual, expected)
  if (missing.length === 0 && surplus.length === 0) return ''
  const lines = [`${what}: ${expected.length} rows expected, ${missing.length} missing, ${surplus.length} too many`]
  for (const row of missing.slice(0, SHOWN_MAX)) {
    const near = nearest(row, surplus)
    lines.push(near === null ? `  missing ${short(row)}` : `  differs ${difference(row, near)}`)
  }
  const known = new Set(expected)
  for (const row of surplus.slice(0, SHOWN_MAX))
    lines.push(`  ${known.has(row) ? 'twice  ' : 'too many'} ${short(row)}`)
  return lines.join('\n')
}

function minus(rows: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>()
  for (const row of others) left.set(row, (left.get(row) ?? 0) + 1)
  return rows.filter((row) => {
    const count = left.get(row) ?? 0
    if (count > 0) left.set(row, count - 1)
    return count === 0
  })
}

function columns(row: string): Record<string, unknown> | null {
  return row.startsWith('{') ? (JSON.parse(row) as Record<string, unknown>) : null
}

/** Without what is empty. */
function short(row: string): string {
  const of = columns(row)
  if (of === null) return row
  const said = Object.entries(of).filter(([, value]) => value !== '' && value !== 0 && String(value) !== '')
  return JSON.stringify(Object.fromEntries(said)).slice(0, SHOWN_CHARS_MAX)
}

/** The row of the other heap that is of the same exchange. */
function nearest(row: string, among: readonly string[]): string | null {
  const own = columns(row)
  if (own === null) return null
  return (
    among.find((each) => {
      const other = columns(each)
      return other !== null && other.conn_id === own.conn_id && other.exchange_seq === own.exchange_seq
    }) ?? null
  )
}

function difference(expected: string, actual: string): string {
  const [one, two] = [columns(expected), columns(actual)] as Record<string, unknown>[]
  const names = Object.keys(one).filter((name) => JSON.stringify(one[name]) !== JSON.stringify(two[name]))
  const changes = names.map((name) => `${name} ${JSON.stringify(one[name])} -> ${JSON.stringify(two[name])}`)
  return `${one.conn_id}/${one.exchange_seq} ${one.protocol}: ${changes.join(', ')}`
}
