/**
 * klartext up alone, with nothing else installed: what it captures is asked for by question, its rules speak, and what it has
 * recorded is replayed and compared with what it said live.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { RULES_FOLDER } from '../../services/detect/rules.js'
import { until } from '../replay/harness.js'
import { freePort, NO_CAPTURE, run } from './harness.js'

const KLARTEXT = join(REPO_ROOT, 'services/cli/bin/klartext.mjs')
const CALLS = 30
const FAILED = 10
const folder = mkdtempSync(join(tmpdir(), 'klartext-up-'))
const data = join(folder, 'data')
/** No Kafka, Redis, ClickHouse or Kubernetes is known of. */
const env = { PATH: process.env.PATH, HOME: folder }
let up: ChildProcess | null = null

after(async () => {
  if (up !== null) {
    const gone = once(up, 'exit')
    up.kill('SIGKILL')
    await gone
  }
  rmSync(folder, { recursive: true, force: true })
})

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function klartext(...words: string[]): Promise<Ran> {
  try {
    const { stdout, stderr } = await run(process.execPath, [KLARTEXT, ...words, '--data', data], { env })
    return { code: 0, out: stdout, err: stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as unknown as { code: number; stdout: string; stderr: string }
    return { code, out: stdout, err: stderr }
  }
}

async function rows(...words: string[]): Promise<Record<string, unknown>[]> {
  const { code, out, err } = await klartext(...words, '--json')
  assert.equal(code, 0, err)
  return out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Guesses of a password a minute ago: a rule has something to say as soon as it looks. */
async function guessed(): Promise<void> {
  const store = await ChdbStore.open(data)
  const slot = Math.floor((Date.now() - 15_000) / 60_000) * 60_000
  const time = `toDateTime64('${new Date(slot).toISOString().slice(0, 19).replace('T', ' ')}', 6, 'UTC')`
  const sql = readFileSync(join(RULES_FOLDER, 'brute_force/positive.sql'), 'utf8')
  await store.command(sql.replaceAll("{until:DateTime64(6, 'UTC')}", time))
  await store.close()
}

test('up: questions, findings and replay without a server', { skip: NO_CAPTURE }, async (t) => {
  await guessed()
  const server = createServer((request, response) => {
    response.statusCode = request.url?.startsWith('/broken') ? 503 : 200
    response.end('klartext')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const port = String((server.address() as AddressInfo).port)
  const words = ['up', '--data', data, '--record', join(folder, 'record'), '--port', String(await freePort())]
  up = spawn(process.execPath, [KLARTEXT, ...words], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  up.stderr?.on('data', (part) => {
    said += part
  })
  await until('it serves', async () => said.includes('query '))
  await sleep(500)
  const begun = new Date(Date.now() - 1000).toISOString()
  const url = (path: string, count: number) => `http://127.0.0.1:${port}/${path}/[1-${count}]`
  await run('curl', ['-s', url('fine', CALLS - FAILED), url('broken', FAILED)], { env })
  const mine = `server_port = ${port} AND capture_side = 'client'`
  await until('all is stored', async () => {
    const [{ n }] = await rows('sql', `SELECT count() AS n FROM klartext.flows WHERE ${mine}`)
    return Number(n) >= CALLS
  })

  const edges = await rows('ask', 'service_map', '--since', '5m')
  const edge = edges.find((row) => String(row.server_port) === port)
  assert.deepEqual([Number(edge?.requests), edge?.protocol, edge?.error_percent], [CALLS, 'http1', 33.33])
  const errors = (await rows('ask', 'errors', '--since', '5m')).filter(({ endpoint }) => endpoint === '/broken/{id}')
  assert.deepEqual(
    errors.map(({ method, status_code, errors: count }) => [method, status_code, Number(count)]),
    [['GET', 503, FAILED]],
  )

  await until('a rule speaks', async () => /^finding {2}critical {2}brute_force: guest /m.test(said))
  const findings = await rows('sql', 'SELECT rule, subject FROM klartext.findings')
  assert.deepEqual(findings, [{ rule: 'brute_force', subject: '10.9.0.1 -> /shop/login' }])

  await sleep(1500)
  const window = ['--from', begun, '--to', new Date().toISOString(), '--port', port]
  const replayed = await klartext('replay', 'submit', ...window, '--wait')
  assert.ok(replayed.code === 0, `${replayed.code}: ${replayed.out}${replayed.err}${said}`)
  const id = /replay_[0-9a-f]{16}/.exec(replayed.out)?.[0] ?? ''
  const compared = await klartext('diff', 'live', id)
  assert.equal(compared.code, 0, compared.out + compared.err)
  // Each call at both of its ends.
  assert.match(compared.out, new RegExp(`${CALLS * 2} equal, 0 changed, 0 new, 0 vanished`))
  up.kill('SIGTERM')
  assert.deepEqual(await once(up, 'exit'), [0, null], said)
  up = null
  t.diagnostic(compared.out.trim().split('\n').pop() ?? '')
})

test('a demo that lacks a program says which and ends, though it captures by then', { skip: NO_CAPTURE }, () => {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  // What the store needs, and nothing that the demo starts.
  const mkfifo = execFileSync('sh', ['-c', 'command -v mkfifo'], { encoding: 'utf8' }).trim()
  symlinkSync(mkfifo, join(bin, 'mkfifo'))
  const ended = spawnSync(process.execPath, [KLARTEXT, 'demo', '--data', join(folder, 'demo')], {
    encoding: 'utf8',
    env: { PATH: bin, HOME: folder },
    timeout: 60_000,
  })
  assert.equal(ended.signal, null)
  assert.equal(ended.status, 1)
  assert.match(ended.stderr, /^the demo needs openssl: [^\n]+\n$/)
})
