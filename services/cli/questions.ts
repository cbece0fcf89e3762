/** The questions of an incident: each is a view `klartext.ask_NAME(since, until)` whose comment says what it answers. */
import { readMigrations } from '../adapters/clickhouse/migrate.js'
import { jsonRows } from '../core/wire/json_rows.js'
import type { Queries } from './query.js'

export interface Question {
  readonly name: string
  readonly comment: string
}

/** The store itself says which questions it can answer. */
export async function questionsOfStore(queries: Queries): Promise<Question[]> {
  const rows = await queries.run(
    "SELECT substring(t.name, 5) AS name, t.comment AS comment FROM system.tables AS t WHERE t.database = 'klartext' AND startsWith(t.name, 'ask_') ORDER BY name",
    'JSONEachRow',
  )
  return jsonRows(rows)
}

/** Those that a store made by this version of klartext can answer. */
export function questionsShipped(): Question[] {
  const comments = new Map<string, string>()
  for (const { sql } of readMigrations()) {
    const [, name] = /VIEW klartext\.ask_(\w+)/.exec(sql) ?? []
    const [, comment] = /COMMENT '([^']*)'\s*$/.exec(sql) ?? []
    if (name !== undefined && comment !== undefined) comments.set(name, comment)
  }
  return [...comments].map(([name, comment]) => ({ name, comment })).sort((a, b) => (a.name < b.name ? -1 : 1))
}
