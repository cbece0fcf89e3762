// npm run test:fuzz -- NAME [--seed N] [--runs K]: hostile traffic made from the goldens and captures of one protocol.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build, npmPackages, ROOT } from '../services/cli/setup/setup.mjs'

npmPackages()
build()
const { PROTOCOLS } = await import(join(ROOT, 'dist/services/decode/protocols/registry.js'))
const { findingText, fuzz } = await import(join(ROOT, 'dist/test/fuzz/fuzz.js'))
const usage = `npm run test:fuzz -- NAME [--seed N] [--runs K], where NAME is one of: ${PROTOCOLS.map((p) => p.name).join(', ')}`

function words() {
  try {
    const options = { seed: { type: 'string', default: '1' }, runs: { type: 'string', default: '10000' } }
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    return { name: positionals[0], seed: Number(values.seed), runs: Number(values.runs) }
  } catch {
    return null
  }
}

const wanted = words()
const protocol = PROTOCOLS.find((each) => each.name === wanted?.name)
if (protocol === undefined || !Number.isSafeInteger(wanted.seed) || !(wanted.runs > 0)) {
  console.error(usage)
  process.exit(2)
}
const begun = Date.now()
const { runs, bytes, findings } = await fuzz(protocol, wanted.seed, wanted.runs)
for (const finding of findings) console.log(findingText(protocol.name, finding))
const seconds = ((Date.now() - begun) / 1000).toFixed(1)
console.log(
  `${protocol.name}: ${runs} runs from seed ${wanted.seed}, ${(bytes / 1e6).toFixed(1)} MB, ${seconds} s: ${findings.length} findings`,
)
process.exitCode = findings.length === 0 ? 0 : 1
