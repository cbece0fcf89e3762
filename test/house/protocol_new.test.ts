/** `npm run protocol:new` in a copy of the sources: what it makes is formatted, compiles, and passes its plays and the house rules. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const COPIED = [
  'services',
  'test',
  'native/index.d.ts',
  'schemas',
  'bpf/segment.h',
  'package.json',
  'tsconfig.json',
  'biome.json',
]

function run(folder: string, words: string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, words, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env },
  })
  return { status, text: `${stdout}${stderr}` }
}

test('protocol:new makes a green skeleton', () => {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-protocol-'))
  try {
    for (const path of COPIED) cpSync(join(REPO_ROOT, path), join(folder, path), { recursive: true })
    symlinkSync(join(REPO_ROOT, 'node_modules'), join(folder, 'node_modules'))
    const script = join(folder, 'test/protocol_new.mjs')
    for (const name of ['', 'Redis', '../x', '_x', 'x', 'a b', 'redis-2', 'http1', 'pairing', 'a'.repeat(40)]) {
      assert.equal(run(folder, [script, name]).status, 2, `"${name}" is refused`)
    }
    const made = run(folder, [script, 'my_proto'])
    assert.equal(made.status, 0, made.text)
    assert.equal(run(folder, [script, 'my_proto']).status, 2, 'not twice')
    assert.match(readFileSync(join(folder, 'services/decode/protocols/registry.ts'), 'utf8'), /\bmyProto\b.*\]/)

    const biome = join(folder, 'node_modules/@biomejs/biome/bin/biome')
    const lint = run(folder, [biome, 'ci', '--vcs-enabled=false', 'services/decode/protocols'])
    assert.equal(lint.status, 0, lint.text)
    const compiled = run(folder, ['node_modules/typescript/bin/tsc'])
    assert.equal(compiled.status, 0, compiled.text)
    const goldens = run(folder, ['--test', 'dist/services/decode/golden/golden.test.js'], {
      KLARTEXT_GOLDEN: 'my_proto',
    })
    assert.equal(goldens.status, 0, goldens.text)
    assert.match(goldens.text, /my_proto pipelined: any part lost/)
    const house = run(folder, ['--test', 'dist/test/house/imports.test.js', 'dist/test/house/protocols.test.js'])
    assert.equal(house.status, 0, house.text)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
