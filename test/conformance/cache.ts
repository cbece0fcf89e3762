/** What every Cache must do. Runs on the memory one with the unit tests and on Redis where there is one. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cache } from '../../services/core/ports/cache.js'

const LONG_MS = 60_000
const SHORT_MS = 30

/** `make` is called some times and answers caches that share what they keep. */
export function cacheConformance(make: () => Promise<Cache>): void {
  describe('cache', () => {
    let cache: Cache
    let other: Cache
    before(async () => {
      cache = await make()
      other = await make()
    })
    after(() => Promise.all([cache.close(), other.close()]))

    test('what one sets all others get, byte for byte, the newest of it', async () => {
      const key = randomUUID()
      assert.equal(await other.get(key), null)
      for (const value of [Buffer.from([0, 255, 13, 10]), Buffer.alloc(0), Buffer.alloc(1 << 20, 'klartext')]) {
        await cache.set(key, value, LONG_MS)
        assert.deepEqual(await other.get(key), value)
      }
    })

    test('it is forgotten in time, and each writing has its own', async () => {
      const key = randomUUID()
      await cache.set(key, Buffer.from('a'), LONG_MS)
      await cache.set(key, Buffer.from('b'), SHORT_MS)
      await sleep(2 * SHORT_MS)
      assert.equal(await other.get(key), null)
    })

    test('one of all gets what they claim, and another one when its time is over', async () => {
      const key = randomUUID()
      const claims = await Promise.all([cache, other, cache, other].map((each) => each.claim(key, LONG_MS)))
      assert.equal(claims.filter(Boolean).length, 1)
      const short = randomUUID()
      assert.equal(await cache.claim(short, SHORT_MS), true)
      await sleep(2 * SHORT_MS)
      assert.equal(await other.claim(short, LONG_MS), true)
      assert.equal(await cache.claim(short, LONG_MS), false)
    })
  })
}
