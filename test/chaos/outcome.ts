/**
 * What is left at the end: rows of the store, its rollups, the flows that subscribers read. Rows are told by a hash, since
 * there are many; the first that differ are fetched whole.
 */
import { createHash } from 'node:crypto'
import type { ChdbStore } from '../../services/adapters/chdb/store.js'
import type { Bus } from '../../services/core/ports/bus.js'
import { TOPICS } from '../../services/core/topics.js'
import { decodeFlow } from '../../services/core/wire/flow.js'
import { rowDifferences } from '../fakes/row_differences.js'

/** Tables that rows are put into, each with what names a row and what is the sink's own. */
const TABLES = {
  flows: { key: "concat(toString(conn_id), '/', toString(exchange_seq))", except: 'EXCEPT (batch_first)' },
  connections: { key: 'toString(conn_id)', except: '' },
  coverage: { key: "concat(reason, ' ', detail)", except: '' },
} as const
type Table = keyof typeof TABLES
/** Tables that views fill. */
const ROLLUPS = ['edges_1m', 'edges_1h', 'edges_1d', 'endpoints_1m', 'endpoints_1h', 'endpoints_1d', 'edge_seen']

export type Outcome = Readonly<Record<string, readonly string[]>>

export async function outcomeOf(bus: Bus, store: ChdbStore): Promise<Outcome> {
  const outcome: Record<string, string[]> = {}
  for (const table of Object.keys(TABLES) as Table[]) {
    const { key, except } = TABLES[table]
    outcome[table] = await lines(
      store,
      `SELECT ${key}, hex(sipHash128(toString(tuple(* ${except})))) FROM klartext.${table}`,
    )
  }
  for (const rollup of ROLLUPS) outcome[rollup] = await lines(store, await rollupStatement(store, rollup))
  outcome['topic klartext.flows'] = await publishedFlows(bus)
  return outcome
}

async function lines(store: ChdbStore, sql: string): Promise<string[]> {
  return (await store.query(sql, 'TabSeparatedRaw')).toString().split('\n').filter(Boolean)
}

/** All rows of a rollup as they count, whatever parts they lie in. */
async function rollupStatement(store: ChdbStore, table: string): Promise<string> {
  const columns = await lines(
    store,
    `SELECT name, type FROM system.columns WHERE database = 'klartext' AND table = '${table}' ORDER BY position`,
  )
  const [keys, values]: [string[], string[]] = [[], []]
  for (const [name, type] of columns.map((line) => line.split('\t'))) {
    const simple = /^SimpleAggregateFunction\((\w+),/.exec(type)
    const state = /^AggregateFunction\((\w+)(\([^)]*\))?,/.exec(type)
    if (simple !== null) values.push(`${simple[1]}(${name})`)
    else if (state !== null) values.push(`toString(${state[1]}Merge${state[2] ?? ''}(${name}))`)
    else keys.push(name)
  }
  return `SELECT ${[...keys, ...values].join(', ')} FROM klartext.${table} GROUP BY ${keys.join(', ')}`
}

async function publishedFlows(bus: Bus): Promise<string[]> {
  const flows: string[] = []
  for (let partition = 0; partition < (await bus.partitions(TOPICS.flows)); partition++) {
    await bus.readAll(TOPICS.flows, partition, (records) => {
      for (const { value } of records) {
        const { conn_id, exchange_seq } = decodeFlow(value)
        const hash = createHash('sha256').update(value).digest('hex').slice(0, 32)
        flows.push(`${partition}/${conn_id}/${exchange_seq}\t${hash}`)
      }
    })
  }
  return flows
}

/** '' where they are equal. */
export async function outcomeDifferences(
  actual: Outcome,
  expected: Outcome,
  stores: { readonly actual: ChdbStore; readonly expected: ChdbStore },
): Promise<string> {
  const found: string[] = []
  for (const name of Object.keys(expected)) {
    const difference = rowDifferences(name, actual[name], expected[name])
    if (difference === '') continue
    found.push(difference)
    if (!(name in TABLES)) continue
    const key = /^ {2}\S+(?: many)? +([^\t]+)\t/m.exec(difference)?.[1] ?? ''
    for (const side of ['expected', 'actual'] as const) {
      const where = `${TABLES[name as Table].key} = '${key.replaceAll("'", "''")}'`
      const rows = await stores[side].query(`SELECT * FROM klartext.${name} WHERE ${where}`, 'JSONEachRow')
      found.push(
        ...rows
          .toString()
          .split('\n')
          .filter(Boolean)
          .map((row) => `    ${side}: ${row}`),
      )
    }
  }
  return found.join('\n')
}

/** Flows of the store by protocol, and those that are there more than once. */
export async function flowCounts(store: ChdbStore): Promise<{ byProtocol: Record<string, number>; doubled: number }> {
  const counts = await lines(store, 'SELECT protocol, count() FROM klartext.flows GROUP BY protocol ORDER BY protocol')
  const byProtocol = Object.fromEntries(
    counts.map((line) => line.split('\t')).map(([name, count]) => [name, Number(count)]),
  )
  const [doubled] = await lines(store, 'SELECT count() - uniqExact(conn_id, exchange_seq) FROM klartext.flows')
  return { byProtocol, doubled: Number(doubled) }
}
