// npm run protocol:new -- NAME: a new protocol from services/decode/protocols/_template: its folder and one line in the
// registry. What comes out is green; DRAFT.md in it lists what is left to do.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')
const PROTOCOLS = join(ROOT, 'services/decode/protocols')
const REGISTRY = join(PROTOCOLS, 'registry.ts')

function refuse(why) {
  console.error(why)
  process.exit(2)
}

const [name, ...more] = process.argv.slice(2)
if (name === undefined || more.length > 0) refuse('npm run protocol:new -- NAME')
if (!/^[a-z][a-z0-9_]{1,30}$/.test(name) || name.endsWith('_')) {
  refuse(`${name}: a name is 2 to 31 lower-case letters, digits and _, and begins with a letter`)
}
const folder = join(PROTOCOLS, name)
if (existsSync(folder)) refuse(`${relative(ROOT, folder)} is there already`)

const constant = name.replace(/_+(.)/g, (_, letter) => letter.toUpperCase())
const type = constant[0].toUpperCase() + constant.slice(1)
/** `template` as the name of a constant or in a path or text, `Template` in types, `TEMPLATE` on the wire. */
function rename(text) {
  return text
    .replace(/export const template\b/g, `export const ${constant}`)
    .replace(/\btemplate: \{$/gm, `${name}: {`)
    .replaceAll('template', name)
    .replaceAll('TEMPLATE', name.toUpperCase())
    .replaceAll('Template', type)
}

for (const file of readdirSync(join(PROTOCOLS, '_template'), { recursive: true }).map(String)) {
  const from = join(PROTOCOLS, '_template', file)
  const to = join(folder, file.replace('template', name))
  mkdirSync(dirname(to), { recursive: true })
  if (/\.(ts|md)$/.test(file)) writeFileSync(to, rename(readFileSync(from, 'utf8')))
}

const registry = readFileSync(REGISTRY, 'utf8')
const listed = registry.replace(/(PROTOCOLS: readonly Protocol\[\] = \[)([\s\S]*?)(,?\s*\])/, `$1$2, ${constant}$3`)
if (listed === registry) refuse(`${relative(ROOT, REGISTRY)}: no list of protocols found`)
const importLine = `import { ${constant} } from './${name}/${name}.js'\n`
writeFileSync(REGISTRY, listed.replace(/(import .*\n)(?!import )/, `$1${importLine}`))

const biome = join(ROOT, 'node_modules/.bin/biome')
const format = spawnSync(biome, ['check', '--write', '--vcs-enabled=false', '--log-level=error', folder, REGISTRY], {
  cwd: ROOT,
  stdio: 'inherit',
})
if (format.status !== 0) process.exit(1)
console.log(`${relative(ROOT, folder)} is made and registered; its DRAFT.md says what is left to do`)
console.log(`next: npm run test:golden -- ${name}`)
