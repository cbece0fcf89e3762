/**
 * The engine behind ClickHouse's HTTP interface (docs: "HTTP Interface"): for curl, @clickhouse/client, Grafana and others,
 * read-only unless told otherwise, and for klartext's own processes over a private socket.
 */
import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { availableParallelism, totalmem } from 'node:os'
import { KlartextError } from '../../../core/errors.js'
import { type Engine, insertFile, type Run } from '../engine/engine.js'
import {
  assertFormat,
  assertOnlyReads,
  assertStaysInside,
  describeStatement,
  engineError,
  literal,
  type Statement,
  splitInsert,
} from '../engine/statement.js'
import { sendError, sendResult, sendText, summaryJson } from './answer.js'
import { bodyToFile, readBody } from './body.js'
import { type Bounds, SettingsPolicy } from './settings.js'

/** The engine parses at most 256 KiB of a statement (max_query_size) unless asked for more. */
const STATEMENT_BYTES_MAX = 1 << 20
/** One insert; a sink sends at most 64 MiB. */
const INSERT_BYTES_MAX = 256 << 20
/** Requests that run or wait to run; what comes on top is refused with TOO_MANY_SIMULTANEOUS_QUERIES. */
const REQUESTS_MAX = 64

/** reader: statements of strangers. writer: the owner's clients, INSERT and DDL, no files. owner: klartext itself. */
export type Role = 'reader' | 'writer' | 'owner'

/** One statement may take so much of the host and no more, whatever it asks for. */
const READER_BOUNDS: Bounds = {
  max: new Map([
    ['max_execution_time', 300],
    ['max_memory_usage', Math.min(4 * 2 ** 30, Math.floor(totalmem() / 4))],
    ['max_threads', availableParallelism()],
  ]),
}

export interface ClickHouseHttpOptions {
  readonly role: Role
  /** Names under which the endpoint may be addressed; null = any. Keeps web pages from reading it by DNS rebinding. */
  readonly hosts: ReadonlySet<string> | null
  /** For bodies of inserts on their way to the engine. */
  readonly insertDir: string
  readonly version: string
  readonly timezone: string
}

export class ClickHouseHttp {
  readonly server: Server
  readonly #engine: Engine
  readonly #options: ClickHouseHttpOptions
  readonly #settings: SettingsPolicy
  #requests = 0

  constructor(engine: Engine, options: ClickHouseHttpOptions) {
    this.#engine = engine
    this.#options = options
    this.#settings = new SettingsPolicy(engine)
    // What is no HTTP is answered 400 and hung up on.
    this.server = createServer((request, response) => void this.#handle(request, response))
    this.server.on('error', ({ message }) => {
      // Before, it is for whoever makes it listen.
      if (this.server.listening) process.stderr.write(`klartext: a connection was not accepted: ${message}\n`)
    })
    this.server.keepAliveTimeout = 10_000
    // Long inserts and slow readers are the engine's bounds to stop, not the connection's.
    this.server.requestTimeout = 0
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('X-ClickHouse-Server-Display-Name', 'klartext')
    this.#requests += 1
    try {
      const url = new URL(request.url ?? '/', 'http://localhost')
      response.setHeader(
        'X-ClickHouse-Query-Id',
        url.searchParams.get('query_id')?.replace(/[^\w.:-]/g, '') || randomUUID(),
      )
      response.setHeader('X-ClickHouse-Timezone', this.#options.timezone)
      await this.#route(url, request, response)
    } catch (error) {
      sendError(response, error, this.#options.version)
    } finally {
      this.#requests -= 1
    }
  }

  async #route(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method } = request
    if (!this.#isAddressedToUs(request)) {
      return sendText(response, 403, 'klartext answers under the name of this host only\n')
    }
    if (method === 'OPTIONS') return void response.writeHead(204, { Allow: 'GET, HEAD, POST, OPTIONS' }).end()
    if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') {
      response.setHeader('Allow', 'GET, HEAD, POST, OPTIONS')
      return sendText(response, 405, `${method} is not served here\n`)
    }
    if (url.pathname === '/ping' || url.pathname === '/replicas_status') return sendText(response, 200, 'Ok.\n')
    if (url.pathname !== '/') {
      return sendText(
        response,
        404,
        `There is no handle ${url.pathname.slice(0, 200)}\n\nUse / or /ping for health checks.\n\nSend queries from your program with POST method or GET /?query=...\n`,
      )
    }
    if (this.#requests > REQUESTS_MAX) {
      throw engineError(202, `Too many simultaneous queries. Maximum: ${REQUESTS_MAX}`, 'TOO_MANY_SIMULTANEOUS_QUERIES')
    }
    if (url.searchParams.get('decompress') === '1') {
      throw engineError(48, 'decompress=1 is not served here; use Content-Encoding: gzip', 'NOT_IMPLEMENTED')
    }
    const writes = this.#options.role !== 'reader' && method === 'POST'
    if (writes && (await this.#insert(url.searchParams, request, response))) return
    await this.#statement(url.searchParams, request, response, writes)
  }

  #isAddressedToUs(request: IncomingMessage): boolean {
    const { hosts } = this.#options
    if (hosts === null) return true
    const name = String(request.headers.host ?? '').replace(/:\d+$/, '')
    return (name === '' || hosts.has(name.toLowerCase())) && request.headers['sec-fetch-site'] !== 'cross-site'
  }

  /** Serves an INSERT whose statement is in the URL and whose rows are in the body; false where it is not that. */
  async #insert(url: URLSearchParams, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const split = splitInsert(url.get('query') ?? '')
    if (split === null) return false
    const head = Buffer.from((url.get('query') ?? '').slice(split.dataAt))
    await this.#insertFrom(`${split.head} FORMAT ${split.format}`, url, response, (path) =>
      bodyToFile(request, INSERT_BYTES_MAX, path, head),
    )
    return true
  }

