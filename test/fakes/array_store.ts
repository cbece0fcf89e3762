/**
 * A Store in an array that fails as told, with ClickHouse's rule for tokens: an insert whose token is known adds nothing. A
 * rollup stands for those that views fill: it has tokens of its own, and may have missed what the table has.
 */
import { KlartextError } from '../../services/core/errors.js'
import type { FlowMessages, Store, TableName, TableRows } from '../../services/core/ports/store.js'
import { decodeFlow } from '../../services/core/wire/flow.js'

/** before: nothing was stored; half: the rows were, the rollup not; after: all was, but the answer was lost. */
export type Failure = 'none' | 'before' | 'half' | 'after'

export class ArrayStore implements Store {
  readonly rows: { [T in TableName]: TableRows[T][] } = {
    flows: [],
    connections: [],
    coverage: [],
    pods: [],
    findings: [],
    detect_runs: [],
    replays: [],
    replay_parts: [],
  }
  readonly inserts: { table: TableName; token: string; count: number; fresh: boolean }[] = []
  /** Flows by protocol and outcome. */
  readonly rollup = new Map<string, number>()
  readonly #tokens = new Map<string, string>()
  readonly #rollupTokens = new Set<string>()
  /** Asked before each insert. */
  fail: () => Failure = () => 'none'

  async insert<T extends TableName>(table: T, rows: readonly TableRows[T][], token: string): Promise<void> {
    const failure = this.fail()
    if (failure === 'before') throw new KlartextError('STORE_UNREACHABLE', 'the store is away', { retryable: true })
    const content = JSON.stringify(rows)
    const known = this.#tokens.get(token)
    this.inserts.push({ table, token, count: rows.length, fresh: known === undefined })
    if (known !== undefined && known !== content) throw new Error(`the token ${token} named other rows before`)
    if (known === undefined) {
      this.#tokens.set(token, content)
      this.rows[table].push(...rows)
    }
    if (failure === 'half') throw new KlartextError('STORE_UNREACHABLE', 'it broke off', { retryable: true })
    if (table === 'flows' && !this.#rollupTokens.has(token)) {
      this.#rollupTokens.add(token)
      for (const { protocol, outcome } of rows as readonly TableRows['flows'][]) {
        const key = `${protocol} ${outcome}`
        this.rollup.set(key, (this.rollup.get(key) ?? 0) + 1)
      }
    }
    if (failure === 'after') throw new KlartextError('STORE_UNREACHABLE', 'the answer was lost', { retryable: true })
  }

  insertFlows({ messages, partition, first }: FlowMessages, token: string): Promise<void> {
    const rows = messages.map((message) => ({ ...decodeFlow(message), in_partition: partition, batch_first: first }))
    return this.insert('flows', rows, token)
  }

  async query(): Promise<Buffer> {
    throw new KlartextError('STORE_FAILED', 'an array answers no queries')
  }

  async command(): Promise<void> {
    throw new KlartextError('STORE_FAILED', 'an array runs no statements')
  }

  async close(): Promise<void> {}
}
