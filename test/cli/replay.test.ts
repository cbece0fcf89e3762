/** klartext replay, diff and export as people use them without any server, beside a running `klartext up` and alone. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from '../../services/cli/demo/free_port.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { until } from '../replay/harness.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-replay-cli-'))
const data = join(folder, 'data')
const KLARTEXT = join(REPO_ROOT, 'services/cli/bin/klartext.mjs')
/** Small TLS services, each call seen at both ends. */
const RECORDING = join(REPO_ROOT, 'services/cli/demo/recording.ktseg')
const FLOWS = 190
let up: ChildProcess | null = null

after(() => {
  up?.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function klartext(...words: string[]): Promise<Ran> {
  try {
    const env = { PATH: process.env.PATH, HOME: folder }
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [KLARTEXT, ...words], { env })
    return { code: 0, out: stdout, err: stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as unknown as { code: number; stdout: string; stderr: string }
    return { code, out: stdout, err: stderr }
  }
}

const idOf = ({ out }: Ran): string => /replay_[0-9a-f]{16}/.exec(out)?.[0] ?? ''
/** Whoever was removed and is asked for again has tables of its own. */
const tableOf = ({ out }: Ran): string => /flows in (klartext\.\w+)/.exec(out)?.[1] ?? ''
const onRecording = ['--archive', RECORDING, '--data', data]

test('alone: submitted, run right here, shown, compared, removed', async () => {
  const done = await klartext('replay', 'submit', ...onRecording)
  assert.equal(done.code, 0, done.err)
  assert.match(done.out, new RegExp(`kept {7}${FLOWS} flows in klartext\\.replay_`))
  const id = idOf(done)
  assert.deepEqual((await klartext('replay', 'submit', ...onRecording)).out.trim(), id)
  const same = await klartext('diff', id, id, '--data', data)
  assert.deepEqual([same.code, same.out.includes(`${FLOWS} equal, 0 changed, 0 new, 0 vanished`)], [0, true])
  const live = await klartext('diff', 'live', id, '--data', data, '--json', '--limit', '1')
  assert.equal(live.code, 3)
  const [first, sums] = live.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual([first.kind, sums.kind, sums.new], ['new', 'summary', FLOWS])
  assert.equal((await klartext('replay', 'rm', id, '--data', data)).code, 0)
  assert.equal((await klartext('replay', 'show', id, '--data', data)).code, 1)
})

test('beside klartext up: another process decodes it', async () => {
  const port = String(await freePort())
  const env = { PATH: process.env.PATH, HOME: folder }
  const words = [KLARTEXT, 'up', '--no-capture', '--no-detect', '--data', data, '--port', port]
  up = spawn(process.execPath, words, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  up.stderr?.on('data', (text: Buffer) => {
    said += text
  })
  await until('it serves', async () => said.includes('query '))
  const done = await klartext('replay', 'submit', ...onRecording, '--wait')
  assert.equal(done.code, 0, done.err)
  const count = await klartext('sql', `SELECT count() FROM ${tableOf(done)}`, '--data', data, '--json')
  assert.match(count.out, new RegExp(`:"?${FLOWS}"?}`), count.err)
  up.kill('SIGTERM')
  assert.deepEqual(await once(up, 'exit'), [0, null])
  up = null
})

test('an export holds each conversation once, for its owner only', async () => {
  const path = join(folder, 'x.pcapng')
  const done = await klartext('export', 'pcapng', '-o', path, '--archive', RECORDING)
  assert.equal(done.code, 0, done.err)
  assert.match(
    done.err,
    /^19 connections, 225 segments, 30134 bytes to .*\n19 connections were captured at a second place too/,
  )
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const text = readFileSync(path, 'latin1')
  // 65 calls of clients, 30 of nginx behind.
  assert.equal(text.match(/(GET|POST|PUT|DELETE|HEAD) \/\S* HTTP\/1\.1\r\n/g)?.length, 95)
  assert.match(
    text,
    /klartext: 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:44383, http1, connection \d+, seen by openssl at the server/,
  )
  const none = await klartext('export', 'pcapng', '-o', '/dev/full', '--archive', RECORDING)
  assert.deepEqual([none.code, none.err.trim().split('\n').length], [1, 1])
})

test('a config file names Kafka as KAFKA_BROKERS does', async () => {
  const config = join(folder, 'kafka.yaml')
  writeFileSync(config, "kafka:\n  brokers: ['127.0.0.1:1']\n")
  const span = ['--from', '1h', '--to', '0s', '--config', config]
  const { code, err } = await klartext('export', 'pcapng', '-o', join(folder, 'none.pcapng'), ...span)
  assert.deepEqual([code, /no Kafka answers at 127\.0\.0\.1:1/.test(err)], [1, true], err)
})

test('wrong words are one line and exit code 2', async () => {
  for (const words of [
    ['replay'],
    ['replay', 'show'],
    ['replay', 'rm', '../../x'],
    ['replay', 'submit', '--from', '1h', '--to', '2h', '--archive', RECORDING, '--data', data],
    ['replay', 'submit', '--from', '2h', '--to', '1h', '--data', data],
    ['replay', 'submit', '--archive', RECORDING, '--port', '99999', '--data', data],
    ['diff', 'live', 'live'],
    ['diff', 'x', 'y'],
    ['export', 'pcapng'],
    ['up', '--record', folder, '--no-capture'],
    ['up', '--record', folder, '--record-max', '1K'],
  ]) {
    const { code, out, err } = await klartext(...words)
    assert.deepEqual([words, code, out, err.trim().split('\n').length], [words, 2, '', 1], err)
  }
})
