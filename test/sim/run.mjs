// npm run test:sim -- --seed S --schedules N: plays N schedules from seed S on.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT, setUp } from '../../services/cli/setup/setup.mjs'

const { values } = parseArgs({ options: { seed: { type: 'string' }, schedules: { type: 'string' } } })
for (const [name, value] of Object.entries(values)) {
  if (!/^\d+$/.test(value)) {
    console.error(`--${name} takes a whole number, not ${value}`)
    process.exit(2)
  }
}
for (const problem of setUp({})) console.error(problem)
const done = spawnSync(process.execPath, ['--test', join(ROOT, 'dist/test/sim/exactly_once.test.js')], {
  stdio: 'inherit',
  env: {
    ...process.env,
    KLARTEXT_SIM_SEED: values.seed ?? '1',
    KLARTEXT_SIM_SCHEDULES: values.schedules ?? '300',
  },
})
process.exitCode = done.status ?? 1
