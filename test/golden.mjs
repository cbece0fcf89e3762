// npm run test:golden -- NAME [--update]: the golden files of one protocol in all their plays, or, with --update, their
// expected flows written anew. The diff is for a person to judge.
import { spawnSync } from 'node:child_process'
import { join, relative } from 'node:path'
import { build, npmPackages, ROOT } from '../services/cli/setup/setup.mjs'

npmPackages()
build()
const words = process.argv.slice(2)
const update = words.includes('--update')
const names = words.filter((word) => word !== '--update')
const { PROTOCOLS } = await import(join(ROOT, 'dist/services/decode/protocols/registry.js'))
const known = PROTOCOLS.map((protocol) => protocol.name)
if (names.length !== 1 || !known.includes(names[0])) {
  console.error(`npm run test:golden -- NAME [--update], where NAME is one of: ${known.join(', ')}`)
  process.exit(2)
}

if (update) {
  const { readGoldens, segmentsOf, updateGolden } = await import(join(ROOT, 'dist/services/decode/golden/golden.js'))
  const { observe } = await import(join(ROOT, 'dist/services/decode/golden/observe.js'))
  for (const golden of readGoldens(join(ROOT, 'services/decode/protocols', names[0], 'golden'))) {
    const { flows } = observe(segmentsOf(golden), PROTOCOLS)
    if (updateGolden(golden, flows)) console.log(`updated ${relative(ROOT, golden.path)}`)
  }
}
const test = spawnSync(
  process.execPath,
  [
    '--test',
    `--test-reporter=${join(ROOT, 'test/reporter.mjs')}`,
    join(ROOT, 'dist/services/decode/golden/golden.test.js'),
  ],
  { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, KLARTEXT_GOLDEN: names[0] } },
)
const text = test.stdout.toString()
const [, pass, fail] = /^counts (\d+) (\d+) /m.exec(text) ?? []
process.stdout.write(text.replace(/^counts .*\n/m, ''))
console.log(`${names[0]}: ${pass} passed, ${fail} failed`)
process.exitCode = test.status === 0 ? 0 : 1
