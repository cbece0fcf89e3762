/**
 * The store as a server, over HTTP: at CLICKHOUSE_URL, or klartext's own endpoint on the embedded engine with writing allowed.
 * Schema, tokens, Native blocks and rollups are the same as in process.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { serveClickHouseHttp } from '../../services/adapters/chdb/http_server.js'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { readMigrations } from '../../services/adapters/clickhouse/migrate.js'
import { ClickHouseStore } from '../../services/adapters/clickhouse/store.js'
import { freePort } from '../../services/cli/demo/free_port.js'
import { Random } from '../../services/core/random.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { seededFlow } from '../fakes/flows.js'

let url = process.env.CLICKHOUSE_URL ?? ''
let store: ClickHouseStore
let end = async () => {}

before(async () => {
  if (url === '') {
    const folder = mkdtempSync(join(tmpdir(), 'klartext-http-store-'))
    const engine = await ChdbStore.open(folder)
    const port = await freePort()
    const server = await serveClickHouseHttp(engine, { port, host: '127.0.0.1', allowWrites: true })
    url = `http://127.0.0.1:${port}`
    end = async () => {
      await server.close()
      await engine.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }
  store = new ClickHouseStore({ url })
  // The embedded store has its schema from the start; here it is to be made from nothing.
  if (process.env.CLICKHOUSE_URL === undefined) await store.command('DROP DATABASE klartext SYNC')
})

after(async () => {
  await store.close()
  await end()
})

const value = async (sql: string) => (await store.query(sql, 'TabSeparatedRaw')).toString().trim()

async function klartext(...words: string[]): Promise<{ code: number; out: string; error: string }> {
  const child = spawn(process.execPath, [join(REPO_ROOT, 'services/cli/bin/klartext.mjs'), ...words], {
    env: { ...process.env, CLICKHOUSE_URL: url },
  })
  let [out, error] = ['', '']
  child.stdout.on('data', (data) => (out += data))
  child.stderr.on('data', (data) => (error += data))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out, error }
}

test('klartext migrate plan names what is missing, apply makes it, once', async () => {
  const names = readMigrations().map(({ name }) => name)
  const plan = await klartext('migrate', 'plan')
  assert.deepEqual([plan.code, plan.out.trim().split('\n')], [0, names], plan.error)
  const apply = await klartext('migrate', 'apply')
  assert.deepEqual([apply.code, apply.out.trim().split('\n')], [0, names], apply.error)
  assert.equal(await value('SELECT count() FROM klartext.schema_migrations FINAL'), String(names.length))
  assert.deepEqual(await klartext('migrate', 'apply'), { code: 0, out: '', error: 'the schema is up to date\n' })
  assert.equal((await klartext('migrate', 'sideways')).code, 2)
})

test('Native blocks arrive whole; a second insert with the token changes neither rows nor rollups', async () => {
  const random = new Random(3)
  const startUs = Math.floor(Date.now() / 1000) * 1_000_000
  const flows = Array.from({ length: 20_000 }, (_, i) => seededFlow(random, i, startUs))
  for (const token of ['t/0/0-9999', 't/0/10000-19999']) {
    const rows = flows.slice(token.includes('0-9999') ? 0 : 10_000).slice(0, 10_000)
    for (let round = 0; round < 3; round++) await store.insert('flows', rows, token)
  }
  assert.equal(await value('SELECT count() FROM klartext.flows'), '20000')
  assert.equal(
    await value('SELECT sum(requests) FROM klartext.edges_1m'),
    await value("SELECT count() FROM klartext.flows WHERE capture_side != 'client'"),
  )
  const sums = (of: (flow: (typeof flows)[number]) => number) => String(flows.reduce((sum, flow) => sum + of(flow), 0))
  assert.equal(
    await value('SELECT sum(latency_us) FROM klartext.flows'),
    sums((flow) => flow.latency_us),
  )
  assert.equal(
    await value('SELECT sum(status_code) FROM klartext.flows'),
    sums((flow) => flow.status_code),
  )
  assert.equal(
    await value('SELECT uniqExact(conn_id, exchange_seq) FROM klartext.flows'),
    String(new Set(flows.map((flow) => `${flow.conn_id}/${flow.exchange_seq}`)).size),
  )
})

test('an address where nothing answers is one line, and may be tried again', async () => {
  const away = new ClickHouseStore({ url: `http://user:secret@127.0.0.1:${await freePort()}` })
  await assert.rejects(away.query('SELECT 1', 'Null'), (error: Error & { code: string; retryable: boolean }) => {
    assert.equal(error.code, 'STORE_UNREACHABLE')
    assert.equal(error.retryable, true)
    assert.match(error.message, /^http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/)
    assert.doesNotMatch(error.message, /secret|\n/)
    return true
  })
  await away.close()
})
