import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PodHistory } from './pod_history.js'

test('workers answer the same whether they have started from the cache or from the topic, and as who forgets nothing', async (t) => {
  const sum = { taken: 0, read: 0, saved: 0, lookups: 0, named: 0, unknown: 0, reread: 0 }
  for (let seed = 1; seed <= 25; seed++) {
    try {
      const tally = await new PodHistory(seed).play(120)
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += tally[key]
    } catch (error) {
      ;(error as Error).message = `seed ${seed}: ${(error as Error).message}`
      throw error
    }
  }
  assert.ok(sum.taken > 200 && sum.named > sum.lookups / 10 && sum.unknown > 0 && sum.reread > 0, JSON.stringify(sum))
  t.diagnostic(JSON.stringify(sum))
})
