import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { TimerScheduler } from './timer_scheduler.js'

test('a task runs at once and then at its times, never beside itself; a month is no moment', async () => {
  const failures: string[] = []
  const scheduler = new TimerScheduler((name) => failures.push(name))
  const runs = { monthly: 0, slow: 0, failing: 0 }
  await scheduler.every('monthly', 30 * 86_400_000, async () => {
    runs.monthly += 1
  })
  await scheduler.every('slow', 1, async () => {
    runs.slow += 1
    await sleep(40)
  })
  await scheduler.every('failing', 1, async () => {
    runs.failing += 1
    throw new Error('no')
  })
  await sleep(20)
  assert.equal(runs.monthly, 1)
  assert.equal(runs.slow, 1)
  assert.ok(runs.failing > 1)
  assert.equal(failures.length, runs.failing)
  await scheduler.close()
  assert.equal(runs.slow, 1)
})
