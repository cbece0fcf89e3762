// npm run demo: makes the clone ready, then runs the main job.
import { setUp } from '../setup/setup.mjs'

for (const problem of setUp({ demo: true })) console.error(problem)
const { main } = await import('../../../dist/services/cli/main.js')
process.exitCode = await main(['demo', ...process.argv.slice(2)])
