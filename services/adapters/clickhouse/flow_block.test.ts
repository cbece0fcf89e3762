import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anyFlow } from '../../../test/fakes/flows.js'
import { Random } from '../../core/random.js'
import { checkFlow, decodeFlow, encodeFlow } from '../../core/wire/flow.js'
import { flowBlock } from './flow_block.js'
import { nativeBlock } from './native_block.js'

/** What the sink does otherwise. */
function byRows(messages: readonly Buffer[], partition: number, first: number): Buffer {
  return nativeBlock(
    'flows',
    messages.map((message) => ({ ...decodeFlow(message), in_partition: partition, batch_first: first })),
  )
}

test('the same bytes as of flows that were read, whatever is in them', () => {
  const random = new Random(3)
  for (const rows of [0, 1, 2, 300, 1_000]) {
    const messages = Array.from({ length: rows }, () => encodeFlow(anyFlow(random)))
    for (const message of messages) checkFlow(message)
    const block = flowBlock({ messages, partition: 7, first: 2 ** 40 })
    assert.ok(block.equals(byRows(messages, 7, 2 ** 40)), `${rows} rows`)
  }
})

test('messages of a schema before have the defaults of what they lack', () => {
  const flow = { ...anyFlow(new Random(5)), client_region: '', server_region: '', scope: 'unknown' } as const
  const newer = encodeFlow(flow)
  // Schema 2 has added the last three columns.
  const older = Buffer.from(newer.subarray(0, newer.length - '..unknown.'.length))
  older.writeInt32BE(1, 1)
  checkFlow(older)
  assert.deepEqual({ ...decodeFlow(older) }, flow)
  const messages = [newer, older, newer]
  assert.ok(flowBlock({ messages, partition: 1, first: 5 }).equals(byRows(messages, 1, 5)))
})
