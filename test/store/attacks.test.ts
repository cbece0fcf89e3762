/**
 * Every rule against generated clusters: hours of ordinary life with plants in it and look-alikes near what each rule goes by.
 * The generator (test/fakes/worlds) writes down what it planted; that alone judges.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import type { Finding } from '../../services/core/finding.js'
import { DetectEngine } from '../../services/detect/engine.js'
import { readRules } from '../../services/detect/rules.js'
import { Attacks } from '../fakes/worlds/attacks.js'
import { Score } from '../fakes/worlds/score.js'

const SEEDS = [1, 2, 3, 4]
const SLOT_US = 600e6
const UNTIL_US = Math.floor((Date.now() * 1000) / SLOT_US) * SLOT_US
const dataDir = mkdtempSync(join(tmpdir(), 'klartext-attacks-'))
const rules = readRules()
const worlds = SEEDS.map((seed) => new Attacks(UNTIL_US, seed, `world${seed}`))
let store: ChdbStore
let engine: DetectEngine

before(async () => {
  store = await ChdbStore.open(dataDir)
  engine = new DetectEngine({ store, rules, nowUs: () => UNTIL_US + 20e6 })
  for (const { flows, cluster } of worlds) {
    for (let from = 0; from < flows.length; from += 50_000)
      await store.insert('flows', flows.slice(from, from + 50_000), `${cluster}/${from}`)
  }
})

after(async () => {
  await store.close()
  rmSync(dataDir, { recursive: true, force: true })
})

/** Who a finding speaks of, in the words of the world that it is of. */
function whoIs(world: Attacks, { rule, subject }: Finding): string {
  const names = subject
    .replace(' /report', '')
    .replaceAll(`${world.cluster}/${world.ns}/`, '')
    .replaceAll(`${world.cluster}//`, '')
  if (rule === 'latency_regression') return names.split(' ')[0]
  const [client, server] = names.split(' -> ')
  if (rule !== 'brute_force') return server === undefined ? client : `${client} ${server}`
  const known = world.flows.find((flow) => flow.client_ip === client && flow.server_workload === server)
  return `${known?.client_workload} ${server}`
}

for (const rule of rules) {
  test(`${rule.name}: its plants and no look-alike`, async (t) => {
    const findings = await engine.run(rule, UNTIL_US)
    const score = new Score()
    let decoys = 0
    for (const world of worlds) {
      const ofRule = findings.filter(({ subject }) => subject.includes(`${world.cluster}/`))
      const found = ofRule.map((finding) => whoIs(world, finding))
      score.add(found, world.plants.get(rule.name) ?? [], `${world.cluster}: `)
      decoys += world.decoys.get(rule.name)?.size ?? 0
    }
    t.diagnostic(`${rule.name}: ${score}, ${decoys} look-alikes, ${worlds.length} worlds`)
    assert.equal(score.right + score.wrong.length, findings.length, 'each finding is of one world')
    assert.ok(score.isPerfect, `wrong: ${score.wrong.join('; ')}\nmissed: ${score.missed.join('; ')}`)
  })
}
