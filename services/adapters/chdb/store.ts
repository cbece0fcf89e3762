/**
 * The Store without a server: the ClickHouse engine in a process of its own beside this one, spoken to through the same
 * @clickhouse/client as a server, over a private socket. chDB's own hook for that client is not used: through it a setting
 * of one request stays for the next (an insert token once swallowed the two inserts after it) and bodies pass as text.
 */
import { KlartextError } from '../../core/errors.js'
import type { FlowMessages, Store, TableName, TableRows } from '../../core/ports/store.js'
import { ClickHouseStore } from '../clickhouse/store.js'
import { lockDataDir, storeHolder, unlockDataDir } from './data_dir.js'
import { socketPath } from './engine/messages.js'
import { EngineProcess, runningSocket } from './engine_process.js'

export { defaultDataDir, storeHolder } from './data_dir.js'

export class ChdbStore implements Store {
  readonly dataDir: string
  readonly engine: EngineProcess
  readonly #store: ClickHouseStore
  #closed: Promise<void> | null = null

  private constructor(dataDir: string, engine: EngineProcess) {
    this.dataDir = dataDir
    this.engine = engine
    this.#store = new ClickHouseStore({
      url: 'http://localhost',
      socketPath: socketPath(engine.runDir),
      label: `the store in ${dataDir}`,
    })
  }

  /**
   * Opens or makes the store and brings its schema up to date. One process at a time may hold a folder.
   * Throws KlartextError: `STORE_IN_USE`, `STORE_UNWRITABLE`, `STORE_UNAVAILABLE`, `SCHEMA_CHANGED`, or the engine's own.
   */
  static async open(dataDir: string): Promise<ChdbStore> {
    lockDataDir(dataDir)
    let store: ChdbStore | null = null
    try {
      store = new ChdbStore(dataDir, await EngineProcess.start(dataDir))
      await store.#store.migrate()
      return store
    } catch (error) {
      await store?.close()
      unlockDataDir(dataDir)
      throw error instanceof KlartextError
        ? error
        : new KlartextError('STORE_FAILED', `${dataDir}: ${(error as Error).message}`)
    }
  }

  /** The store that another process of this user holds, through its engine; null where none does. */
  static join(dataDir: string): ClickHouseStore | null {
    const socket = storeHolder(dataDir) === null ? null : runningSocket(dataDir)
    if (socket === null) return null
    return new ClickHouseStore({ url: 'http://localhost', socketPath: socket, label: `the store in ${dataDir}` })
  }

  insert<T extends TableName>(table: T, rows: readonly TableRows[T][], token: string, into?: string): Promise<void> {
    return this.#store.insert(table, rows, token, into)
  }

  insertFlows(flows: FlowMessages, token: string): Promise<void> {
    return this.#store.insertFlows(flows, token)
  }

  query(sql: string, format: string, parameters: Readonly<Record<string, unknown>> = {}): Promise<Buffer> {
    return this.#store.query(sql, format, parameters)
  }

  /** Runs a statement for its effect. */
  command(sql: string): Promise<void> {
    return this.#store.command(sql)
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await this.#store.close()
      await this.engine.close()
      unlockDataDir(this.dataDir)
    })()
    return this.#closed
  }
}
