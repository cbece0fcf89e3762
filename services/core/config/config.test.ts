import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { UsageError } from '../errors.js'
import { type ConfigSources, describeConfig, printConfig, readConfig } from './config.js'
import { choice, flag, list, secret, text, url, wholeNumber } from './key.js'

const SPEC = {
  store: {
    url: url('STORE_URL', { schemes: ['http', 'https'], help: 'where', fallback: 'http://u:geheim@h:1' }),
    hosts: list('STORE_HOSTS', { item: /^\w+:\d+$/, takes: 'host:port', help: 'hosts', fallback: [] }),
  },
  work: {
    name: text('WORK_NAME', { help: 'must be set' }),
    tickMs: wholeNumber('WORK_TICK_MS', { min: 10, max: 1000, unit: 'ms', fallback: 200, help: 'tick' }),
    fast: flag('WORK_FAST', { fallback: false, help: 'fast' }),
    mode: choice('WORK_MODE', { fallback: 'all', help: 'mode' }, ['all', 'some'] as const),
    password: secret('WORK_PASSWORD', { fallback: '', help: 'hidden' }),
  },
}

function read(environment: ConfigSources['environment'], value?: unknown, files: Record<string, string> = {}) {
  const readText = (path: string) => {
    if (!Object.hasOwn(files, path)) throw new Error(`no such file: ${path}`)
    return files[path]
  }
  return readConfig(SPEC, { file: value === undefined ? null : { name: 'k.yaml', value }, environment, readText })
}

test('defaults, a file over them, the environment over both', () => {
  const file = { work: { name: 'file', tickMs: 50, fast: true, mode: 'some' }, store: { hosts: ['a:1', 'b:2'] } }
  const { config, origins } = read({ WORK_NAME: 'environment', WORK_TICK_MS: ' 70 ', WORK_MODE: '' }, file)
  assert.deepEqual(config, {
    store: { url: 'http://u:geheim@h:1', hosts: ['a:1', 'b:2'] },
    work: { name: 'environment', tickMs: 70, fast: true, mode: 'some', password: '' },
  })
  const from = ['store.url', 'store.hosts', 'work.name', 'work.mode'].map((name) => origins.get(name))
  assert.deepEqual(from, ['default', 'file', 'environment', 'file'])
  assert.deepEqual(read({ WORK_NAME: 'n', STORE_HOSTS: 'a:1, b:2,' }).config.store.hosts, ['a:1', 'b:2'])
  assert.equal(read({ WORK_NAME: 'n' }, null).config.work.tickMs, 200)
  assert.equal(read({ WORK_NAME: 'n' }, { work: null }).config.work.tickMs, 200)
})

test('secrets from files, named in the environment or beside the file’s other keys', () => {
  const files = { '/s': 'geheim\n' }
  assert.equal(read({ WORK_NAME: 'n', WORK_PASSWORD_FILE: '/s' }, undefined, files).config.work.password, 'geheim')
  assert.equal(read({ WORK_NAME: 'n' }, { work: { passwordFile: '/s' } }, files).config.work.password, 'geheim')
  assert.throws(() => read({ WORK_NAME: 'n', WORK_PASSWORD_FILE: '/none' }), {
    message: 'WORK_PASSWORD_FILE: no such file: /none',
  })
  // Only a secret may be in a file of its own.
  assert.throws(() => read({ WORK_NAME: 'n' }, { work: { nameFile: '/s' } }, files), /unknown key "work\.nameFile"/)
})

test('what is wrong is named by where it stands; secrets are not repeated', () => {
  const cases: [ConfigSources['environment'], unknown, string][] = [
    [{}, undefined, 'WORK_NAME is not set: a text'],
    [{}, { work: { nam: 'x' } }, 'k.yaml: unknown key "work.nam"; known: name, tickMs, fast, mode, password'],
    [{}, { wrok: {} }, 'k.yaml: unknown key "wrok"; known: store, work'],
    [{}, { constructor: {} }, 'k.yaml: unknown key "constructor"; known: store, work'],
    [{}, ['work'], 'k.yaml takes keys and values, one per line'],
    [{}, { work: 7 }, 'k.yaml: work takes keys and values, one per line'],
    [{}, { work: { tickMs: 9 } }, 'k.yaml: work.tickMs takes a whole number from 10 to 1000 (ms), not "9"'],
    [{}, { work: { tickMs: 10.5 } }, 'k.yaml: work.tickMs takes a whole number from 10 to 1000 (ms), not "10.5"'],
    [{ WORK_NAME: '' }, { work: { name: { a: 1 } } }, 'k.yaml: work.name takes a text, not "{"a":1}"'],
    [{}, { work: { password: 7 } }, 'k.yaml: work.password takes a text'],
    [{}, { work: { passwordFile: 7 } }, 'k.yaml: work.passwordFile takes the path of a file'],
    [{ WORK_NAME: 'n', WORK_FAST: 'yes' }, undefined, 'WORK_FAST takes 0 or 1, false or true, not "yes"'],
    [{ WORK_NAME: 'n', WORK_MODE: 'none' }, undefined, 'WORK_MODE takes all, some, not "none"'],
    [{ WORK_NAME: 'n', STORE_HOSTS: 'a:1,b' }, undefined, 'STORE_HOSTS takes host:port, not "a:1,b"'],
    [
      { WORK_NAME: 'n', STORE_URL: 'ftp://u:geheim@h' },
      undefined,
      'STORE_URL takes http://user:password@host:port or https://user:password@host:port',
    ],
  ]
  for (const [environment, file, message] of cases) {
    assert.throws(
      () => read(file === undefined ? environment : { WORK_NAME: 'n', ...environment }, file),
      (error: unknown) => error instanceof UsageError && error.message === message,
      message,
    )
  }
})

test('--print shows what is in effect and where it is from, without secrets; it can be read again', () => {
  const shown = printConfig(read({ WORK_NAME: 'n', WORK_PASSWORD: 'geheim' }))
  assert.doesNotMatch(shown, /geheim/)
  assert.match(shown, /^ {2}url: "http:\/\/u:\*\*\*@h:1\/" +# STORE_URL, default$/m)
  assert.match(shown, /^ {2}password: "\*\*\*" +# WORK_PASSWORD, environment$/m)
  assert.match(shown, /^ {2}tickMs: 200 +# ms, WORK_TICK_MS, default$/m)
  const again = read({}, parse(shown)).config
  assert.deepEqual(again.work, { name: 'n', tickMs: 200, fast: false, mode: 'all', password: '***' })
})

test('--help lists each key with its variable and what it is by itself', () => {
  const lines = describeConfig(SPEC).split('\n')
  assert.match(lines.find((line) => line.includes('tickMs')) ?? '', /WORK_TICK_MS +tick \(200 ms\)$/)
  assert.match(lines.find((line) => line.includes('WORK_NAME')) ?? '', /must be set \(must be set\)$/)
  assert.doesNotMatch(lines.join('\n'), /geheim/)
})
