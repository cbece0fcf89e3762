/** The embedded store with ClickHouse's HTTP interface (docs: "HTTP Interface"), for curl, @clickhouse/client and Grafana. */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { brotliCompressSync, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import { KlartextError } from '../../core/errors.js'
import { checkReading } from './read_only.js'
import type { ChdbStore } from './store.js'

/** Statements are text; the largest generated ones have some 100 KiB. */
const BODY_BYTES_MAX = 4 << 20
/** Statements at once; each may use all cores. */
const CONCURRENT_MAX = 16

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  JSON: 'application/json; charset=UTF-8',
  JSONCompact: 'application/json; charset=UTF-8',
  JSONEachRow: 'application/x-ndjson; charset=UTF-8',
  JSONCompactEachRow: 'application/x-ndjson; charset=UTF-8',
  CSV: 'text/csv; charset=UTF-8; header=absent',
  CSVWithNames: 'text/csv; charset=UTF-8; header=present',
  TabSeparated: 'text/tab-separated-values; charset=UTF-8',
  TabSeparatedWithNames: 'text/tab-separated-values; charset=UTF-8',
  Native: 'application/octet-stream',
  RowBinary: 'application/octet-stream',
  Parquet: 'application/octet-stream',
}

/** Status by error code as the server maps them; all others are 500. */
const STATUS: Readonly<Record<number, number>> = {
  6: 400,
  26: 400,
  27: 400,
  36: 400,
  38: 400,
  41: 400,
  43: 400,
  53: 400,
  62: 400,
  72: 400,
  117: 400,
  456: 400,
  457: 400,
  46: 404,
  47: 404,
  50: 404,
  60: 404,
  81: 404,
  115: 404,
  159: 408,
  497: 403,
}

export interface HttpServerOptions {
  readonly port: number
  readonly host: string
}

/** Resolves when it listens. Throws KlartextError `PORT_IN_USE` where it cannot. */
export async function serveClickHouseHttp(store: ChdbStore, options: HttpServerOptions): Promise<Server> {
  const endpoint = new Endpoint(store)
  const server = createServer((request, response) => void endpoint.handle(request, response))
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use' : error.message
      reject(new KlartextError('PORT_IN_USE', `${options.host}:${options.port} ${why}; choose another with --port`))
    })
    server.listen(options.port, options.host, resolve)
  })
  return server
}

class Endpoint {
  readonly #store: ChdbStore
  #running = 0

  constructor(store: ChdbStore) {
    this.#store = store
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const queryId = url.searchParams.get('query_id') || randomUUID()
    response.setHeader('X-ClickHouse-Server-Display-Name', 'klartext')
    response.setHeader('X-ClickHouse-Query-Id', queryId)
    response.setHeader('X-ClickHouse-Timezone', 'UTC')
    try {
      if (url.pathname === '/ping' || url.pathname === '/replicas_status') return plain(response, 200, 'Ok.\n')
      const body = await readBody(request)
      const sql = [url.searchParams.get('query') ?? '', body].filter(Boolean).join('\n').trim()
      if (sql === '' && url.pathname === '/') return plain(response, 200, 'Ok.\n')
      if (url.pathname !== '/') return plain(response, 404, `There is no handle ${url.pathname}\n`)
      if (url.searchParams.get('compress') === '1') {
        throw new KlartextError(
          'CLICKHOUSE_48',
          'Code: 48. DB::Exception: compress=1 is not served here; use enable_http_compression=1. (NOT_IMPLEMENTED)',
        )
      }
      if (this.#running >= CONCURRENT_MAX) {
        throw new KlartextError(
          'CLICKHOUSE_202',
          'Code: 202. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)',
        )
      }
      this.#running += 1
      try {
        await this.#answer(sql, url, request, response)
      } finally {
        this.#running -= 1
      }
    } catch (error) {
      fail(response, error)
    }
  }

  async #answer(sql: string, url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const begun = process.hrtime.bigint()
    const parameters: Record<string, string> = {}
    for (const [name, value] of url.searchParams) if (name.startsWith('param_')) parameters[name.slice(6)] = value
    const { statement, format } = await checkReading(this.#store, sql, parameters)
    const header = request.headers['x-clickhouse-format']
    const chosen =
      format ?? url.searchParams.get('default_format') ?? (typeof header === 'string' ? header : 'TabSeparated')
    if (!/^[A-Za-z0-9_]+$/.test(chosen))
      throw new KlartextError('CLICKHOUSE_73', 'Code: 73. DB::Exception: Unknown format. (UNKNOWN_FORMAT)')
    const result = await this.#store.query(statement, chosen, parameters)
    response.setHeader('Content-Type', CONTENT_TYPES[chosen] ?? 'text/plain; charset=UTF-8')
    response.setHeader('X-ClickHouse-Format', chosen)
    const elapsed = process.hrtime.bigint() - begun
    const summary = {
      read_rows: '0',
      read_bytes: '0',
      result_bytes: String(result.length),
      elapsed_ns: String(elapsed),
    }
    response.setHeader('X-ClickHouse-Summary', JSON.stringify(summary))
    const wanted =
      url.searchParams.get('enable_http_compression') === '1' ? String(request.headers['accept-encoding'] ?? '') : ''
    response.statusCode = 200
    response.end(request.method === 'HEAD' ? undefined : compressed(result, wanted, response))
  }
}

function compressed(bytes: Buffer, accepted: string, response: ServerResponse): Buffer {
  const codings = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync } as const
  for (const [name, compress] of Object.entries(codings)) {
    if (!new RegExp(`\\b${name}\\b`).test(accepted)) continue
    response.setHeader('Content-Encoding', name)
    return compress(bytes)
  }
  return bytes
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of request) {
    size += (part as Buffer).length
    if (size > BODY_BYTES_MAX) {
      throw new KlartextError(
        'CLICKHOUSE_62',
        `Code: 62. DB::Exception: the statement exceeds ${BODY_BYTES_MAX} bytes. (SYNTAX_ERROR)`,
      )
    }
    parts.push(part as Buffer)
  }
  const bytes = Buffer.concat(parts)
  const limit = { maxOutputLength: BODY_BYTES_MAX }
  const coding = request.headers['content-encoding']
  if (coding === 'gzip') return gunzipSync(bytes, limit).toString('utf8')
  if (coding === 'deflate') return inflateSync(bytes, limit).toString('utf8')
  return bytes.toString('utf8')
}

function plain(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status
  response.setHeader('Content-Type', 'text/plain; charset=UTF-8')
  response.end(text)
}

function fail(response: ServerResponse, error: unknown): void {
  const message = (error as Error).message
  const code = Number(/Code: (\d+)/.exec(message)?.[1] ?? 1002)
  response.setHeader('X-ClickHouse-Exception-Code', String(code))
  const text = message.startsWith('Code:') ? message : `Code: ${code}. DB::Exception: ${message}`
  plain(response, STATUS[code] ?? 500, `${text}\n`)
}
