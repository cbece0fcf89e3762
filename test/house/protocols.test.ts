/** What every protocol of the registry has to have, and what none may do. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { readGoldens } from '../../services/decode/golden/golden.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'

const FOLDER = join(REPO_ROOT, 'services/decode/protocols')
const GOLDENS_MIN = 20

test('names of protocols are different and are those of their folders', () => {
  const names = PROTOCOLS.map((protocol) => protocol.name)
  assert.deepEqual([...new Set(names)], names)
  for (const name of names) assert.ok(existsSync(join(FOLDER, name, `${name}.ts`)), name)
})

for (const protocol of PROTOCOLS) {
  const { name, privacy, transports } = protocol
  test(`${name} has goldens, each with a reason`, (t) => {
    const goldens = readGoldens(join(FOLDER, name, 'golden'))
    for (const golden of goldens) {
      assert.ok(golden.why.length > 20, `${golden.name} says why it matters`)
      assert.ok(golden.wire.length > 0, `${golden.name} has a wire block`)
    }
    if (existsSync(join(FOLDER, name, 'DRAFT.md'))) t.diagnostic(`${name} is a draft with ${goldens.length} goldens`)
    else assert.ok(goldens.length >= GOLDENS_MIN, `${goldens.length} goldens`)
  })
  test(`${name} says what of it may be kept`, () => {
    assert.ok(transports.length > 0)
    assert.ok(Object.keys(privacy).length > 0)
    for (const each of Object.values(privacy)) {
      assert.ok(each.attrsKept instanceof Set)
      // Whatever a resource holds, masking answers a text and never more than was there.
      for (const resource of ['', '/', 'a?b=c', "SELECT 'x'", '\u0000\ud800', '%', '='.repeat(5000)]) {
        assert.equal(typeof each.maskResource(resource), 'string')
      }
    }
  })
}

/** A decoder runs on segment time only, never waits, never logs: errors could carry payload, clocks and chance would make runs differ. */
const FORBIDDEN =
  /\bthrow\b|\bconsole\.|\bprocess\.|\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bawait\b|\bsetTimeout\(|\brequire\(|from 'node:(?!buffer'|crypto'|zlib')/

test('decoders neither throw, log, wait nor look at a clock', () => {
  const wrong: string[] = []
  for (const file of readdirSync(FOLDER, { recursive: true }).map(String)) {
    if (!file.endsWith('.ts') || /\.(test|bench)\.ts$/.test(file)) continue
    for (const [i, line] of readFileSync(join(FOLDER, file), 'utf8').split('\n').entries()) {
      if (FORBIDDEN.test(line.replace(/\/\/.*$|^\s*\*.*$|\/\*\*.*$/, '')))
        wrong.push(`${file}:${i + 1}: ${line.trim()}`)
    }
  }
  assert.deepEqual(wrong, [])
})
