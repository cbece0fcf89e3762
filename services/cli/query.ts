/** Where queries go: CLICKHOUSE_URL, a running `klartext up`, or the embedded store itself. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ChdbStore, defaultDataDir, storeHolder } from '../adapters/chdb/store.js'
import { ClickHouseStore } from '../adapters/clickhouse/store.js'
import { KlartextError } from '../core/errors.js'
import { ENDPOINT_FILE } from './commands/up.js'
import { serverUrl } from './server_url.js'

export interface Queries {
  run(sql: string, format: string): Promise<Buffer>
  close(): Promise<void>
}

/** Is there anything to be asked? */
export function isStore(dataDir: string): boolean {
  return serverUrl('CLICKHOUSE_URL') !== null || existsSync(join(dataDir, 'store'))
}

export async function openQueries(dataDir: string = defaultDataDir()): Promise<Queries> {
  const url = serverUrl('CLICKHOUSE_URL') ?? runningEndpoint(dataDir)
  if (url !== null) {
    const server = new ClickHouseStore({ url })
    return { run: (sql, format) => server.statement(sql, format), close: () => server.close() }
  }
  if (!isStore(dataDir)) {
    throw new KlartextError('NO_STORE', `nothing is stored in ${dataDir} yet: run klartext up or klartext demo first`)
  }
  const store = await ChdbStore.open(dataDir)
  return { run: (sql, format) => store.query(sql, format), close: () => store.close() }
}

function runningEndpoint(dataDir: string): string | null {
  try {
    if (storeHolder(dataDir) === null) return null
    return readFileSync(join(dataDir, ENDPOINT_FILE), 'utf8').trim() || null
  } catch {
    return null
  }
}
