/** Looks at a service from outside: /livez, /readyz, /metrics (Prometheus) and /status (JSON, for people). Reads only. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KlartextError } from '../../core/errors.js'
import type { Health } from '../../core/telemetry/health.js'
import { type MetricFamily, metricsText, TEXT_FORMAT } from '../../core/telemetry/metrics.js'

const HEADERS_MS_MAX = 10_000
const CONNECTIONS_MAX = 64

export interface OperationsOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly health: Health
  readonly metrics: () => readonly MetricFamily[]
  readonly status: () => unknown
  /** A connection could not be accepted; the server goes on. */
  readonly onError?: (error: Error) => void
}

export interface OperationsServer {
  readonly port: number
  close(): void
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly text: string
}

/** What is no HTTP is answered 400 and hung up on. Resolves when it listens. Throws KlartextError `PORT_IN_USE` where it cannot. */
export async function serveOperations(options: OperationsOptions): Promise<OperationsServer> {
  const { host, port } = options
  const server: Server = createServer({ headersTimeout: HEADERS_MS_MAX }, (request, response) => {
    try {
      send(request, response, answer(options, request))
    } catch (error) {
      send(request, response, line(500, (error as Error).message))
    }
  })
  server.maxConnections = CONNECTIONS_MAX
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new KlartextError('PORT_IN_USE', `operations server at ${host}:${port}: ${(error as Error).message}`)
  }
  server.on('error', (error) => options.onError?.(error))
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

function answer({ health, metrics, status }: OperationsOptions, { method, url = '/' }: IncomingMessage): Answer {
  if (method !== 'GET' && method !== 'HEAD') return line(405, `${method} is not served here`)
  switch (url.split('?')[0]) {
    case '/livez':
      return health.stuck === null ? line(200, 'ok') : line(503, health.stuck)
    case '/readyz':
      return health.notReady === null ? line(200, 'ok') : line(503, health.notReady)
    case '/metrics':
      return { status: 200, type: TEXT_FORMAT, text: metricsText(metrics()) }
    case '/status':
      return { status: 200, type: 'application/json', text: `${JSON.stringify(status(), shown, 2)}\n` }
    default:
      return line(404, 'served here: /livez, /readyz, /metrics, /status')
  }
}

const line = (status: number, text: string): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  text: `${text}\n`,
})
const shown = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)

function send(request: IncomingMessage, response: ServerResponse, { status, type, text }: Answer): void {
  request.resume()
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) })
  response.end(request.method === 'HEAD' ? undefined : text)
}
