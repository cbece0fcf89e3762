/** The embedded store: schema, rows, tokens, a kill, and ClickHouse's HTTP interface with the real client. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createClient } from '@clickhouse/client'
import { serveClickHouseHttp } from '../../services/adapters/chdb/http_server.js'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { readMigrations } from '../../services/adapters/clickhouse/migrate.js'
import { Exchange } from '../../services/core/exchange.js'
import { FLOW_COLUMNS, type Flow, plainFlow } from '../../services/core/flow.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import type { PodRow } from '../../services/core/rows.js'
import { ConnectionInfo } from '../../services/core/segment.js'
import { columnWriter, tsvHead } from '../../services/core/wire/flow_columns.js'
import { flowToJson } from '../../services/core/wire/flow_json.js'
import { JsonBytes } from '../../services/core/wire/json_bytes.js'
import { FlowContext } from '../../services/decode/flow_context.js'
import { FlowRow } from '../../services/decode/flow_row.js'
import { podRow } from '../../services/sink/tables.js'
import { identity } from '../fakes/identities.js'

const dataDir = mkdtempSync(join(tmpdir(), 'klartext-store-'))
const PORT = 20_000 + (process.pid % 20_000)
const URL_BASE = `http://127.0.0.1:${PORT}`
/** Recent, since old rows leave the table by its TTL. */
const NOW_US = Math.floor(Date.now() / 1000) * 1_000_000
let store: ChdbStore
let close: () => Promise<void>

function flow(seq: number): Flow {
  const info = new ConnectionInfo(2n ** 64n - 5n)
  Object.assign(info, {
    clientIp: '10.0.0.1',
    clientPort: 1,
    serverIp: '2001:db8::1',
    serverPort: 443,
    source: 'openssl',
  })
  const exchange = new Exchange()
  Object.assign(exchange, {
    protocol: 'http1',
    method: 'GET',
    host: 'a"b\\c\n',
    resource: '/ü/1',
    statusCode: 200,
    outcome: 'ok',
  })
  Object.assign(exchange, {
    reqStartUs: NOW_US + 1,
    respEndUs: NOW_US + 501,
    respStartUs: NOW_US + 400,
  })
  exchange.reqHeaders = ['x-a', '1', 'x-a', '2']
  return new FlowRow(new FlowContext(info, false), exchange, seq)
}

