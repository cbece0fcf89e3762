/** The embedded engine as a ClickHouse server on a disk that can be filled. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ClickHouseStore } from '../../services/adapters/clickhouse/store.js'
import { SmallDisk } from '../fakes/small_disk.js'

const SIZE_MIB = 64

export interface SmallStore {
  readonly url: string
  readonly store: ClickHouseStore
  readonly disk: SmallDisk
  /** The one value of a query. */
  value(sql: string): Promise<string>
  close(): Promise<void>
}

export async function smallStore(): Promise<SmallStore> {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-small-'))
  const disk = await SmallDisk.mount(folder, SIZE_MIB)
  const script = fileURLToPath(new URL('serve.js', import.meta.url))
  const words = ['--pdeathsig', 'KILL', ...disk.enter, process.execPath, script, join(folder, 'data')]
  const child: ChildProcess = spawn('setpriv', words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said] = await Promise.race([
    once(child.stdout as NonNullable<typeof child.stdout>, 'data'),
    once(child, 'exit'),
  ])
  const url = String(said).trim()
  if (!url.startsWith('http')) throw new Error('the store did not start')
  const store = new ClickHouseStore({ url })
  return {
    url,
    store,
    disk,
    value: async (sql) => (await store.query(sql, 'TabSeparatedRaw')).toString().trim(),
    close: async () => {
      await store.close()
      child.kill('SIGTERM')
      await once(child, 'exit')
      disk.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
