import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MESSAGE_BYTES_MAX } from '../core/topics.js'
import { PartitionOutput } from './partition_output.js'

const record = (size: number) => ({
  topic: 'klartext.segments',
  partition: 3,
  offset: 7n,
  key: null,
  value: Buffer.alloc(size, 7),
})

test('a dead letter is what came; of one that would not fit into a message again, its beginning and its size', () => {
  const output = new PartitionOutput()
  output.deadLetter(record(5), new Error('a'.repeat(1000)))
  output.deadLetter(record(1_048_500), new Error('unreadable'))
  const [whole, cut] = output.deadLetters
  assert.equal(whole.value?.length, 5)
  assert.equal(whole.headers?.reason.length, 200)
  assert.equal(whole.headers?.bytes, '5')
  assert.equal(cut.value?.length, MESSAGE_BYTES_MAX)
  assert.equal(cut.headers?.bytes, '1048500')
  assert.equal(String(cut.key), 'klartext.segments/3/7')
  assert.equal(output.bytes, MESSAGE_BYTES_MAX + 5)
})
