import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { configSources } from './config_file.js'
import { readTextFile } from './text_file.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-text-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('a small file is read; what is missing, a folder, or never ends is one line', async () => {
  const path = join(folder, 'a.yaml')
  writeFileSync(path, 'grüße: 1\n')
  assert.equal(readTextFile(path), 'grüße: 1\n')
  assert.deepEqual((await configSources(path, {})).file, { name: path, value: { grüße: 1 } })
  writeFileSync(path, '')
  assert.equal(readTextFile(path), '')
  assert.throws(() => readTextFile(join(folder, 'none'), 'KEY: '), { code: 'BAD_FILE', message: /^KEY: ENOENT: / })
  assert.throws(() => readTextFile(folder), { code: 'BAD_FILE', message: /EISDIR/ })
  assert.throws(() => readTextFile('/dev/zero'), { code: 'BAD_FILE', message: /^\/dev\/zero: more than 1 MiB/ })
  await assert.rejects(configSources('/dev/zero', {}), { code: 'BAD_FILE' })
})