before(async () => {
  const script = `
    import { ChdbStore } from '${REPO_ROOT}/dist/services/adapters/chdb/store.js'
    const store = await ChdbStore.open('${dataDir}')
    await store.query("INSERT INTO klartext.coverage (ts, kind, count) VALUES (now64(6), 'survivor', 7)", 'Null')
    console.log('stored'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  store = await ChdbStore.open(dataDir)
  const server = await serveClickHouseHttp(store, { port: PORT, host: '127.0.0.1' })
  close = () => server.close()
})

after(async () => {
  await close()
  await store.close()
  rmSync(dataDir, { recursive: true, force: true })
})

const text = async (sql: string) => (await store.query(sql, 'TabSeparatedRaw')).toString('utf8').trim()

test('ClickHouse reads what is printed as tab-separated values', async () => {
  const odd = "tab\t line\n back\\slash quote' bell\u0007 escape\u001b c1\u009b ü 世界 😀"
  const flows = [
    flow(1),
    plainFlow({ ...plainFlow(flow(2)), resource: odd, findings: [odd, ''], attrs: { [odd]: odd, b: '' } }),
  ]
  const names = FLOW_COLUMNS.map(({ name }) => name)
  const out = new JsonBytes()
  out.plain(`${tsvHead(names)}\n`)
  const write = columnWriter(names, 'tsv')
  for (const each of flows) {
    write(each, out)
    out.byte(10)
  }
  await store.command('CREATE TABLE klartext.printed AS klartext.flows ENGINE = Memory')
  await store.command(`INSERT INTO klartext.printed (${names}) FORMAT TSVWithNames\n${out.toString()}`)
  const rows = await store.query(
    'SELECT * FROM klartext.printed SETTINGS output_format_json_quote_64bit_integers = 0',
    'JSONEachRow',
  )
  await store.command('DROP TABLE klartext.printed')
  const read = rows.toString('utf8').trim().split('\n')
  for (const [i, line] of read.entries()) {
    const row = JSON.parse(line)
    const said = JSON.parse(flowToJson(flows[i]))
    for (const name of ['resource', 'findings', 'attrs', 'req_headers', 'host', 'status_code', 'latency_us']) {
      assert.deepEqual(row[name], said[name], name)
    }
    assert.equal(`${row.ts.replace(' ', 'T')}Z`, said.ts)
  }
  assert.equal(read.length, 2)
})

test('rows survive kill -9, and the schema is applied once', async () => {
  assert.equal(await text("SELECT sum(count) FROM klartext.coverage WHERE kind = 'survivor'"), '7')
  assert.equal(await text('SELECT count() FROM klartext.schema_migrations'), String(readMigrations().length))
})

test('the table has the columns of the flow, in their order', async () => {
  const columns = await text(
    "SELECT name FROM system.columns WHERE database = 'klartext' AND table = 'flows' AND default_kind IN ('', 'DEFAULT') ORDER BY position",
  )
  assert.deepEqual(
    columns.split('\n'),
    FLOW_COLUMNS.map((column) => column.name),
  )
})

test('a token makes a second insert of the same rows nothing; without it they are new', async () => {
  await store.insert('flows', [flow(0), flow(1)], 'token-1')
  await store.insert('flows', [flow(0), flow(1)], 'token-1')
  assert.equal(await text('SELECT count() FROM klartext.flows'), '2')
  await store.insert('flows', [flow(2)], 'token-2')
  assert.equal(await text('SELECT count() FROM klartext.flows'), '3')
})

test('values come back as they went in', async () => {
  const [row] = JSON.parse(
    `[${(await store.query('SELECT toString(conn_id) AS id, host, resource, req_headers, toString(ts) AS ts, latency_us, server_ip FROM klartext.flows LIMIT 1', 'JSONEachRow')).toString().trim()}]`,
  )
  assert.deepEqual(row, {
    id: String(2n ** 64n - 5n),
    host: 'a"b\\c\n',
    resource: '/ü/1',
    req_headers: { 'x-a': '1, 2' },
    ts: `${new Date(NOW_US / 1000).toISOString().slice(0, 19).replace('T', ' ')}.000001`,
    latency_us: 500,
    server_ip: '2001:db8::1',
  })
})

test('of a pod what was known last stays, and its end lies beyond all captures while it has none', async () => {
  const row = (known: number, more: Partial<PodRow>): PodRow => ({
    ...podRow(identity('web-1', { containers: [{ id: 'c1', name: 'app' }], podUid: 'u' }), NOW_US + known),
    valid_from: NOW_US,
    ...more,
  })
  await store.insert('pods', [row(1, { workload: '' }), row(3, { valid_to: NOW_US + 5 })], 'pods-1')
  await store.insert('pods', [row(2, { workload: 'late' }), row(1, { key: 'other', name: 'other' })], 'pods-2')
  const rows = await text(
    `SELECT key, workload, toYear(valid_to) > 2100 ? -1 : toUnixTimestamp64Micro(valid_to) - ${NOW_US}, addresses, container_ids, container_names
     FROM klartext.pods FINAL ORDER BY key`,
  )
  assert.deepEqual(rows.split('\n'), [
    "other\tweb-1\t-1\t['10.1.0.1']\t['c1']\t['app']",
    "web-1\tweb-1\t5\t['10.1.0.1']\t['c1']\t['app']",
  ])
  assert.equal(await text('SELECT toYear(max(valid_to)) FROM klartext.pods'), '2149')
})

test('100 000 rows in, and counted', async (t) => {
  const rows = Array.from({ length: 100_000 }, (_, i) => flow(1000 + i))
  const begun = performance.now()
  await store.insert('flows', rows, 'bulk')
  const seconds = (performance.now() - begun) / 1000
  assert.equal(await text('SELECT count() FROM klartext.flows WHERE exchange_seq >= 1000'), '100000')
  t.diagnostic(`${Math.round(100_000 / seconds)} rows/s into flows`)
})

test('a second process is told who holds the store', async () => {
  const holder = process.pid
  const script = `import { ChdbStore } from '${REPO_ROOT}/dist/services/adapters/chdb/store.js'
    await ChdbStore.open('${dataDir}').catch((error) => console.log(error.message))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(child.stdout, 'data')
  assert.match(String(line), new RegExp(`is in use by process ${holder}`))
})

