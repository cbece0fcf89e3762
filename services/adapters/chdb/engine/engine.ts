/**
 * The ClickHouse engine in this process. One session per statement: chDB keeps what a session was SET and, after an error,
 * even parts of its output, so that nothing of one statement may reach the next. A session costs 0.3 ms.
 */
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Session } from 'chdb'
import { KlartextError } from '../../../core/errors.js'
import { type Outlet, Outlets } from './outlet.js'
import { engineError, literal } from './statement.js'

/** Results on their way at once; each holds a thread of the pool (`THREADS`), most of them waiting for disk or reader. */
const RESULTS_MAX = 32
/** Inserts and short internal statements beside them. */
export const THREADS = RESULTS_MAX + 16

export interface Run {
  readonly sql: string
  readonly database: string
  readonly settings: ReadonlyMap<string, string>
  /** Values of `{name:Type}`, as in the URL parameter `param_name`. */
  readonly parameters: ReadonlyMap<string, string>
  /** The engine itself refuses whatever changes data or settings, and all table functions that reach outside. */
  readonly readOnly: boolean
}

export interface Summary {
  readonly readRows: number
  readonly readBytes: number
  readonly elapsedNs: number
}

export interface Running {
  readonly stream: Readable
  /** Settles when the engine is done; what is in the stream by then is still to be read. */
  readonly done: Promise<Summary>
  cancel(): void
}

/** What a session of the embedded engine has otherwise than one of a server. */
const LIKE_A_SERVER: readonly (readonly [string, string])[] = [
  ['implicit_select', '0'],
  ['allow_introspection_functions', '0'],
  ['async_insert', '0'],
]

export class Engine {
  readonly #path: string
  /** Keeps the data folder open and runs internal statements. */
  readonly #control: Session
  readonly #outlets: Outlets
  readonly #cancels = new Set<() => void>()
  readonly #pending = new Set<Promise<unknown>>()
  #statements = 0

  /** `dataDir` is held from here on; `runDir` is a private folder for pipes. Throws what the engine says. */
  constructor(dataDir: string, runDir: string) {
    this.#path = dataDir
    try {
      this.#control = new Session(dataDir)
      // The engine's own `default` database shows the files of the host as tables.
      this.#control.query('DROP DATABASE IF EXISTS default')
      this.#control.query('CREATE DATABASE default ENGINE = Memory')
    } catch (error) {
      throw asEngineError(error)
    }
    this.#outlets = new Outlets(runDir, RESULTS_MAX)
  }

  /** Runs a statement that answers rows, in any output format. Rejects at once when too many are running. */
  read(run: Run, format: string): Running {
    const outlet = this.#outlets.take()
    if (outlet === null) {
      throw engineError(202, `Too many simultaneous queries. Maximum: ${RESULTS_MAX}`, 'TOO_MANY_SIMULTANEOUS_QUERIES')
    }
    const id = `klartext-${this.#statements++}`
    const sql = withOutfile(run.sql, outlet, format)
    const done = this.#inSession({ ...run, sql }, id).finally(() => outlet.finish())
    let over = false
    const cancel = () => {
      outlet.abandon()
      if (!over) this.#kill(id)
      over = true
    }
    this.#cancels.add(cancel)
    const settled = () => {
      over = true
      this.#cancels.delete(cancel)
    }
    done.then(settled, settled)
    return { stream: outlet.stream, done, cancel }
  }

  #kill(id: string): void {
    const kill = `KILL QUERY WHERE Settings['log_comment'] = ${literal(id)} ASYNC`
    this.#track(this.#control.queryAsync(kill)).catch(() => {})
  }

  /** Runs a statement whose answer does not matter. */
  command(run: Run): Promise<Summary> {
    return this.#inSession(run, `klartext-${this.#statements++}`)
  }

  /** The answer of a short statement of our own, as text. */
  async text(sql: string): Promise<string> {
    const session = new Session(this.#path)
    try {
      return (await this.#track(session.queryAsync(sql, { format: 'TabSeparatedRaw' }))).text()
    } catch (error) {
      throw asEngineError(error)
    } finally {
      session.close()
    }
  }

  async #inSession(run: Run, id: string): Promise<Summary> {
    const session = new Session(this.#path)
    try {
      const settings = [...LIKE_A_SERVER, ...run.settings, ['log_comment', id]]
      for (const [name, value] of run.parameters) settings.push([`param_${name}`, value])
      if (run.readOnly) settings.push(['readonly', '1'])
      const assignments = settings.map(([name, value]) => `${name} = ${literal(value)}`).join(', ')
      await this.#track(session.queryAsync(`USE ${identifier(run.database)}; SET ${assignments}`))
      const result = await this.#track(session.queryAsync(run.sql))
      return { readRows: result.rowsRead, readBytes: result.bytesRead, elapsedNs: Math.round(result.elapsed * 1e9) }
    } catch (error) {
      throw asEngineError(error)
    } finally {
      session.close()
    }
  }

  #track<T>(call: Promise<T>): Promise<T> {
    this.#pending.add(call)
    const settled = () => this.#pending.delete(call)
    call.then(settled, settled)
    return call
  }

  /** Cancels what reads, waits for what writes. */
  async close(): Promise<void> {
    for (const cancel of this.#cancels) cancel()
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending)
    this.#control.close()
  }
}

/** Order of the clauses: INTO OUTFILE, FORMAT, SETTINGS; SETTINGS of a SELECT may also stand before. */
function withOutfile(sql: string, outlet: Outlet, format: string): string {
  return `${sql} INTO OUTFILE ${literal(outlet.path)} TRUNCATE FORMAT ${format}`
}

export function identifier(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``
}

export function insertFile(folder: string, number: number): string {
  return join(folder, `insert-${number}`)
}

/**
 * Its message once, where the engine nests it in itself. Whether the same call may succeed later is for who asked over HTTP to
 * know, by the code.
 */
export function asEngineError(error: unknown): KlartextError {
  if (error instanceof KlartextError) return error
  let message = (error as Error).message.replace(/^Query failed: /, '').trim()
  message = message.replace(/^(?:Code: \d+\. DB::Exception: )+(?=Code: \d+\. DB::Exception: )/, '')
  message = message.replace(/(\([A-Z_0-9]+\)) \(version [^)]*\)(?:\. \1| \(version [^)]*\))*\.?$/, '$1')
  const code = Number(/^Code: (\d+)\./.exec(message)?.[1] ?? 0)
  if (code === 0)
    return new KlartextError('STORE_FAILED', message || 'the engine failed without a message', { cause: error })
  return new KlartextError(`CLICKHOUSE_${code}`, message, { cause: error })
}
