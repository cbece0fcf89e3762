/**
 * Two sets of flows compared: the live ones with a replay's, or those of two replays. Flows are the same exchange where
 * conn_id and exchange_seq agree. All of it is done by the store: first one hash per flow, then columns of those that differ.
 */
import { FLOW_COLUMNS } from '../core/flow.js'
import type { Store } from '../core/ports/store.js'
import { jsonRows } from '../core/wire/json_rows.js'

/** What says where a row was stored, not what was seen; and versions, which differ in every row where they do. */
export const IGNORED_COLUMNS: readonly string[] = [
  'in_partition',
  'batch_first',
  'seg_partition',
  'seg_first',
  'seg_last',
  'decoder_version',
  'schema_version',
]

export interface FlowSet {
  /** Name for people: `live` or a replay's id. */
  readonly name: string
  /** In database klartext. */
  readonly table: string
}

export interface FlowKey {
  readonly connId: string
  readonly seq: number
}

export type Difference =
  | { readonly kind: 'new' | 'vanished'; readonly key: FlowKey; readonly flow: Readonly<Record<string, string>> }
  | {
      readonly kind: 'changed'
      readonly key: FlowKey
      /** Before and after, as text. */
      readonly columns: Readonly<Record<string, readonly [string, string]>>
    }

export interface DiffSummary {
  readonly before: number
  readonly after: number
  readonly equal: number
  readonly new: number
  readonly vanished: number
  readonly changed: number
  /** Exchanges that one of the sets has more than once: that must never be. */
  readonly repeated: number
  /** How many changed flows differ in the column; most first. */
  readonly columns: readonly (readonly [column: string, flows: number])[]
}

/** Shown of a flow that only one side has. */
const SHOWN = [
  'ts',
  'client_ip',
  'server_ip',
  'server_port',
  'protocol',
  'method',
  'host',
  'resource',
  'status_code',
  'outcome',
]

export class FlowDiff {
  readonly #store: Store
  readonly #before: FlowSet
  readonly #after: FlowSet
  readonly #condition: string
  readonly #columns: readonly string[]

  /** `condition` on both sides: window and filter. */
  constructor(store: Store, before: FlowSet, after: FlowSet, condition: string, ignored: readonly string[]) {
    this.#store = store
    this.#before = before
    this.#after = after
    this.#condition = condition
    const without = new Set<string>([...ignored, 'conn_id', 'exchange_seq'])
    this.#columns = FLOW_COLUMNS.map(({ name }) => name).filter((name) => !without.has(name))
  }

