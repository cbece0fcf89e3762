// npm run bench -- NAME: sets up what it needs and runs test/bench/NAME.ts.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, setUp } from '../../services/cli/setup/setup.mjs'

const [name, ...words] = process.argv.slice(2)
const folder = join(ROOT, 'test/bench')
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))
if (name === undefined || !existsSync(join(folder, `${name}.bench.ts`))) {
  console.error(`npm run bench -- NAME, where NAME is one of: ${names.join(', ')}`)
  process.exit(2)
}
for (const problem of setUp({ bench: true })) console.error(problem)
const { main } = await import(join(ROOT, 'dist/test/bench', `${name}.bench.js`))
process.exitCode = await main(words)
