/**
 * ClickHouse as a library in this process, with its data in a folder. chDB's own session is used and not its hook for
 * @clickhouse/client: through the hook a setting of one request stays for the next (an insert token once swallowed the two
 * inserts after it) and binary results come out as text. Calls run on the engine's threads and do not block.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Session } from 'chdb'
import { KlartextError } from '../../core/errors.js'
import type { Flow } from '../../core/flow.js'
import type { Store, TableName, TableRows } from '../../core/ports/store.js'
import { flowToJson, isoTime } from '../../core/wire/flow_json.js'
import { migrate } from '../clickhouse/migrations.js'

export function defaultDataDir(): string {
  const base = process.env.XDG_DATA_HOME || join(homedir(), '.local/share')
  return join(base, 'klartext')
}

const TIME_COLUMNS = new Set(['ts', 'end_ts'])

export class ChdbStore implements Store {
  readonly dataDir: string
  readonly #session: Session

  private constructor(dataDir: string, session: Session) {
    this.dataDir = dataDir
    this.#session = session
  }

  /** Opens or makes the store and brings its schema up to date. One process at a time may hold a folder. */
  static async open(dataDir: string): Promise<ChdbStore> {
    lock(dataDir)
    const { Session } = await import('chdb').catch((error: Error) => {
      throw new KlartextError(
        'STORE_UNAVAILABLE',
        `the embedded store cannot be loaded: ${error.message.split('\n')[0]}`,
      )
    })
    try {
      const store = new ChdbStore(dataDir, new Session(join(dataDir, 'store')))
      await migrate({
        command: async (sql) => {
          await store.query(sql, 'Null')
        },
        rows: async (sql) => lines(await store.query(sql, 'JSONEachRow')),
      })
      return store
    } catch (error) {
      unlock(dataDir)
      throw error instanceof KlartextError ? error : storeError(error, `${dataDir}: `)
    }
  }

  async insert<T extends TableName>(table: T, rows: readonly TableRows[T][], token: string): Promise<void> {
    if (rows.length === 0) return
    const toJson = table === 'flows' ? (row: unknown) => flowToJson(row as Flow) : rowToJson
    try {
      await this.#session.insert({
        table: `klartext.${table}`,
        values: `${rows.map(toJson).join('\n')}\n`,
        format: 'JSONEachRow',
        settings: { insert_deduplication_token: token, date_time_input_format: 'best_effort', async_insert: 0 },
      })
    } catch (error) {
      throw storeError(error)
    }
  }

  async query(sql: string, format: string, parameters: Readonly<Record<string, string>> = {}): Promise<Buffer> {
    try {
      const options = { format }
      const bound = Object.keys(parameters).length > 0
      const result = bound
        ? await this.#session.queryBindAsync(sql, parameters, options)
        : await this.#session.queryAsync(sql, options)
      return Buffer.from(result.bytes())
    } catch (error) {
      throw storeError(error)
    }
  }

  async close(): Promise<void> {
    this.#session.close()
    unlock(this.dataDir)
  }
}

function lines(json: Buffer): Record<string, unknown>[] {
  const text = json.toString('utf8')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

function rowToJson(row: object): string {
  const fields = Object.entries(row).map(([name, value]) => [
    name,
    TIME_COLUMNS.has(name) ? isoTime(value as number) : value,
  ])
  return JSON.stringify(Object.fromEntries(fields))
}

/** ClickHouse codes after which the same call may succeed: timeouts, memory, disk, too many parts. */
const RETRYABLE = new Set([159, 209, 210, 241, 243, 252, 999])

function storeError(error: unknown, where = ''): KlartextError {
  const message = (error as Error).message
  const code = Number(/Code: (\d+)/.exec(message)?.[1] ?? 0)
  return new KlartextError(code === 0 ? 'STORE_FAILED' : `CLICKHOUSE_${code}`, where + message.trim(), {
    retryable: RETRYABLE.has(code),
    cause: error,
  })
}

function lock(dataDir: string): void {
  const path = join(dataDir, 'lock')
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    writeFileSync(path, String(process.pid), { flag: 'wx', mode: 0o600 })
    return
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new KlartextError(
        'STORE_UNWRITABLE',
        `cannot write to the store in ${dataDir}: ${(error as Error).message}`,
      )
    }
  }
  const holder = Number(readFileSync(path, 'utf8'))
  if (holder !== process.pid && isAlive(holder)) {
    throw new KlartextError('STORE_IN_USE', `the store in ${dataDir} is in use by process ${holder}`)
  }
  // Whoever held it is gone (kill -9, power cut).
  writeFileSync(path, String(process.pid), { mode: 0o600 })
}

function unlock(dataDir: string): void {
  rmSync(join(dataDir, 'lock'), { force: true })
}

export function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