  async summary(): Promise<DiffSummary> {
    const [counts] = await this.#rows(`SELECT sum(a) AS before, sum(b) AS after, countIf(${EQUAL}) AS equal,
      countIf(a = 0) AS new, countIf(b = 0) AS vanished, countIf(${CHANGED}) AS changed, countIf(a > 1 OR b > 1) AS repeated
      FROM (${this.#keys()})`)
    const numbers = Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, Number(value)]))
    const changed = numbers.changed > 0 ? await this.#changedColumns() : []
    return { ...(numbers as unknown as Omit<DiffSummary, 'columns'>), columns: changed }
  }

  /** At most `limit` of each kind, in the order of conn_id and exchange_seq. */
  async *differences(limit: number): AsyncGenerator<Difference> {
    for (const [kind, which, { table }] of [
      ['vanished', 'b = 0', this.#before],
      ['new', 'a = 0', this.#after],
    ] as const) {
      for (const { conn_id, exchange_seq, ...flow } of await this.#rows(
        `SELECT conn_id, exchange_seq, ${SHOWN.join(', ')} FROM klartext.${table} WHERE ${this.#condition}
         AND (conn_id, exchange_seq) IN (SELECT conn_id, exchange_seq FROM (${this.#keys()}) WHERE ${which}
         ORDER BY conn_id, exchange_seq LIMIT ${limit}) ORDER BY conn_id, exchange_seq`,
      )) {
        yield { kind, key: { connId: conn_id, seq: Number(exchange_seq) }, flow }
      }
    }
    yield* this.#changes(limit)
  }

  async *#changes(limit: number): AsyncGenerator<Difference> {
    const wanted = `SELECT conn_id, exchange_seq FROM (${this.#keys()}) WHERE ${CHANGED}
      ORDER BY conn_id, exchange_seq LIMIT ${limit}`
    const before = new Map<string, Record<string, string>>()
    for (const row of await this.#rows(this.#select(this.#before, wanted))) before.set(keyText(row), row)
    const seen = new Set<string>()
    for (const after of await this.#rows(this.#select(this.#after, wanted))) {
      const old = before.get(keyText(after))
      if (old === undefined || seen.has(keyText(after))) continue
      seen.add(keyText(after))
      const columns: Record<string, readonly [string, string]> = {}
      for (const name of this.#columns) if (old[name] !== after[name]) columns[name] = [old[name], after[name]]
      yield { kind: 'changed', key: { connId: after.conn_id, seq: Number(after.exchange_seq) }, columns }
    }
  }

  #select({ table }: FlowSet, wanted: string): string {
    const columns = this.#columns.map((name) => `${comparable(name)} AS ${name}`).join(', ')
    return `SELECT conn_id, exchange_seq, ${columns} FROM klartext.${table} WHERE ${this.#condition}
      AND (conn_id, exchange_seq) IN (${wanted}) ORDER BY conn_id, exchange_seq`
  }

  /** Per exchange: how often it is on each side, and a sum of hashes of all columns that count. */
  #keys(): string {
    return `SELECT conn_id, exchange_seq, countIf(side = 0) AS a, countIf(side = 1) AS b,
      sumIf(hash, side = 0) AS ha, sumIf(hash, side = 1) AS hb FROM (${this.#both('cityHash64(', ')')})
      GROUP BY conn_id, exchange_seq`
  }

  async #changedColumns(): Promise<(readonly [string, number])[]> {
    const each = (column: string) => `cityHash64(${column})`
    const changed = `SELECT conn_id, exchange_seq FROM (${this.#keys()}) WHERE ${CHANGED}`
    const rows = await this.#rows(`SELECT n, count() AS flows FROM (
        SELECT anyIf(hash, side = 0) AS x, anyIf(hash, side = 1) AS y FROM (${this.#both('[', ']', each)})
        WHERE (conn_id, exchange_seq) IN (${changed}) GROUP BY conn_id, exchange_seq)
      ARRAY JOIN arrayEnumerate(x) AS n WHERE x[n] != y[n] GROUP BY n ORDER BY flows DESC, n`)
    return rows.map(({ n, flows }) => [this.#columns[Number(n) - 1], Number(flows)] as const)
  }

  #both(open: string, close: string, each = (column: string) => column): string {
    const hash = `${open}${this.#columns.map((name) => each(comparable(name))).join(', ')}${close}`
    const side = ({ table }: FlowSet, number: number) =>
      `SELECT toUInt8(${number}) AS side, conn_id, exchange_seq, ${hash} AS hash FROM klartext.${table} WHERE ${this.#condition}`
    return `${side(this.#before, 0)} UNION ALL ${side(this.#after, 1)}`
  }

  async #rows(sql: string): Promise<Record<string, string>[]> {
    return jsonRows(await this.#store.query(sql, 'JSONStringsEachRow'))
  }
}

const EQUAL = 'a > 0 AND a = b AND ha = hb'
const CHANGED = 'a > 0 AND b > 0 AND (a != b OR ha != hb)'
const MAPS: ReadonlySet<string> = new Set(
  FLOW_COLUMNS.filter(({ kind }) => kind === 'map' || kind === 'pairs').map(({ name }) => name),
)

/** The order of a map's entries says nothing. */
function comparable(name: string): string {
  return MAPS.has(name) ? `mapSort(${name})` : name
}

function keyText(row: Readonly<Record<string, string>>): string {
  return `${row.conn_id}/${row.exchange_seq}`
}
