/** The embedded store for other programs: ClickHouse's HTTP interface on a TCP port. */
import type { ChdbStore } from './store.js'

export interface HttpServerOptions {
  /** 0 = any free one. */
  readonly port: number
  readonly host: string
  /** INSERT and DDL too; files and other hosts stay out of reach of statements. */
  readonly allowWrites?: boolean
}

export interface HttpEndpoint {
  readonly port: number
  /** Ends at once, running statements included. */
  close(): Promise<void>
}

/** Resolves when it listens. Throws KlartextError `PORT_IN_USE` where it cannot. */
export async function serveClickHouseHttp(store: ChdbStore, options: HttpServerOptions): Promise<HttpEndpoint> {
  const { host, port, allowWrites = false } = options
  const endpoint = await store.engine.listen({ host, port, role: allowWrites ? 'writer' : 'reader' })
  return { port: endpoint.port, close: () => store.engine.unlisten(endpoint.id) }
}
