/** A Store in an array that fails as told, with ClickHouse's rule for tokens: an insert whose token is known adds nothing. */
import { KlartextError } from '../../services/core/errors.js'
import type { Store, TableName, TableRows } from '../../services/core/ports/store.js'

/** before: nothing was stored; after: it was, but the answer was lost. */
export type Failure = 'none' | 'before' | 'after'

export class ArrayStore implements Store {
  readonly rows: { [T in TableName]: TableRows[T][] } = {
    flows: [],
    connections: [],
    coverage: [],
    findings: [],
    detect_runs: [],
    replays: [],
    replay_parts: [],
  }
  readonly inserts: { table: TableName; token: string; count: number; fresh: boolean }[] = []
  readonly #tokens = new Map<string, string>()
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
    if (failure === 'after') throw new KlartextError('STORE_UNREACHABLE', 'the answer was lost', { retryable: true })
  }

  async query(): Promise<Buffer> {
    throw new KlartextError('STORE_FAILED', 'an array answers no queries')
  }

  async command(): Promise<void> {
    throw new KlartextError('STORE_FAILED', 'an array runs no statements')
  }

  async close(): Promise<void> {}
}