test('@clickhouse/client over HTTP: ping, parameters, formats', async () => {
  const client = createClient({ url: URL_BASE, compression: { response: true } })
  try {
    assert.equal((await client.ping()).success, true)
    const result = await client.query({
      query: 'SELECT method, count() AS n FROM klartext.flows WHERE status_code = {status:UInt16} GROUP BY method',
      query_params: { status: 200 },
      format: 'JSONEachRow',
    })
    assert.deepEqual(await result.json(), [{ method: 'GET', n: 100_003 }])
    const whole = await (await client.query({ query: 'SELECT 1 AS one', format: 'JSON' })).json()
    assert.deepEqual((whole as { data: unknown }).data, [{ one: 1 }])
    await assert.rejects(client.insert({ table: 'klartext.flows', values: [{ method: 'X' }], format: 'JSONEachRow' }), {
      code: '164',
    })
    await assert.rejects(client.query({ query: 'SELEC 1' }), { code: '62' })
  } finally {
    await client.close()
  }
})

test('what writes or reaches outside the store is refused, however it is spelt', async () => {
  const statements = [
    'DROP TABLE klartext.flows',
    'INSERT INTO klartext.flows (method) VALUES (1)',
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT file('/etc/passwd')",
    "SELECT * FROM (SELECT * FROM /* x */ url('http://127.0.0.1/', 'LineAsString'))",
    "SELECT 1 INTO OUTFILE '/tmp/klartext-outfile'",
    'SET readonly = 0',
    "WITH x AS (SELECT * FROM s3('http://a/b')) SELECT * FROM x",
  ]
  for (const sql of statements) {
    const response = await fetch(URL_BASE, { method: 'POST', body: sql })
    assert.notEqual(response.status, 200, sql)
    assert.match(response.headers.get('x-clickhouse-exception-code') ?? '', /^\d+$/, sql)
    await response.text()
  }
  assert.equal(await text('SELECT count() > 0 FROM klartext.flows'), '1')
})

test('errors carry the code and status that a server gives', async () => {
  for (const [sql, code, status] of [
    ['SELEC 1', '62', 400],
    ['SELECT * FROM klartext.nothing', '60', 404],
    ['SELECT nothing FROM klartext.flows', '47', 404],
  ] as const) {
    const response = await fetch(`${URL_BASE}/?query=${encodeURIComponent(sql)}`)
    assert.equal(response.headers.get('x-clickhouse-exception-code'), code, sql)
    assert.equal(response.status, status, sql)
    assert.match(await response.text(), /^Code: \d+\. DB::Exception: /)
  }
})

test('binary formats are byte-clean', async () => {
  const response = await fetch(
    `${URL_BASE}/?default_format=RowBinary&query=${encodeURIComponent("SELECT unhex('fffe80')")}`,
  )
  assert.deepEqual(Buffer.from(await response.arrayBuffer()), Buffer.from('03fffe80', 'hex'))
})

test('answers that nobody waits for any more do not reach others', async () => {
  const heavy = encodeURIComponent("SELECT 'heavy', number FROM system.numbers LIMIT 20000000")
  for (let round = 0; round < 8; round++) {
    const stop = new AbortController()
    const left = Array.from({ length: 8 }, () =>
      fetch(`${URL_BASE}/?query=${heavy}`, { signal: stop.signal })
        .then((response) => response.arrayBuffer())
        .catch(() => {}),
    )
    await new Promise((resolve) => setTimeout(resolve, 15))
    stop.abort()
    const small = Array.from({ length: 20 }, async (_, i) => {
      const response = await fetch(`${URL_BASE}/?query=${encodeURIComponent(`SELECT 'light', ${i}`)}`)
      // All pipes may be taken for a moment: an error, but nobody else's answer.
      const body = await response.text()
      if (response.status === 200) assert.equal(body, `light\t${i}\n`)
      else assert.equal(response.headers.get('x-clickhouse-exception-code'), '202', body)
    })
    await Promise.all([...left, ...small])
  }
})
