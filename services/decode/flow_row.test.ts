import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Exchange } from '../core/exchange.js'
import { plainFlow } from '../core/flow.js'
import { ConnectionInfo } from '../core/segment.js'
import { FlowContext } from './flow_context.js'
import { FlowRow } from './flow_row.js'

test('a row stays as it was made, whatever its decoder still does with the exchange', () => {
  const exchange = new Exchange()
  const row = new FlowRow(new FlowContext(new ConnectionInfo(7n), false), exchange, 0)
  const before = plainFlow(row)
  for (const [name, value] of Object.entries(exchange)) {
    const other = typeof value === 'number' ? 1e15 : typeof value === 'boolean' ? !value : ['other', 'value']
    Object.assign(exchange, { [name]: typeof value === 'string' ? 'other' : other })
  }
  assert.deepEqual(plainFlow(row), before)
})
