/** How a service ends that goes wrong, and what the command line says of a configuration. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-service-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function odd(kind: string) {
  const script = fileURLToPath(new URL('odd_service.js', import.meta.url))
  const env = { PATH: process.env.PATH, KLARTEXT_STUCK_MS: '1000', KLARTEXT_LOG_FORMAT: 'json' }
  const child = spawn(process.execPath, [script, kind], { stdio: ['ignore', 'ignore', 'pipe'], env })
  let said = ''
  child.stderr.on('data', (data) => (said += data))
  const lines = () =>
    said
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, string>)
  const logged = async (message: string) => {
    for (;;) {
      const found = lines().find((line) => line.message === message)
      if (found !== undefined) return found
      assert.equal(child.exitCode, null, said)
      await sleep(20)
    }
  }
  return { child, lines, logged, ended: once(child, 'close').then(([code]) => code as number) }
}

test('a loop that hangs fails /livez, and in the end the process ends itself', { timeout: 60_000 }, async () => {
  const { logged, lines, ended } = odd('stuck')
  const { url } = await logged('operations server')
  await logged('started')
  const answers = new Map<number, string>()
  let isOver = false
  void ended.then(() => (isOver = true))
  while (!isOver) {
    const answer = await fetch(`${url}/livez`).catch(() => null)
    if (answer !== null) answers.set(answer.status, await answer.text())
    await sleep(50)
  }
  assert.deepEqual([...answers.keys()].sort(), [200, 503])
  assert.match(answers.get(503) ?? '', /^no progress for \d+ s\n$/)
  assert.equal(await ended, 1)
  assert.deepEqual([lines().at(-1)?.code, lines().at(-1)?.message], ['STUCK', 'ending at once'])
})

test('our own mistake ends the process at once, with where it was made', { timeout: 60_000 }, async () => {
  const { lines, ended } = odd('broken')
  assert.equal(await ended, 1)
  const last = lines().at(-1)
  assert.deepEqual([last?.message, last?.code], ['ended by an error', 'UNEXPECTED'])
  assert.match(String(last?.error), /^nothing is here \(at .*odd_service/)
  assert.match(String(last?.stack), /^TypeError: nothing is here\n/)
})

test('an end in good order with losses lists them, exit code 3', { timeout: 60_000 }, async () => {
  const { child, logged, lines, ended } = odd('slow')
  await logged('started')
  child.kill('SIGTERM')
  assert.equal(await ended, 3)
  assert.equal(lines().find(({ message }) => message === 'lost')?.what, 'queue_full: 3 segments, 7 bytes')
  assert.equal(lines().at(-1)?.message, 'ended')
})

test('a host that was asleep has not been stuck', { timeout: 60_000 }, async () => {
  const { child, logged, ended } = odd('asleep')
  await logged('started')
  await sleep(1_600)
  child.kill('SIGTERM')
  assert.equal(await ended, 0)
})

function klartext(words: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const env = { PATH: process.env.PATH, ...environment }
  const command = [join(REPO_ROOT, 'services/cli/bin/klartext.mjs'), ...words]
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8', env })
  return { status, stdout, stderr }
}

test('--check and --print: right, wrong, and without secrets', () => {
  const file = join(folder, 'sink.yaml')
  writeFileSync(
    file,
    'kafka:\n  brokers: [a:9092, b:9092]\nclickhouse:\n  url: http://u:geheim@c:8123\nsink:\n  rows: 7\n',
  )
  const sink = (...words: string[]) => klartext(['sink', '--config', file, ...words], { KLARTEXT_SINK_ROWS: '9' })
  assert.deepEqual(sink('--check'), { status: 0, stdout: '', stderr: 'the configuration is right\n' })
  const print = sink('--print')
  assert.equal(print.status, 0)
  assert.match(print.stdout, /^ {2}rows: 9 +# rows, KLARTEXT_SINK_ROWS, environment$/m)
  assert.match(print.stdout, /^ {2}brokers: \["a:9092","b:9092"\] +# KAFKA_BROKERS, file$/m)
  assert.doesNotMatch(print.stdout, /geheim/)

  const wrong = (text: string) => {
    writeFileSync(file, text)
    const { status, stdout, stderr } = klartext(['sink', '--config', file, '--check'])
    assert.equal(stdout, '')
    return [status, stderr.replace(folder, '')]
  }
  const unknown = '/sink.yaml: unknown key "sink.row"; known: group, rows, bytes, ageMs\n'
  assert.deepEqual(wrong('sink:\n  row: 7\n'), [2, unknown])
  assert.deepEqual(wrong('kafka:\n  brokers: [a]\n'), [
    2,
    '/sink.yaml: kafka.brokers takes host:port, several with commas, not "["a"]"\n',
  ])
  assert.equal(wrong('kafka: [\n')[0], 2)
  assert.match(String(wrong('kafka: [\n')[1]), /^\/sink\.yaml: .* at line \d+, column \d+\n$/)
  const away = klartext(['sink', '--config', join(folder, 'none'), '--check'])
  assert.equal(away.status, 1)
  assert.match(away.stderr, /^configuration: ENOENT: .*none'\n$/)
  assert.equal(klartext(['decode', 'more']).status, 2)
})
