// npm run test:chaos -- [--seed S] [--kills K] [--quiet]: one chaos run; sets up what it needs.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT, setUp } from '../../services/cli/setup/setup.mjs'

const { values } = parseArgs({
  options: { seed: { type: 'string' }, kills: { type: 'string' }, quiet: { type: 'boolean' } },
})
const { seed = '1', kills = '20', quiet = false } = values
for (const [name, value] of Object.entries({ seed, kills })) {
  if (!/^\d+$/.test(value)) {
    console.error(`--${name} takes a whole number, not ${value}`)
    process.exit(2)
  }
}
for (const problem of setUp({ test: true })) console.error(problem)
const { main } = await import(join(ROOT, 'dist/test/chaos/main.js'))
process.exitCode = await main(Number(seed), Number(kills), quiet)
