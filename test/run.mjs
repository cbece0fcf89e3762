// npm test: sets up what it needs, runs every part, ends with one line that sums them up. In CI a skip is a failure.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { ROOT, setUp } from '../services/cli/setup/setup.mjs'

const CI = process.env.CI === 'true'
const unitOnly = process.argv.includes('--unit')
const total = { pass: 0, fail: 0, skipped: 0 }

function files(folder, ending) {
  const path = join(ROOT, folder)
  if (!existsSync(path)) return []
  return (
    readdirSync(path, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith(ending))
      .map((name) => join(path, name))
      // A test whose source is gone is no test any more.
      .filter((name) => existsSync(join(ROOT, relative(join(ROOT, 'dist'), name).replace(/\.js$/, '.ts'))))
      .sort()
  )
}

/** Unit tests that take seconds, by what they need: each in a process of its own. */
const LONG = [/golden\.test\.js$/, /checkpoint\.test\.js$/]

/**
 * A process for each short file costs more than its tests: these share one, by a file that imports them all. They take longest
 * and go first; the runner takes files by their names.
 */
function together(paths) {
  const long = LONG.map((pattern) => paths.filter((path) => pattern.test(path)))
  const short = paths.filter((path) => !LONG.some((pattern) => pattern.test(path)))
  const folder = join(ROOT, 'dist/unit')
  mkdirSync(folder, { recursive: true })
  return [short, ...long].map((group, i) => {
    const all = join(folder, `${i}.test.mjs`)
    writeFileSync(all, group.map((path) => `import '${relative(folder, path)}'\n`).join(''))
    return all
  })
}

/** Runs test files and adds their counts. Failures and figures (diagnostics) are shown, what passed is not. */
function runTests(label, paths, concurrency) {
  if (paths.length === 0) return Promise.resolve()
  return new Promise((resolve) => {
    const begun = Date.now()
    const reporter = join(ROOT, 'test/reporter.mjs')
    const words = [
      '--test',
      `--test-concurrency=${concurrency}`,
      `--test-reporter=${reporter}`,
      '--test-timeout=300000',
      ...paths,
    ]
    const child = spawn(process.execPath, words, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    })
    let text = ''
    child.stdout.on('data', (data) => {
      text += data
    })
    child.on('close', (code) => {
      const counts = /^counts (\d+) (\d+) (\d+)$/m.exec(text)
      const [pass, fail, skipped] = counts ? counts.slice(1).map(Number) : [0, 1, 0]
      total.pass += pass
      total.fail += code !== 0 && fail === 0 ? 1 : fail
      total.skipped += skipped
      process.stdout.write(text.replace(/^counts .*\n/m, ''))
      console.log(
        `${label}: ${pass} passed, ${fail} failed, ${skipped} skipped in ${((Date.now() - begun) / 1000).toFixed(1)} s`,
      )
      resolve()
    })
  })
}

function runStep(label, command, words) {
  return new Promise((resolve) => {
    const child = spawn(command, words, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += data))
    child.on('close', (code) => {
      total[code === 0 ? 'pass' : 'fail'] += 1
      console.log(`${label}: ${code === 0 ? 'ok' : `failed\n${text}`}`)
      resolve()
    })
  })
}

const problems = setUp(unitOnly ? {} : { demo: true, test: true })
for (const problem of problems) console.log(`set-up: ${problem}`)
if (CI) total.fail += problems.length

if (!unitOnly) await runStep('format and lint', join(ROOT, 'node_modules/.bin/biome'), ['ci', '.'])
await runTests('unit', together(files('dist/services', '.test.js')), 2)
if (!unitOnly) {
  await runTests('house rules', files('dist/test/house', '.test.js'), 2)
  await runTests('fuzz', files('dist/test/fuzz', '.test.js'), 2)
  await runTests('corpus', files('dist/test/corpus', '.test.js'), 2)
  await runTests('simulation', files('dist/test/sim', '.test.js'), 1)
  await runTests('store', files('dist/test/store', '.test.js'), 1)
  await runTests('redis', files('dist/test/redis', '.test.js'), 1)
  await runTests('kubernetes', files('dist/test/kubernetes', '.test.js'), 1)
  await runTests('replay', files('dist/test/replay', '.test.js'), 1)
  // Each starts servers of its own.
  await runTests('kafka', files('dist/test/kafka', '.test.js'), 1)
  await runTests('chaos', files('dist/test/chaos', '.test.js'), 1)
  await runTests('deploy', files('dist/test/deploy', '.test.js'), 1)
  await runTests('command line', files('dist/test/cli', '.test.js'), 2)
  // These look at the whole host: one at a time.
  await runTests('live capture', files('dist/test/live', '.test.js'), 1)
}
if (CI && total.skipped > 0) {
  console.log(`in CI nothing may be skipped: ${total.skipped} skipped`)
  total.fail += total.skipped
}
console.log(`${total.pass} passed, ${total.fail} failed, ${total.skipped} skipped`)
process.exitCode = total.fail === 0 ? 0 : 1
