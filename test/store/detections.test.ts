/**
 * Every rule on its positive and on its negative fixture, all of them together in one store: each fires on its own plant and
 * on nothing else. Then what a scheduler may do to a run: repeat it, delay it, overlap it.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import type { Finding } from '../../services/core/finding.js'
import { DetectEngine } from '../../services/detect/engine.js'
import { parseRule } from '../../services/detect/rule.js'
import { RULES_FOLDER, readRules } from '../../services/detect/rules.js'

const dataDir = mkdtempSync(join(tmpdir(), 'klartext-detect-'))
const SLOT_US = 600e6
const UNTIL_US = Math.floor((Date.now() * 1000) / SLOT_US) * SLOT_US
const rules = readRules()
let store: ChdbStore
let nowUs = UNTIL_US + 20e6
let told: Finding[] = []
let engine: DetectEngine

before(async () => {
  store = await ChdbStore.open(dataDir)
  engine = new DetectEngine({
    store,
    rules,
    nowUs: () => nowUs,
    onFindings: async (_rule, _untilUs, findings) => {
      told.push(...findings)
    },
  })
  const until = `toDateTime64('${new Date(UNTIL_US / 1000).toISOString().slice(0, 19).replace('T', ' ')}', 6, 'UTC')`
  for (const { name } of rules) {
    for (const fixture of ['positive', 'negative']) {
      const sql = readFileSync(join(RULES_FOLDER, name, `${fixture}.sql`), 'utf8')
      await store.command(sql.replaceAll("{until:DateTime64(6, 'UTC')}", until))
    }
  }
})

after(async () => {
  await store.close()
  rmSync(dataDir, { recursive: true, force: true })
})

const count = async (table: string) =>
  Number((await store.query(`SELECT count() FROM klartext.${table}`, 'TSV')).toString())

/** Who is guilty in each positive fixture. */
const PLANTS: Readonly<Record<string, string>> = {
  beaconing: '/shop/cart -> c2.example',
  brute_force: '10.9.0.1 -> /shop/login',
  dns_tunnelling: '/shop/report -> tunnel.example',
  error_burst: '/shop/orders',
  latency_regression: '/shop/cart GET /work',
  new_edge: '/shop/debug -> /shop/ledger',
}

test('each rule finds its plant and no decoy, its own or another’s', async (t) => {
  let right = 0
  let found = 0
  for (const rule of rules) {
    const findings = await engine.run(rule, UNTIL_US)
    found += findings.length
    right += findings.filter(({ subject }) => subject === PLANTS[rule.name]).length
    assert.deepEqual(
      findings.map(({ subject }) => subject),
      [PLANTS[rule.name]],
      rule.name,
    )
    const [{ summary, evidence, uid, score }] = findings
    assert.ok(summary.length > 20 && Number.isFinite(score) && /^[0-9a-f]{32}$/.test(uid), summary)
    assert.ok(evidence.length > 0, `${rule.name} names no evidence`)
    const flows = await store.query(
      `SELECT count() FROM klartext.flows WHERE flow_id IN (${evidence.join(',')})`,
      'TSV',
    )
    assert.equal(Number(flows.toString()), evidence.length, `${rule.name}: evidence that is not there`)
    t.diagnostic(`${rule.name}: ${summary}`)
  }
  t.diagnostic(`precision ${right / found}, recall ${right / rules.length}`)
})

test('a run that is repeated, or done by two at once, stores nothing twice', async () => {
  told = []
  const before = [await count('findings'), await count('detect_runs')]
  await Promise.all(rules.flatMap((rule) => [engine.run(rule, UNTIL_US), engine.run(rule, UNTIL_US)]))
  assert.deepEqual([await count('findings FINAL'), await count('detect_runs FINAL')], before)
  assert.equal(new Set(told.map(({ uid }) => uid)).size, rules.length)
})

test('the same subject is not told again while its rule keeps quiet, and a pause is made good slot by slot', async () => {
  const burst = rules.find(({ name }) => name === 'error_burst')
  assert.ok(burst)
  const runs = async () =>
    Number(
      (
        await store.query("SELECT count() FROM klartext.detect_runs FINAL WHERE rule = 'error_burst'", 'TSV')
      ).toString(),
    )
  const before = await runs()
  nowUs = UNTIL_US + 5 * 60e6 + 20e6
  assert.deepEqual(await engine.catchUp(burst), [])
  assert.equal(await runs(), before + 5)
  assert.deepEqual(await engine.catchUp(burst), [])
  assert.equal(await runs(), before + 5)
  const again = { ...burst, suppressUs: 0 }
  assert.equal((await engine.run(again, UNTIL_US)).length, 1)
})

/** As many subjects as `n` says, from `first` on. */
const counting = parseRule(
  'counting',
  `-- Counting: for tests.
-- severity: low
-- every: 1m
-- looks back: 1h
-- suppress: 1h
-- param n UInt32 1: subjects
SELECT concat('s', toString(number)) AS subject, 1. AS score, 'seen' AS summary, [toUInt64(number)] AS evidence,
  map('text', 'a\nb\tc\\\\d''e') AS attrs FROM numbers({n:UInt32})`,
)
const counted = (n: number, of: Pick<ChdbStore, 'query' | 'insert'>, onTold: (subjects: string[]) => void = () => {}) =>
  new DetectEngine({
    store: of as ChdbStore,
    rules: [counting],
    nowUs: () => nowUs,
    parameters: { counting: { n } },
    onFindings: async (_rule, _untilUs, findings) => onTold(findings.map(({ subject }) => subject)),
  })

test('two runs at once that have seen different flows tell the same: what was stored', async () => {
  let asked = 0
  // The second has looked before the first had stored anything.
  const early = {
    insert: store.insert.bind(store),
    query: async (sql: string, format: string, parameters?: Readonly<Record<string, unknown>>) =>
      sql.includes('FROM klartext.findings FINAL') && asked++ === 0
        ? Buffer.alloc(0)
        : store.query(sql, format, parameters),
  }
  const tellings: string[][] = []
  await counted(1, store, (subjects) => tellings.push(subjects)).run(counting, UNTIL_US)
  await counted(2, early, (subjects) => tellings.push(subjects)).run(counting, UNTIL_US)
  assert.deepEqual(tellings, [['s0'], ['s0']])
  const [{ attrs }] = await counted(1, store).run(counting, UNTIL_US)
  assert.deepEqual(attrs, { text: "a\nb\tc\\d'e" })
})

test('what is not told again takes no place among the findings of a run', async () => {
  const later = UNTIL_US + 60e6
  const before = Array.from({ length: 1000 }, (_, i) => i)
  await store.insert(
    'findings',
    before.map((i) => ({ ...told[0], ts: UNTIL_US, uid: `c${i}`, rule: 'counting', subject: `s${i}` })),
    'counting/before',
  )
  const findings = await counted(1003, store).run(counting, later)
  assert.deepEqual(findings.map(({ subject }) => subject).sort(), ['s1000', 's1001', 's1002'])
})
