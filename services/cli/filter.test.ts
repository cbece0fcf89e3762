import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Flow } from '../core/flow.js'
import { parseFilter } from './filter.js'

test('an order is asked of numbers only: no value is none, and wrong usage', () => {
  for (const word of ['latency_us>', 'latency_us<', 'latency_us> ', 'latency_us>many']) {
    assert.throws(() => parseFilter([word]), {
      code: 'USAGE',
      message: `"${word}" compares with something that is no number`,
    })
  }
  const flow = { latency_us: 7, host: '' } as Flow
  assert.equal(parseFilter(['latency_us>6', 'latency_us<8'])(flow), true)
  assert.equal(parseFilter(['latency_us>7'])(flow), false)
  // Texts may be empty.
  assert.equal(parseFilter(['host='])(flow), true)
  assert.equal(parseFilter(['host!='])(flow), false)
})
