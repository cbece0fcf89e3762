import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseRule } from './rule.js'
import { RULES_FOLDER, readRules } from './rules.js'

const GOOD = `-- Many errors: more than usual.
-- severity: high
-- every: 1m
-- looks back: 1h
-- suppress: 30m
-- attack: T1071
-- param z Float64 4.5: deviations
SELECT {z:Float64}`

test('what the comments say', () => {
  const rule = parseRule('many', GOOD)
  assert.deepEqual(
    { ...rule, sql: '' },
    {
      name: 'many',
      title: 'Many errors',
      description: 'more than usual.',
      severity: 'high',
      attack: 'T1071',
      everyUs: 60e6,
      looksBackUs: 3600e6,
      suppressUs: 1800e6,
      parameters: [{ name: 'z', type: 'Float64', value: 4.5, meaning: 'deviations' }],
      sql: '',
    },
  )
})

test('a rule that cannot be read is refused with its name and the reason', () => {
  const refused = (text: string, what: RegExp, name = 'many') =>
    assert.throws(() => parseRule(name, text), { code: 'BAD_RULE', message: what })
  refused('', /rule many: its first line/)
  refused(GOOD.replace('severity: high', 'severity: huge'), /severity must be one of low, medium/)
  refused(GOOD.replace('every: 1m', 'every: often'), /"every" must be a span/)
  refused(GOOD.replace('suppress', 'silence'), /cannot read "silence: 30m"; known: severity/)
  refused(GOOD.replace('SELECT {z:Float64}', 'SELECT 1'), /does not use \{z:Float64\}/)
  refused(GOOD, /lower-case words/, '../x')
  refused(GOOD.replace('every: 1m', 'every: 0s'), /"every" must be longer than nothing/)
  refused(GOOD.replace('Float64 4.5:', 'Float64 4.5.6:'), /4\.5\.6, of the parameter z, is no number/)
})

test('a rule of one’s own may not have the name of another: one of the two would never look', () => {
  assert.throws(() => readRules(RULES_FOLDER, RULES_FOLDER), { code: 'BAD_RULE', message: /two rules with the name/ })
})

test('every rule that comes with klartext can be read and has both fixtures', () => {
  const rules = readRules()
  assert.ok(rules.length >= 6)
  for (const { name } of rules) {
    for (const fixture of ['positive', 'negative']) {
      assert.ok(existsSync(join(RULES_FOLDER, name, `${fixture}.sql`)), `${name} needs ${fixture}.sql`)
    }
  }
})
