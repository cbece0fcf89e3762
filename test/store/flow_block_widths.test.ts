/** Beside services/adapters/clickhouse/flow_block.test.ts: what takes more rows than a unit test has time for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flowBlock } from '../../services/adapters/clickhouse/flow_block.js'
import { nativeBlock } from '../../services/adapters/clickhouse/native_block.js'
import { Random } from '../../services/core/random.js'
import { decodeFlow, encodeFlow } from '../../services/core/wire/flow.js'
import { anyFlow } from '../fakes/flows.js'

test('dictionaries of every width', () => {
  const lists = { attrs: {}, req_headers: [], resp_headers: [], findings: [], pii: [], redactions: [] }
  const little = { ...anyFlow(new Random(4)), ...lists, resource: '' }
  // One more than two bytes can number.
  const messages = Array.from({ length: 65_540 }, (_, i) =>
    encodeFlow({ ...little, host: `host-${i}`, node: `n${i % 300}`, cluster: i % 2 === 0 ? '' : 'c' }),
  )
  const rows = nativeBlock(
    'flows',
    messages.map((message) => ({ ...decodeFlow(message), in_partition: 0, batch_first: 0 })),
  )
  assert.ok(flowBlock({ messages, partition: 0, first: 0 }).equals(rows))
})
