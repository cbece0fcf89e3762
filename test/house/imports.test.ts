/** Who may import whom: the arrows of the architecture, checked. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const SERVICES = join(REPO_ROOT, 'services')

/** First matching rule decides; a file may import its own folder and what `may` lists. */
const RULES: readonly { readonly from: RegExp; readonly may: RegExp }[] = [
  // Services are wired in their main.ts and nowhere else, the command line apart.
  { from: /^\w+\/main\.ts$/, may: /./ },
  { from: /^core\//, may: /^core\// },
  { from: /^decode\/protocols\/registry/, may: /^(core|decode\/protocols)\// },
  { from: /^decode\/protocols\//, may: /^(core\/|decode\/protocols\/)/ },
  { from: /^decode\//, may: /^(core|decode)\// },
  { from: /^sink\//, may: /^(core|sink)\// },
  { from: /^detect\//, may: /^(core|detect)\// },
  { from: /^directory\//, may: /^(core|directory)\// },
  { from: /^capture\//, may: /^(core|capture)\/|^\.\.\/native\// },
  { from: /^adapters\/chdb\//, may: /^(core|adapters\/(chdb|clickhouse|system))\// },
  { from: /^adapters\//, may: /^(core|adapters)\// },
  { from: /^replay\//, may: /^(core|decode|sink|replay)\// },
  { from: /^schema_registry\//, may: /^(core|schema_registry)\// },
  { from: /^cli\//, may: /./ },
]

test('imports follow the arrows', () => {
  const wrong: string[] = []
  const files = readdirSync(SERVICES, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.ts') && !/\.(test|bench)\.ts$/.test(name))
  assert.ok(files.length > 40)
  for (const file of files) {
    const rule = RULES.find(({ from }) => from.test(file))
    assert.ok(rule, `${file} lies in no known room`)
    for (const [, path] of readFileSync(join(SERVICES, file), 'utf8').matchAll(/from '(\.[^']+)'/g)) {
      const target = relative(SERVICES, join(SERVICES, dirname(file), path))
      if (!rule.may.test(target)) wrong.push(`${file} imports ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('client libraries stay in their adapters', () => {
  for (const file of readdirSync(SERVICES, { recursive: true }).map(String)) {
    if (!file.endsWith('.ts')) continue
    const text = readFileSync(join(SERVICES, file), 'utf8')
    for (const [library, folder] of [
      ['@clickhouse/client', 'adapters/clickhouse/'],
      ['chdb', 'adapters/chdb/'],
      ['kafkajs', 'adapters/kafka/'],
      ['ioredis', 'adapters/redis/'],
      ['bullmq', 'adapters/redis/'],
      ['@kubernetes/client-node', 'adapters/kubernetes/'],
    ]) {
      if (!file.startsWith(folder))
        assert.doesNotMatch(text, new RegExp(`(from|require\\(|import\\() ?'${library}`), file)
    }
  }
})

test('flags have one meaning on both sides of the kernel', async () => {
  const { SegmentFlag } = await import('../../services/core/segment.js')
  const header = readFileSync(join(REPO_ROOT, 'bpf/segment.h'), 'utf8')
  for (const [name, bit] of Object.entries(SegmentFlag)) {
    const shift = new RegExp(`#define KT_${name} \\(1u << (\\d+)\\)`).exec(header)?.[1]
    assert.equal(1 << Number(shift), bit, name)
  }
})

const ENVIRONMENT = ['adapters/chdb/data_dir.ts', 'adapters/chdb/engine_process.ts']

test('below the edges nothing reads the environment or writes to the console', () => {
  for (const file of readdirSync(SERVICES, { recursive: true }).map(String)) {
    if (!file.endsWith('.ts') || /\.(test|bench)\.ts$/.test(file) || file.startsWith('cli/')) continue
    const text = readFileSync(join(SERVICES, file), 'utf8')
    assert.doesNotMatch(text, /console\./, file)
    // Where the store lies by default, and what its engine's process inherits.
    if (!ENVIRONMENT.includes(file)) assert.doesNotMatch(text, /process\.env/, file)
  }
})
