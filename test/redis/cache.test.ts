/** Losing Redis costs speed, never correctness: a real redis-server that is killed, frozen, emptied and comes back. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RedisCache } from '../../services/adapters/redis/cache.js'
import { RedisServer, whyNoRedis } from './server.js'

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await condition()); await sleep(20)) {
    assert.ok(Date.now() < end, 'it took too long')
  }
}

test('kept, shared, expired; killed, away, empty again: every answer is right and none is late', {
  skip: whyNoRedis,
}, async () => {
  const server = await RedisServer.start()
  const cache = new RedisCache({ url: server.url, prefix: 'test:' })
  const other = new RedisCache({ url: server.url, prefix: 'test:' })
  /** The truth, and what a reader beside the cache makes of it. */
  const truth = (key: string) => Buffer.from(`value of ${key} \xff\0`)
  let lookUps = 0
  const read = async (key: string): Promise<Buffer> => {
    const known = await cache.get(key)
    if (known !== null) return known
    lookUps += 1
    cache.set(key, truth(key), 60_000)
    return truth(key)
  }
  try {
    await until(async () => {
      await read('a')
      return cache.hits > 0
    })
    assert.deepEqual(await other.get('a'), truth('a'))
    assert.equal(await cache.get('never put'), null)
    cache.set('short', truth('short'), 30)
    await sleep(100)
    assert.equal(await cache.get('short'), null)

    await server.kill()
    lookUps = 0
    let slowestMs = 0
    for (let i = 0; i < 200; i++) {
      const begun = performance.now()
      assert.deepEqual(await read(`k${i % 10}`), truth(`k${i % 10}`))
      slowestMs = Math.max(slowestMs, performance.now() - begun)
    }
    assert.equal(lookUps, 200)
    assert.ok(slowestMs < 500, `${slowestMs} ms`)

    await server.run()
    const hits = cache.hits
    await until(async () => {
      assert.deepEqual(await read('a'), truth('a'))
      return cache.hits > hits
    })
  } finally {
    await Promise.all([cache.close(), other.close()])
    await server.kill()
  }
})

test('a Redis that accepts and never answers holds nobody up', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as { port: number }
  const cache = new RedisCache({ url: `redis://127.0.0.1:${port}`, prefix: '' })
  const begun = performance.now()
  for (let i = 0; i < 10; i++) assert.equal(await cache.get('a'), null)
  assert.ok(performance.now() - begun < 1_000)
  assert.equal(cache.failures, 10)
  await cache.close()
  silent.close()
})
