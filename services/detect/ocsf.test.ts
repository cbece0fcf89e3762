import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import type { Finding } from '../core/finding.js'
import { REPO_ROOT } from '../core/repo_root.js'
import { toOcsf } from './ocsf.js'

const schema = JSON.parse(readFileSync(join(REPO_ROOT, 'schemas/ocsf/detection_finding.json'), 'utf8'))
const validate = new Ajv({ allErrors: true }).compile(schema)

const FINDING: Finding = {
  ts: 1_790_000_000_000_000,
  uid: 'abc',
  rule: 'beaconing',
  title: 'Beaconing',
  severity: 'high',
  attack: 'T1071.004',
  subject: '/shop/cart -> c2.example',
  summary: 'cart calls c2.example every 300 s',
  score: 0.97,
  evidence: ['18446744073709551615'],
  attrs: { interval_s: '300' },
}

test('a finding is a valid OCSF Detection Finding, with links to its flows', () => {
  for (const severity of ['low', 'medium', 'high', 'critical'] as const) {
    for (const attack of ['', 'T1110', 'T1071.004']) {
      const event = toOcsf({ ...FINDING, severity, attack })
      assert.ok(validate(event), JSON.stringify(validate.errors))
    }
  }
  const event = toOcsf(FINDING) as { evidences: { data: { flow_id: string } }[]; type_uid: number; severity_id: number }
  assert.deepEqual([event.type_uid, event.severity_id], [200401, 4])
  assert.equal(event.evidences[0].data.flow_id, '18446744073709551615')
})

test('the schema refuses what the class does not allow', () => {
  for (const change of [{ class_uid: 2003 }, { severity_id: 9 }, { time: -1 }, { metadata: {} }, { extra: 1 }]) {
    assert.ok(!validate({ ...toOcsf(FINDING), ...change }), JSON.stringify(change))
  }
})
