import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SYSTEM_CLOCK } from '../adapters/system/clock.js'
import type { Clock } from '../core/ports/clock.js'
import { Detector } from './detector.js'
import type { DetectEngine } from './engine.js'
import { DetectMetrics } from './metrics.js'
import { readRules } from './rules.js'

const [rule] = readRules()
const BEATS_MAX = 1000

test('while a run that the scheduler began is under way, the others get their turn', async () => {
  let runs = 0
  const engine = {
    rules: [rule],
    catchUp: async () => {
      runs += 1
      await sleep(20)
      return []
    },
  } as unknown as DetectEngine
  const scheduled: (() => Promise<void>)[] = []
  const scheduler = {
    every: async (_name: string, _everyMs: number, task: () => Promise<void>) => {
      scheduled.push(task)
    },
    close: async () => {},
  }
  const clock: Clock = { ...SYSTEM_CLOCK, sleep: () => sleep(1) }
  const detector = new Detector({ engine, scheduler, metrics: new DetectMetrics(), clock, onFailure: assert.fail })
  await detector.start()
  const stopping = new AbortController()
  const begun = scheduled[0]()
  let beats = 0
  const watching = detector.watch(stopping.signal, 60_000, () => {
    beats += 1
    if (beats > BEATS_MAX) throw new Error('it turns without end')
  })
  await Promise.race([begun, watching])
  stopping.abort()
  await watching
  assert.equal(runs, 1)
  assert.ok(beats > 0)
})
