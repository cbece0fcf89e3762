import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { untilStopped } from './signals.js'

test('as long as asked for, also where a timer takes no such time; a signal ends it', async () => {
  const listeners = process.listenerCount('SIGTERM')
  let over = false
  const long = untilStopped(31_536_000).then(() => {
    over = true
  })
  // None of it keeps the process alive.
  await Promise.all([untilStopped(0.01), sleep(30)])
  assert.equal(over, false)
  process.emit('SIGTERM')
  await long
  assert.equal(process.listenerCount('SIGTERM'), listeners)
})
