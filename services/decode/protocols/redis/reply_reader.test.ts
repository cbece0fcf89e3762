import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reply } from './reply.js'

test('a cleared reply keeps nothing of the one before', () => {
  const reply = new Reply()
  for (const name of Object.keys(reply)) Reflect.set(reply, name, 'left over')
  reply.clear()
  assert.deepEqual(reply, new Reply())
})
