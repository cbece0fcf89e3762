/**
 * A PostgreSQL server of its own, driven by psql, node-postgres, pgbench and psycopg's pipeline mode, in clear and over
 * TLS: N operations are N flows at each end, with their statement, values, rows and errors.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Flow } from '../../services/core/flow.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { capture, decode, freePort, NO_CAPTURE, PYTHON, run, withCertificate } from './harness.js'

const DEBIAN = '/usr/lib/postgresql'

/** Where Debian keeps the server's programs, by version. */
function serverPrograms(): string {
  for (const version of existsSync(DEBIAN) ? readdirSync(DEBIAN).sort().reverse() : []) {
    const folder = join(DEBIAN, version, 'bin')
    if (existsSync(join(folder, 'postgres'))) return folder
  }
  return ''
}

const PROGRAMS = serverPrograms()
const skip = NO_CAPTURE || (PROGRAMS === '' ? 'no PostgreSQL server here' : false)
const PASSWORD = 'not to be stored'

interface Server {
  readonly port: number
  readonly programs: string
  readonly folder: string
}

/** The server refuses to run as root: as the user of Debian's package, in a folder of its own. */
async function withServer(use: (server: Server) => Promise<void>): Promise<void> {
  await withCertificate(async (folder) => {
    chmodSync(folder, 0o755)
    const data = join(folder, 'data')
    mkdirSync(data)
    writeFileSync(join(folder, 'password'), PASSWORD)
    for (const name of ['key.pem', 'cert.pem']) copyFileSync(join(folder, name), join(data, `server-${name}`))
    chmodSync(join(data, 'server-key.pem'), 0o600)
    await run('chown', ['-R', 'postgres', data])
    const cluster = join(data, 'cluster')
    const init = ['-D', cluster, '-A', 'scram-sha-256', '-U', 'shop', '--pwfile', join(folder, 'password'), '-N']
    await run('runuser', ['-u', 'postgres', '--', join(PROGRAMS, 'initdb'), ...init])
    const port = await freePort()
    const settings = {
      port: String(port),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      ssl: 'on',
      ssl_cert_file: join(data, 'server-cert.pem'),
      ssl_key_file: join(data, 'server-key.pem'),
      fsync: 'off',
    }
    const words = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const server = spawn(
      'setpriv',
      ['--reuid=postgres', '--regid=postgres', '--clear-groups', join(PROGRAMS, 'postgres'), '-D', cluster, ...words],
      { stdio: 'ignore' },
    )
    try {
      for (let i = 0; i < 100 && !(await ready(port)); i++) await sleep(100)
      await use({ port, programs: PROGRAMS, folder })
    } finally {
      await stopped(server)
    }
  })
}

async function ready(port: number): Promise<boolean> {
  try {
    await run(join(PROGRAMS, 'pg_isready'), ['-h', '127.0.0.1', '-p', String(port)])
    return true
  } catch {
    return false
  }
}

async function stopped(server: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGINT')
  await gone
}

const url = ({ port }: Server, tls: boolean) =>
  `postgresql://shop:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/postgres?sslmode=${tls ? 'require' : 'disable'}`

/** One statement per line: psql sends each as a query. */
async function psql(server: Server, tls: boolean, statements: readonly string[]): Promise<void> {
  const file = join(server.folder, 'statements.sql')
  writeFileSync(file, `${statements.join('\n')}\n`)
  await run(join(server.programs, 'psql'), ['-X', '-q', '-o', '/dev/null', '-f', file, url(server, tls)])
}

const NODE_PG = `
import { createRequire } from 'node:module'
const [root, url, mark] = process.argv.slice(2)
const { Client } = createRequire(root + '/package.json')('pg')
const client = new Client({ connectionString: url.replace('sslmode=require', 'sslmode=no-verify') })
await client.connect()
for (let i = 0; i < 20; i++) await client.query('SELECT ' + i + ' AS simple_' + mark)
for (let i = 0; i < 20; i++) await client.query('SELECT $1::int AS unnamed_' + mark, [i])
for (let i = 0; i < 20; i++) await client.query({ name: 'named', text: 'SELECT generate_series(1, $1::int) AS kept_' + mark, values: [i] })
await Promise.all(Array.from({ length: 20 }, (_, i) => client.query('SELECT $1::text AS at_once_' + mark, ['v' + i])))
await client.query('SELECT 1/0 AS failing_' + mark).catch(() => {})
await client.query('SELECT no_such_column_' + mark).catch(() => {})
await client.end()
`

const PSYCOPG = `
import sys, psycopg
url, mark = sys.argv[1:]
with psycopg.connect(url, autocommit=True) as conn:
    with conn.pipeline() as pipeline:
        cursors = [conn.execute('SELECT %s::int AS piped_' + mark, [i], prepare=False) for i in range(50)]
        pipeline.sync()
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(50))
    try:
        with conn.pipeline():
            conn.execute('SELECT 1 AS before_' + mark)
            conn.execute('SELECT 1/0 AS broken_' + mark)
            conn.execute('SELECT 2 AS after_' + mark)
    except psycopg.errors.DivisionByZero: pass
    with conn.cursor() as cursor:
        cursor.execute('CREATE TEMP TABLE copied_' + mark + ' (a int, b text)')
        with cursor.copy('COPY copied_' + mark + ' FROM STDIN') as copy:
            for i in range(1000): copy.write_row((i, 'x' * 50))
        with cursor.copy('COPY copied_' + mark + ' TO STDOUT') as copy:
            assert sum(1 for _ in copy) > 0
`

