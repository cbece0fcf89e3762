/** Where queries go: CLICKHOUSE_URL, a running `klartext up`, or the embedded store itself. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from '@clickhouse/client'
import { ChdbStore, defaultDataDir, storeHolder } from '../adapters/chdb/store.js'
import { KlartextError } from '../core/errors.js'
import { ENDPOINT_FILE } from './commands/up.js'

export interface Queries {
  run(sql: string, format: string): Promise<Buffer>
  close(): Promise<void>
}

/** Is there anything to be asked? */
export function isStore(dataDir: string): boolean {
  return process.env.CLICKHOUSE_URL !== undefined || existsSync(join(dataDir, 'store'))
}

export async function openQueries(dataDir: string = defaultDataDir()): Promise<Queries> {
  const url = process.env.CLICKHOUSE_URL ?? runningEndpoint(dataDir)
  if (url !== null) return remote(url)
  if (!isStore(dataDir)) {
    throw new KlartextError('NO_STORE', `nothing is stored in ${dataDir} yet: run klartext up or klartext demo first`)
  }
  const store = await ChdbStore.open(dataDir)
  return { run: (sql, format) => store.query(sql, format), close: () => store.close() }
}

function runningEndpoint(dataDir: string): string | null {
  try {
    if (storeHolder(dataDir) === null) return null
    return readFileSync(join(dataDir, ENDPOINT_FILE), 'utf8').trim()
  } catch {
    return null
  }
}

function remote(url: string): Queries {
  const client = createClient({ url })
  return {
    run: async (sql, format) => {
      try {
        const result = await client.exec({
          query: sql,
          clickhouse_settings: {},
          query_params: {},
          values: undefined as never,
          ...withFormat(format),
        })
        const parts: Buffer[] = []
        for await (const part of result.stream) parts.push(part as Buffer)
        return Buffer.concat(parts)
      } catch (error) {
        throw new KlartextError('QUERY_FAILED', `${url}: ${(error as Error).message.split('\n')[0]}`)
      }
    },
    close: () => client.close(),
  }
}

/** The format as a request header: a FORMAT clause of the statement itself still wins. */
function withFormat(format: string): { http_headers: Record<string, string> } {
  return { http_headers: { 'X-ClickHouse-Format': format } }
}
