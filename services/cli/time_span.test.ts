import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spanUs } from './replay/request_options.js'
import { clickHouseTime, parseSpan, parseTime } from './time_span.js'

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

test('a time before 1970 is 1970', () => {
  assert.equal(parseTime('999999d', '--since', NOW), 0)
})

test('spans that lie at no moment, such as the lead of a replay', () => {
  assert.equal(spanUs({ values: { lead: '1h' }, positionals: [] }, 'lead'), 3600e6)
  assert.equal(spanUs({ values: {}, positionals: [] }, 'lead'), null)
  assert.equal(parseSpan('90s', '--lead'), 90_000)
  assert.equal(parseSpan('1h', '--lead'), 3600_000)
  assert.equal(parseSpan('0s', '--lead'), 0)
  for (const text of ['', '15', '-3h', '1h30m', '2026-11-24']) {
    assert.throws(() => parseSpan(text, '--lead'), { code: 'USAGE', message: /^--lead takes a span/ })
  }
})

test('a time as the store writes it', () => {
  assert.equal(clickHouseTime(NOW + 5), '2026-11-24 12:00:00.005000')
})
