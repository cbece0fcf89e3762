/** Losing Redis costs speed, never correctness: a real redis-server that is killed, frozen, emptied and comes back. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RedisCache } from '../../services/adapters/redis/cache.js'
import { cacheConformance } from '../conformance/cache.js'
import { RedisServer, whyNoRedis } from './server.js'

const away = (why: RegExp) => (error: { code?: string; message: string }) =>
  error.code === 'CACHE_AWAY' && why.test(error.message)

describe('a redis-server', { skip: whyNoRedis }, () => {
  let server: RedisServer | null = null
  after(() => server?.kill())
  cacheConformance(async () => {
    server ??= await RedisServer.start()
    return new RedisCache({ url: server.url, prefix: 'test:' })
  })

  test('killed, away, empty again: every answer is right or refused, and none is late', async () => {
    const own = await RedisServer.start()
    const cache = new RedisCache({ url: own.url, prefix: 'test:' })
    try {
      await cache.set('a', Buffer.from('1'), 60_000)
      await own.kill()
      const begun = performance.now()
      for (let i = 0; i < 50; i++) await assert.rejects(cache.get('a'), away(/./))
      assert.ok(performance.now() - begun < 2_000)
      await own.run()
      for (const end = Date.now() + 10_000; ; await sleep(50)) {
        assert.ok(Date.now() < end, 'it does not come back')
        const found = await cache.get('a').catch(() => 'away')
        if (found === 'away') continue
        assert.equal(found, null)
        break
      }
    } finally {
      await cache.close()
      await own.kill()
    }
  })

  test('what Redis refuses is said as it says it', async () => {
    const own = await RedisServer.start(['--requirepass', 'right'])
    const cacheOf = (userInfo: string) =>
      new RedisCache({ url: `redis://${userInfo}127.0.0.1:${own.port}`, prefix: 'test:' })
    const [right, wrong, none] = [cacheOf(':right@'), cacheOf(':wrong@'), cacheOf('')]
    try {
      await right.set('a', Buffer.from('1'), 60_000)
      for (let i = 0; i < 2; i++) {
        await assert.rejects(wrong.get('a'), away(/^Redis at 127\.0\.0\.1:\d+: WRONGPASS/))
        await assert.rejects(none.get('a'), away(/NOAUTH/))
      }
    } finally {
      await Promise.all([right, wrong, none].map((each) => each.close()))
      await own.kill()
    }
  })
})

test('a Redis that accepts and never answers, and one that is not there, hold nobody up', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as { port: number }
  const begun = performance.now()
  const cache = new RedisCache({ url: `redis://127.0.0.1:${port}`, prefix: '' })
  for (let i = 0; i < 3; i++) await assert.rejects(cache.get('a'), away(/./))
  await cache.close()
  silent.close()
  const none = new RedisCache({ url: 'redis://127.0.0.1:1', prefix: '' })
  await assert.rejects(none.get('a'), away(/ECONNREFUSED/))
  await none.close()
  assert.ok(performance.now() - begun < 4_000)
})