const PGBENCH = `SELECT :client_id + 1 AS pgbench_MARK;\n`

type Check = (flow: Flow) => void

/** `count` flows at each end that say so, each with what `check` looks at. */
function assertFlows(flows: readonly Flow[], mark: string, count: number, port: number, check: Check = () => {}): void {
  for (const side of ['client', 'server']) {
    const mine = flows.filter((flow) => flow.capture_side === side && flow.resource.includes(mark))
    assert.equal(mine.length, count, `${mark} at the ${side}: ${mine.length} flows of ${count}`)
    for (const flow of mine) {
      assert.equal(flow.protocol, 'postgresql')
      assert.equal(flow.host, 'postgres')
      assert.equal(flow.complete, 1, `${flow.resource} at the ${side}: ${flow.findings}`)
      assert.ok(flow.latency_us > 0 && flow.latency_us < 10_000_000, `${flow.resource}: ${flow.latency_us} µs`)
      if (flow.server_ip !== '') assert.equal(flow.server_port, port)
      check(flow)
    }
  }
}

const rows = (flow: Flow) => Number(flow.attrs['db.response.returned_rows'])
const parameter = (flow: Flow) => flow.attrs['db.query.parameter.0']

function answered(verb: string, rowCount: (flow: Flow) => number): Check {
  return (flow) => {
    assert.equal(flow.method, verb)
    assert.equal(flow.outcome, 'ok', flow.resource)
    assert.equal(rows(flow), rowCount(flow), flow.resource)
  }
}

function failed(sqlstate: string): Check {
  return (flow) => {
    assert.equal(flow.error, sqlstate)
    assert.equal(flow.outcome, 'client_error')
  }
}

function assertAll(flows: readonly Flow[], mark: string, port: number): void {
  const check = (name: string, count: number, how?: Check) => assertFlows(flows, `${name}_${mark}`, count, port, how)
  check(
    'psql',
    10,
    answered('SELECT', (flow) => Number(/LIMIT (\d+)/.exec(flow.resource)?.[1])),
  )
  check(
    'simple',
    20,
    answered('SELECT', () => 1),
  )
  check(
    'unnamed',
    20,
    answered('SELECT', () => 1),
  )
  check(
    'kept',
    20,
    answered('SELECT', (flow) => Number(parameter(flow))),
  )
  check(
    'at_once',
    20,
    answered('SELECT', () => 1),
  )
  check('failing', 1, failed('22012'))
  check('no_such_column', 1, failed('42703'))
  check(
    'pgbench',
    100,
    answered('SELECT', () => 1),
  )
  check(
    'piped',
    50,
    answered('SELECT', () => 1),
  )
  check(
    'before',
    1,
    answered('SELECT', () => 1),
  )
  check('broken', 1, failed('22012'))
  check('after', 1, failed('pipeline_aborted'))
  const copies = flows.filter((flow) => flow.method === 'COPY' && flow.resource.includes(`copied_${mark}`))
  assert.equal(copies.length, 4)
  for (const flow of copies) assert.equal(flow.attrs['postgresql.affected_rows'], '1000')
  for (const side of ['client', 'server']) {
    const values = flows
      .filter((flow) => flow.capture_side === side && flow.resource.includes(`unnamed_${mark}`))
      .map(parameter)
    assert.deepEqual(new Set(values), new Set(Array.from({ length: 20 }, (_, i) => String(i))))
  }
}

for (const tls of [false, true]) {
  const mark = tls ? 'tls' : 'clear'
  test(`PostgreSQL ${tls ? 'over TLS' : 'in clear'}: psql, node-postgres, pgbench, psycopg`, { skip }, async (t) => {
    await withServer(async (server) => {
      const { folder, port } = server
      const address = url(server, tls)
      writeFileSync(join(folder, 'node_pg.mjs'), NODE_PG)
      writeFileSync(join(folder, 'bench.sql'), PGBENCH.replace('MARK', mark))
      const { segments, stats } = await capture({}, async () => {
        const series = Array.from(
          { length: 10 },
          (_, i) => `SELECT i AS psql_${mark} FROM generate_series(1, 100) i LIMIT ${i * 10};`,
        )
        await psql(server, tls, series)
        await run(process.execPath, [join(folder, 'node_pg.mjs'), REPO_ROOT, address, mark])
        const bench = ['-n', '-M', 'prepared', '-c', '2', '-t', '50', '-f', join(folder, 'bench.sql'), address]
        await run(join(server.programs, 'pgbench'), bench)
        await run(PYTHON, ['-c', PSYCOPG, address, mark])
      })
      const flows = decode(segments)
      const mine = flows.filter(({ protocol }) => protocol === 'postgresql')
      t.diagnostic(`PostgreSQL ${mark}: ${mine.length} flows at two ends, ${stats.lost.ring_full.count} segments lost`)
      assert.equal(stats.lost.ring_full.count, 0)
      assertAll(mine, mark, port)
      assert.ok(!JSON.stringify(mine).includes(PASSWORD), 'a password is in no flow')
      const logins = mine.filter(({ method }) => method === 'STARTUP')
      assert.ok(logins.length >= 8)
      for (const login of logins) assert.match(login.attrs['postgresql.auth'], /^scram-sha-256/)
    })
  })
}
