/** The Store on a ClickHouse, over HTTP: a server, or the embedded engine behind its socket. */
import { Agent } from 'node:http'
import { Readable } from 'node:stream'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { KlartextError } from '../../core/errors.js'
import type { FlowMessages, Store, TableName, TableRows } from '../../core/ports/store.js'
import { jsonRows } from '../../core/wire/json_rows.js'
import { storeError } from './errors.js'
import { flowBlock } from './flow_block.js'
import { applyMigrations, type MigrationTarget, planMigrations } from './migrate.js'
import { nativeBlock, TABLE_COLUMNS } from './native_block.js'

/** Longer than the engine lets a statement run. */
const REQUEST_MS_MAX = 330_000
const CONNECTIONS_MAX = 16

export interface ClickHouseStoreOptions {
  /** `http://user:password@host:8123`; the host part is free when `socketPath` is given. */
  readonly url: string
  readonly socketPath?: string
  /** How errors name this store; the URL without credentials by default. */
  readonly label?: string
}

export class ClickHouseStore implements Store {
  readonly #client: ClickHouseClient
  readonly #label: string

  constructor(options: ClickHouseStoreOptions) {
    const { socketPath } = options
    this.#client = createClient({
      url: options.url,
      request_timeout: REQUEST_MS_MAX,
      max_open_connections: CONNECTIONS_MAX,
      // What goes wrong is thrown; the client's own lines would stand between a command's output.
      log: { level: ClickHouseLogLevel.OFF },
      ...(socketPath === undefined
        ? {}
        : { http_agent: new Agent({ keepAlive: true, socketPath, maxSockets: CONNECTIONS_MAX } as never) }),
    })
    const { protocol, host } = new URL(options.url)
    this.#label = options.label ?? `${protocol}//${host}`
  }

  async insert<T extends TableName>(
    table: T,
    rows: readonly TableRows[T][],
    token: string,
    into: string = table,
  ): Promise<void> {
    if (rows.length > 0) await this.#insertBlock(table, into, nativeBlock(table, rows), rows.length, token)
  }

  async insertFlows(flows: FlowMessages, token: string): Promise<void> {
    const { length } = flows.messages
    if (length > 0) await this.#insertBlock('flows', 'flows', flowBlock(flows), length, token)
  }

  async #insertBlock(table: TableName, into: string, block: Buffer, rows: number, token: string): Promise<void> {
    const columns = TABLE_COLUMNS[table].map(({ name }) => name).join(', ')
    try {
      const { stream } = await this.#client.exec({
        query: `INSERT INTO klartext.${into} (${columns}) FORMAT Native`,
        values: Readable.from([block], { objectMode: false }),
        clickhouse_settings: {
          insert_deduplication_token: token,
          insert_deduplicate: 1,
          deduplicate_blocks_in_dependent_materialized_views: 1,
          // Defaults of ClickHouse 26; a token names one block that is there when the call returns.
          async_insert: 0,
          wait_end_of_query: 1,
          // One block stays one block, or the token would name parts of it.
          max_insert_block_size: String(Math.max(1_048_449, rows)),
          // Late rows may be of many days.
          max_partitions_per_insert_block: '0',
        },
      })
      stream.resume()
    } catch (error) {
      throw storeError(error, this.#label)
    }
  }

  /** `parameters`: values of `{name:Type}` in the statement. */
  async query(sql: string, format: string, parameters: Readonly<Record<string, unknown>> = {}): Promise<Buffer> {
    return this.#exec(sql, { default_format: format, readonly: '1' }, parameters)
  }

  /** Any statement of whoever asks, as it is; `format` is for one that names none. */
  async statement(sql: string, format: string): Promise<Buffer> {
    return this.#exec(sql, { default_format: format }, {})
  }

  /** Runs a statement for its effect. */
  async command(sql: string): Promise<void> {
    await this.#exec(sql, {}, {})
  }

  /** Brings the schema up to date; answers the names of the files that ran. */
  async migrate(): Promise<string[]> {
    return applyMigrations(this.migrationTarget())
  }

  /** Throws `SCHEMA_BEHIND`, to be tried again, while files of the schema have not run on this store. */
  async checkSchema(): Promise<void> {
    const missing = await planMigrations(this.migrationTarget())
    if (missing.length === 0) return
    const what = `${missing.length} files of its schema have not run, from ${missing[0].name} on`
    throw new KlartextError('SCHEMA_BEHIND', `${this.#label}: ${what}: klartext migrate apply`, { retryable: true })
  }

  migrationTarget(): MigrationTarget {
    return {
      command: (sql) => this.command(sql),
      rows: async (sql) => jsonRows(await this.query(sql, 'JSONEachRow')),
    }
  }

  async #exec(
    sql: string,
    settings: Readonly<Record<string, string>>,
    parameters: Readonly<Record<string, unknown>>,
  ): Promise<Buffer> {
    try {
      const { stream } = await this.#client.exec({
        query: sql,
        query_params: { ...parameters },
        // What fails half-way fails as a whole: otherwise its error would stand at the end of an answer that looks good.
        clickhouse_settings: { ...settings, wait_end_of_query: 1 } as never,
      })
      const parts: Buffer[] = []
      for await (const part of stream) parts.push(part as Buffer)
      return Buffer.concat(parts)
    } catch (error) {
      throw storeError(error, this.#label)
    }
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}
