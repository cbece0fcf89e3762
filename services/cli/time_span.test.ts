import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clickHouseTime, parseTime } from './time_span.js'

const NOW = Date.parse('2026-11-24T12:00:00Z')

test('spans before now, and times', () => {
  assert.equal(parseTime('15m', '--since', NOW), NOW - 900_000)
  assert.equal(parseTime('7d', '--since', NOW), NOW - 7 * 86_400_000)
  assert.equal(parseTime('2026-11-24T11:00:00Z', '--since', NOW), NOW - 3600_000)
  assert.equal(parseTime('2026-11-24 11:00:00', '--since', NOW), NOW - 3600_000)
  assert.equal(parseTime('2026-11-24T12:00:00+01:00', '--since', NOW), NOW - 3600_000)
  assert.equal(parseTime('2026-11-24', '--since', NOW), NOW - 12 * 3600_000)
})

test('anything else is wrong usage, with the option named', () => {
  for (const text of ['', '15', 'm', '-3h', '15 m', 'yesterday', '2026-13-01', '2026-02-31T12:00', "1h' OR 1"]) {
    assert.throws(() => parseTime(text, '--until', NOW), { code: 'USAGE', message: /^--until takes/ })
  }
})

test('a time as the store writes it', () => {
  assert.equal(clickHouseTime(NOW + 5), '2026-11-24 12:00:00.005000')
})
