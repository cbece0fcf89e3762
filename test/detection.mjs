// npm run test:detection [-- --write]: the confusion matrix over all captures; --write puts it into the protocols' README.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build, npmPackages, ROOT } from '../services/cli/setup/setup.mjs'

npmPackages()
build()
const words = process.argv.slice(2)
if (words.some((word) => word !== '--write')) {
  console.error('npm run test:detection [-- --write]')
  process.exit(2)
}
const { NO_CORPUS } = await import(join(ROOT, 'dist/test/corpus/corpus.js'))
if (NO_CORPUS) {
  console.error(NO_CORPUS)
  process.exit(1)
}
const { confusions, table, totals } = await import(join(ROOT, 'dist/test/corpus/detection.js'))
const parts = []
for (const confusion of await confusions()) {
  const { streams, ours, right, wrong } = totals(confusion)
  const share = ((100 * right) / ours).toFixed(1)
  const sum = `${streams} streams joined at their ${confusion.from}: of ${ours} in protocols decoded here ${right} recognised (${share} %), ${wrong} wrong claims.`
  parts.push(`${table(confusion)}\n\n${sum}`)
  console.log(`${parts[parts.length - 1]}\n`)
  for (const line of confusion.wrong) console.log(`  wrong: ${line}`)
}
if (words.length > 0) {
  const path = join(ROOT, 'services/decode/protocols/README.md')
  const text = readFileSync(path, 'utf8')
  const marks = /(<!-- detection -->\n)[\s\S]*?(<!-- end of detection -->)/
  writeFileSync(
    path,
    text.replace(marks, (_, begin, end) => `${begin}\n${parts.join('\n\n')}\n\n${end}`),
  )
}
