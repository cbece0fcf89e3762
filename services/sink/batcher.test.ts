import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { KlartextError } from '../core/errors.js'
import type { Store } from '../core/ports/store.js'
import type { CoverageRow } from '../core/rows.js'
import { StoreBatcher } from './batcher.js'

const ROW = { count: 1 } as CoverageRow

/** A store that fails as `errors` say, one per insert, then keeps what it is given, once per token. */
function failing(errors: KlartextError[]): Store & { readonly tokens: string[]; readonly rows: Map<string, number> } {
  const tokens: string[] = []
  const rows = new Map<string, number>()
  return {
    tokens,
    rows,
    insert: async (_table, block, token) => {
      tokens.push(token)
      const error = errors.shift()
      if (error !== undefined) throw error
      rows.set(token, block.length)
    },
    query: async () => Buffer.alloc(0),
    close: async () => {},
  }
}

test('an outage is waited out with the same token: no row lost, none twice', async () => {
  const outage = () => new KlartextError('STORE_FAILED', 'away', { retryable: true })
  const store = failing([outage(), outage()])
  const batcher = new StoreBatcher(store, 'run')
  for (let i = 0; i < 10; i++) batcher.add('coverage', ROW)
  await batcher.flush()
  assert.deepEqual([...store.rows.values()], [10])
  assert.equal(new Set(store.tokens).size, 1)
  assert.equal(batcher.retries, 2)
})

test('a store that refuses for good is told to whoever waits next, not to nobody', async () => {
  const batcher = new StoreBatcher(failing([new KlartextError('CLICKHOUSE_60', 'no such table')]), 'run')
  batcher.add('coverage', ROW)
  // The flush that fails is the timer's own.
  for (let waited = 0; waited < 3000 && !batcher.failed; waited += 50) await sleep(50)
  assert.equal(batcher.failed, true)
  await assert.rejects(batcher.flush(), { code: 'CLICKHOUSE_60' })
})
