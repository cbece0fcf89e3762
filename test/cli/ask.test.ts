/** `klartext ask`: before anything was stored, against a store of this host, and against one behind HTTP. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Random } from '../../services/core/random.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { seededFlow } from '../fakes/flows.js'
import { serveStore } from '../store/served_store.js'

const QUESTIONS = [
  'client_network_server',
  'coverage',
  'dns_failures',
  'egress',
  'errors',
  'first_failing',
  'new_edges',
  'regression',
  'service_map',
  'slow_requests',
]
const FLOWS = 200

const folder = mkdtempSync(join(tmpdir(), 'klartext-ask-'))
const command = join(REPO_ROOT, 'services/cli/bin/klartext.mjs')
const { CLICKHOUSE_URL: _, ...withoutUrl } = process.env
let url = ''
let served: Awaited<ReturnType<typeof serveStore>> | null = null

before(async () => {
  served = await serveStore(join(folder, 'data'))
  url = served.url
  const random = new Random(1)
  const startUs = (Date.now() - 60_000) * 1000
  const flows = Array.from({ length: FLOWS }, (_, i) => seededFlow(random, i, startUs))
  await served.store.insert('flows', flows, 'once')
})
after(async () => {
  await served?.close()
  rmSync(folder, { recursive: true, force: true })
})

function ask(...words: string[]) {
  return spawnSync(process.execPath, [command, 'ask', ...words], { encoding: 'utf8', env: withoutUrl })
}

/** The store is in this process: it must be able to answer meanwhile. */
function askRemote(...words: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [command, 'ask', ...words], { env: { ...withoutUrl, CLICKHOUSE_URL: url } })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (data) => (stdout += data))
  child.stderr.on('data', (data) => (stderr += data))
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })))
}

const names = (table: string): string[] =>
  table
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(' ')[0])

test('--list shows the questions without a store; a question needs one and says so in one line', () => {
  const listed = ask('--list', '--data', join(folder, 'nothing'))
  assert.equal(listed.status, 0)
  assert.equal(listed.stderr, '')
  assert.deepEqual(names(listed.stdout), QUESTIONS)
  const asked = ask('service_map', '--data', join(folder, 'nothing'))
  assert.equal(asked.status, 1)
  assert.match(asked.stderr, /^nothing is stored in [^\n]*\n$/)
})

test('each question is answered by a store behind HTTP, which lists the same ones', async () => {
  assert.deepEqual(names((await askRemote('--list')).stdout), QUESTIONS)
  for (const name of QUESTIONS) {
    const { status, stderr } = await askRemote(name)
    assert.deepEqual({ name, status, stderr }, { name, status: 0, stderr: '' })
  }
  const { stdout } = await askRemote('service_map', '--json')
  const requests = stdout
    .trim()
    .split('\n')
    .map((line) => Number(JSON.parse(line).requests))
  assert.equal(
    requests.reduce((sum, each) => sum + each, 0),
    FLOWS,
  )
  const unknown = await askRemote('everything')
  assert.equal(unknown.status, 2)
  assert.match(
    unknown.stderr,
    /^klartext ask: no question "everything"; the nearest is [a-z_]+, klartext ask --list shows all\n$/,
  )
})

test('and by the store of this host', async () => {
  await served?.close()
  served = null
  const { status, stdout } = ask('service_map', '--json', '--limit', '3', '--data', join(folder, 'data'))
  assert.equal(status, 0)
  assert.equal(stdout.trim().split('\n').length, 3)
})
