/** The Dockerfile's steps in a plain folder: what it copies is there, and what is copied is enough for the services to start. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { freePort } from '../../services/cli/demo/free_port.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const TEXT = readFileSync(join(REPO_ROOT, 'k8s/image/Dockerfile'), 'utf8')
const steps = TEXT.replace(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => ({ word: line.split(' ')[0], rest: line.slice(line.indexOf(' ') + 1) }))
const last = steps.findLastIndex(({ word }) => word === 'FROM')

test('only words that Dockerfiles have, images of fixed versions, sources that are there and not ignored', () => {
  const ignored = readFileSync(join(REPO_ROOT, '.dockerignore'), 'utf8')
  for (const [i, { word, rest }] of steps.entries()) {
    assert.match(word, /^(FROM|RUN|WORKDIR|COPY|ENV|USER|ENTRYPOINT|CMD)$/, rest)
    if (word === 'FROM') assert.match(rest, /^node:\d+-\w+(-slim)?( AS build)?$/)
    if (word !== 'COPY' || i > last) continue
    for (const source of rest.split(' ').slice(0, -1)) {
      assert.ok(existsSync(join(REPO_ROOT, source)), source)
      assert.ok(ignored.includes(`!${source}\n`), `${source} is kept out by .dockerignore`)
    }
  }
})

test('Debian has the packages', () => {
  if (!existsSync('/usr/bin/apt-cache')) return
  for (const { rest } of steps.filter(({ rest }) => rest.startsWith('apt-get update'))) {
    const [, list] = /--no-install-recommends(.*?)&&/.exec(rest) ?? []
    for (const name of list.trim().split(/\s+/)) {
      const found = spawnSync('apt-cache', ['show', name], { encoding: 'utf8' })
      assert.equal(found.status, 0, name)
    }
  }
})

test('what the last stage copies runs klartext: help, each command of the compose file, the addon', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-image-'))
  try {
    for (const { word, rest } of steps.slice(last)) {
      if (word !== 'COPY') continue
      const [, source, target] = /^--from=build \/klartext\/(\S+) (\S+)$/.exec(rest) ?? []
      assert.ok(source !== undefined, rest)
      const to = join(folder, target === './' ? source : target)
      mkdirSync(dirname(to), { recursive: true })
      if (source === 'node_modules') linkPackages(to)
      else cpSync(join(REPO_ROOT, source), to, { recursive: true })
    }
    rmSync(join(folder, 'dist/test'), { recursive: true, force: true })
    const run = (...words: string[]) =>
      spawnSync(process.execPath, [join(folder, 'services/cli/bin/klartext.mjs'), ...words], {
        encoding: 'utf8',
        cwd: '/',
        env: { PATH: process.env.PATH },
      })
    const help = run('--help')
    assert.equal(help.status, 0, help.stderr)
    for (const command of ['topics', 'migrate', 'registry']) assert.equal(run(command, '--help').status, 0, command)
    const topics = run('topics', 'apply')
    assert.deepEqual([topics.status, topics.stderr], [2, 'KAFKA_BROKERS is not set: host:port, several with commas\n'])
    const away = run('migrate', 'plan', '--url', 'http://127.0.0.1:1')
    assert.equal(away.status, 1)
    assert.match(away.stderr, /ECONNREFUSED/)
    const registry = run('registry', '--port', String(await freePort()), '--seconds', '1')
    assert.equal(registry.status, 0, registry.stderr)
    const load = `process.dlopen({ exports: {} }, '${join(folder, 'native/build/klartext.node')}')`
    assert.equal(spawnSync(process.execPath, ['-e', load]).status, 0)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** Packages as the image has them: without those for development and without the embedded engine. */
function linkPackages(to: string): void {
  const { dependencies } = JSON.parse(readFileSync(join(REPO_ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  for (const name of Object.keys(dependencies)) {
    if (name === 'chdb') continue
    mkdirSync(dirname(join(to, name)), { recursive: true })
    symlinkSync(join(REPO_ROOT, 'node_modules', name), join(to, name))
  }
}