  async #insertFrom(
    sql: string,
    url: URLSearchParams,
    response: ServerResponse,
    fill: (path: string) => Promise<number>,
  ): Promise<void> {
    const statement = await this.#parse(sql)
    if (this.#options.role !== 'owner') assertStaysInside(statement)
    const path = insertFile(this.#options.insertDir, insertNumber++)
    try {
      const size = await fill(path)
      const from = `FROM INFILE ${literal(path)} COMPRESSION 'none' FORMAT ${statement.format ?? 'Values'}`
      const run = await this.#run(`${statement.text} ${from}`, url, false)
      const summary = size === 0 ? null : await this.#engine.command(run)
      response.setHeader('X-ClickHouse-Summary', summaryJson(summary, 0, summary?.readRows ?? 0, size))
      sendText(response, 200, '')
    } finally {
      rmSync(path, { force: true })
    }
  }

  async #statement(
    url: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
    writes: boolean,
  ): Promise<void> {
    const body = await readBody(request, writes ? INSERT_BYTES_MAX : STATEMENT_BYTES_MAX)
    if (writes && (url.get('query') ?? '') === '') {
      // Rows after the statement may be any bytes.
      const split = splitInsert(body.toString('latin1'))
      if (split !== null) {
        const sql = Buffer.from(`${split.head} FORMAT ${split.format}`, 'latin1').toString('utf8')
        const { writeFile } = await import('node:fs/promises')
        return this.#insertFrom(sql, url, response, async (path) => {
          const rows = body.subarray(split.dataAt)
          await writeFile(path, rows, { mode: 0o600, flag: 'wx' })
          return rows.length
        })
      }
    }
    const sql = [url.get('query') ?? '', body.toString('utf8')].filter(Boolean).join('\n')
    if (sql.trim() === '') {
      if (request.method === 'POST') throw engineError(62, 'Empty query', 'SYNTAX_ERROR')
      return sendText(response, 200, 'Ok.\n')
    }
    if (sql.length > STATEMENT_BYTES_MAX) throw engineError(62, 'Max query size exceeded', 'SYNTAX_ERROR')
    const statement = await this.#parse(sql)
    const readOnly = !writes || Number(url.get('readonly') ?? 0) > 0
    if (this.#options.role === 'reader' || readOnly) assertOnlyReads(statement)
    else if (this.#options.role === 'writer') assertStaysInside(statement)
    const header = request.headers['x-clickhouse-format']
    const format =
      statement.format ?? url.get('default_format') ?? (typeof header === 'string' ? header : 'TabSeparated')
    assertFormat(format)
    const run = await this.#run(statement.text, url, readOnly)
    if (statement.kind !== 'read') {
      const summary = await this.#engine.command(run)
      response.setHeader('X-ClickHouse-Summary', summaryJson(summary, 0))
      return sendText(response, 200, '')
    }
    await sendResult(this.#engine.read(run, format), response, { format, url, request })
  }

  async #parse(sql: string): Promise<Statement> {
    try {
      const canonical = await this.#engine.text(`SELECT formatQuerySingleLine(${literal(sql)})`)
      return describeStatement(canonical.replace(/\n$/, ''))
    } catch (error) {
      if (!(error instanceof KlartextError)) throw error
      // The client knows nothing of the statement around its own.
      const message = error.message.replace(/: In scope SELECT formatQuerySingleLine\(.*\)\. (?=\([A-Z_]+\)$)/s, '')
      throw new KlartextError(error.code, message, { cause: error })
    }
  }

  async #run(sql: string, url: URLSearchParams, readOnly: boolean): Promise<Run> {
    const settings = await this.#settings.choose(url, this.#options.role === 'reader' ? READER_BOUNDS : null)
    const parameters = new Map<string, string>()
    for (const [name, value] of url) {
      if (!name.startsWith('param_')) continue
      if (!/^param_\w+$/.test(name))
        throw engineError(36, 'a parameter has a name of letters, digits and _', 'BAD_ARGUMENTS')
      parameters.set(name.slice('param_'.length), value)
    }
    return { sql, database: url.get('database') || 'default', settings, parameters, readOnly }
  }
}

let insertNumber = 0
