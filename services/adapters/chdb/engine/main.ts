/**
 * The process that holds the ClickHouse engine. On its own, because a call into the engine holds threads and memory of its
 * process, and a statement that kills the engine must not take the capture with it. It lives as long as the channel to its
 * starter: when that is killed, the channel closes and the store is left in order.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { KlartextError } from '../../../core/errors.js'
import { ClickHouseHttp, type Role } from '../http/server.js'
import type { Engine } from './engine.js'
import { type EngineStart, type FromEngine, type Listen, socketPath, type ToEngine } from './messages.js'

/** What still runs when the process has to go gets so long. */
const CLOSE_MS = 10_000

const { dataDir, runDir } = JSON.parse(process.argv[2]) as EngineStart
const servers = new Map<number, ClickHouseHttp>()
let closing: Promise<void> | null = null

// A Ctrl-C or a stop of the whole group reaches this process too, but its starter still has rows to hand over.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

function say(message: FromEngine): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

function failed(id: number, error: unknown): void {
  const { code, message } = error as KlartextError
  say({ op: 'failed', id, code: error instanceof KlartextError ? code : 'STORE_FAILED', message })
}

async function start(): Promise<void> {
  const insertDir = join(dataDir, 'inserts')
  mkdirSync(insertDir, { recursive: true, mode: 0o700 })
  // Of a process that was killed: half an insert, pipes, the socket.
  for (const folder of [insertDir, runDir]) {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { force: true })
  }
  const { Engine } = await import('./engine.js').catch((error: Error) => {
    throw new KlartextError('STORE_UNAVAILABLE', `the embedded store cannot be loaded: ${error.message.split('\n')[0]}`)
  })
  const engine = new Engine(join(dataDir, 'store'), runDir)
  const [version, timezone] = (await engine.text('SELECT version(), timezone()')).trim().split('\t')
  const serve = (role: Role, hosts: ReadonlySet<string> | null) =>
    new ClickHouseHttp(engine, { role, hosts, insertDir, version, timezone })

  const listen = ({ id, host, port, role }: Listen) => {
    const endpoint = serve(role, namesOf(host))
    endpoint.server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use' : error.message
      failed(id, new KlartextError('PORT_IN_USE', `${host}:${port} ${why}; choose another with --port`))
    })
    endpoint.server.listen(port, host, () => {
      servers.set(id, endpoint)
      const address = endpoint.server.address()
      say({ op: 'listening', id, port: typeof address === 'object' ? (address?.port ?? port) : port })
    })
  }
  const owner = serve('owner', null)
  await new Promise<void>((resolve, reject) => {
    owner.server.once('error', reject)
    owner.server.listen(socketPath(runDir), resolve)
  })

  process.on('message', (message: ToEngine) => {
    if (message.op === 'listen') listen(message)
    else if (message.op === 'close') void close(engine, owner)
    else {
      stop(servers.get(message.id))
      servers.delete(message.id)
      say({ op: 'unlistened', id: message.id })
    }
  })
  process.on('disconnect', () => void close(engine, owner))
  say({ op: 'ready', version })
  if (!process.connected) await close(engine, owner)
}

/** On a loopback address the names of this host; elsewhere any, since other hosts know it by names of their own. */
function namesOf(host: string): ReadonlySet<string> | null {
  const loopback = /^(127\.|localhost$|::1$)/.test(host)
  return loopback ? new Set(['localhost', '127.0.0.1', '[::1]', '::1', host]) : null
}

function stop(endpoint: ClickHouseHttp | undefined): void {
  endpoint?.server.close()
  endpoint?.server.closeAllConnections()
}

function close(engine: Engine, owner: ClickHouseHttp): Promise<void> {
  closing ??= (async () => {
    for (const endpoint of servers.values()) stop(endpoint)
    owner.server.close()
    const limit = setTimeout(() => process.exit(1), CLOSE_MS)
    await engine.close()
    clearTimeout(limit)
    rmSync(runDir, { recursive: true, force: true })
    process.exit(0)
  })()
  return closing
}

start().catch((error) => {
  failed(-1, error)
  // The message must leave before the process does.
  setTimeout(() => process.exit(1), 100)
})
