import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NewerSchemaError } from '../errors.js'
import type { CoverageRow } from '../rows.js'
import { decodeConnectionRow, decodeCoverageRow, encodeRow, ROW_SCHEMA_VERSION } from './rows.js'

const ROW: CoverageRow = {
  ts: 1_790_000_000_000_000,
  cluster: 'c',
  node: 'n',
  kind: 'loss',
  subject: 'ring',
  pid: 0,
  container: '',
  state: '',
  reason: 'ring_full',
  detail: '',
  bytes: 7,
  count: 1,
}
const json = (fields: object) => Buffer.from(JSON.stringify(fields))

test('a row says its schema; those of before said none', () => {
  assert.equal(JSON.parse(String(encodeRow(ROW))).schema_version, ROW_SCHEMA_VERSION)
  assert.deepEqual(decodeCoverageRow(encodeRow(ROW)), ROW)
  assert.deepEqual(decodeCoverageRow(json(ROW)), ROW)
})

test('a row of a newer klartext is not stored without what it has more; what is no row is refused', () => {
  assert.throws(() => decodeCoverageRow(json({ ...ROW, schema_version: 2, more: 1 })), NewerSchemaError)
  assert.throws(() => decodeConnectionRow(json({ schema_version: 2 })), {
    code: 'SCHEMA_NEWER',
    message: 'a connection row has schema 2, this klartext knows up to 1: update it first',
  })
  for (const version of [0, -1, 1.5, 1000, 'x', null, [1]]) {
    assert.throws(() => decodeCoverageRow(json({ ...ROW, schema_version: version })), { code: 'BAD_ROW' })
  }
  for (const bytes of ['', 'null', '7', '[]', '{', '{}']) {
    assert.throws(() => decodeCoverageRow(Buffer.from(bytes)), { code: 'BAD_ROW' })
  }
  assert.throws(() => decodeCoverageRow(json({ ...ROW, bytes: '7' })), {
    code: 'BAD_ROW',
    message: /no number "bytes"/,
  })
})
