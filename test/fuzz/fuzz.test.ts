/** A short round for every protocol. `npm run test:fuzz -- NAME --seed N --runs K` goes on from here. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { findingText, fuzz } from './fuzz.js'

const SEED = 1
const RUNS = 400

for (const protocol of PROTOCOLS) {
  test(`${protocol.name} under hostile traffic`, async (t) => {
    const { runs, bytes, findings } = await fuzz(protocol, SEED, RUNS)
    t.diagnostic(`${protocol.name}: ${runs} runs, ${(bytes / 1e6).toFixed(1)} MB`)
    assert.equal(findings.length, 0, findings.map((finding) => findingText(protocol.name, finding)).join('\n'))
  })
}
