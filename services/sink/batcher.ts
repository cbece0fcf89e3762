/** Rows on their way to the store: gathered, inserted in blocks with a token each, kept through an outage of the store. */
import { KlartextError } from '../core/errors.js'
import type { Store, TableName, TableRows } from '../core/ports/store.js'

/** Large blocks keep the number of parts low; a person who waits for a row waits at most AGE_MS. */
const BLOCK_ROWS_MAX = 50_000
const AGE_MS = 500
/** While the store refuses, so many rows wait; the producer is told to wait beyond it (`full`). */
const WAITING_ROWS_MAX = 500_000
const RETRY_MS_MAX = 5_000

type Waiting = { [T in TableName]: TableRows[T][] }

export class StoreBatcher {
  readonly #store: Store
  readonly #run: string
  #waiting: Waiting = { flows: [], connections: [], coverage: [], findings: [], detect_runs: [] }
  #blocks = 0
  #timer: NodeJS.Timeout | null = null
  #flushing: Promise<void> | null = null
  #failure: unknown = null
  inserted = 0
  retries = 0

  /** `run` names this run: tokens of two runs never meet. */
  constructor(store: Store, run: string) {
    this.#store = store
    this.#run = run
  }

  add<T extends TableName>(table: T, row: TableRows[T]): void {
    this.#waiting[table].push(row)
    if (this.#waiting[table].length >= BLOCK_ROWS_MAX) this.#flushLater()
    else this.#timer ??= setTimeout(() => this.#flushLater(), AGE_MS)
  }

  /** Nobody waits for this flush: what it fails with is thrown by the next one that somebody waits for. */
  #flushLater(): void {
    this.flush().catch((error: unknown) => {
      this.#failure ??= error
    })
  }

  /** A store that refuses for good was found: the producer should end. */
  get failed(): boolean {
    return this.#failure !== null
  }

  get waiting(): number {
    return this.#waiting.flows.length + this.#waiting.connections.length + this.#waiting.coverage.length
  }

  get full(): boolean {
    return this.waiting >= WAITING_ROWS_MAX
  }

  /** Resolves when all rows added before are stored. One flush at a time; a further call waits for the next. */
  async flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    while (this.#flushing !== null) await this.#flushing
    if (this.#failure !== null) throw this.#failure
    if (this.waiting === 0) return
    this.#flushing = this.#flushAll()
    try {
      await this.#flushing
    } finally {
      this.#flushing = null
    }
  }

  async #flushAll(): Promise<void> {
    const rows = this.#waiting
    this.#waiting = { flows: [], connections: [], coverage: [], findings: [], detect_runs: [] }
    for (const table of ['flows', 'connections', 'coverage'] as const) await this.#insert(table, rows[table])
  }

  async #insert<T extends TableName>(table: T, rows: readonly TableRows[T][]): Promise<void> {
    for (let at = 0; at < rows.length; at += BLOCK_ROWS_MAX) {
      const block = rows.slice(at, at + BLOCK_ROWS_MAX)
      const token = `${this.#run}/${table}/${this.#blocks++}`
      for (let pauseMs = 100; ; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
        try {
          await this.#store.insert(table, block, token)
          this.inserted += block.length
          break
        } catch (error) {
          if (!(error instanceof KlartextError) || !error.retryable) throw error
          // The token makes a second try of a block that did arrive harmless.
          this.retries += 1
          await new Promise((resolve) => setTimeout(resolve, pauseMs))
        }
      }
    }
  }
}
