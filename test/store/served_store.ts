/** The embedded engine as a ClickHouse server for tests: its HTTP interface with writing allowed, in a temporary folder. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serveClickHouseHttp } from '../../services/adapters/chdb/http_server.js'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { freePort } from '../../services/cli/demo/free_port.js'

export interface ServedStore {
  readonly url: string
  readonly store: ChdbStore
  /** Rows of a query as JSON objects. */
  rows(sql: string): Promise<Record<string, unknown>[]>
  /** No more answers, as when a server is down; `serve` brings it back at the same address. */
  refuse(): Promise<void>
  serve(): Promise<void>
  close(): Promise<void>
}

/** `folder`: where its data lies; a temporary one unless told. */
export async function serveStore(folder?: string): Promise<ServedStore> {
  const dataDir = folder ?? mkdtempSync(join(tmpdir(), 'klartext-served-'))
  const store = await ChdbStore.open(dataDir)
  const port = await freePort()
  const listen = () => serveClickHouseHttp(store, { port, host: '127.0.0.1', allowWrites: true })
  let server: Awaited<ReturnType<typeof listen>> | null = await listen()
  return {
    url: `http://127.0.0.1:${port}`,
    store,
    rows: async (sql) => {
      const text = (await store.query(sql, 'JSONEachRow')).toString()
      return text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    },
    refuse: async () => {
      await server?.close()
      server = null
    },
    serve: async () => {
      server ??= await listen()
    },
    close: async () => {
      await server?.close()
      await store.close()
      if (folder === undefined) rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
