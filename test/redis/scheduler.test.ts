/** The two schedulers: timers of a process, and BullMQ on a real Redis. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { TimerScheduler } from '../../services/adapters/memory/timer_scheduler.js'
import { BullScheduler } from '../../services/adapters/redis/bull_scheduler.js'
import { freePort } from '../../services/cli/demo/free_port.js'
import { RedisServer, whyNoRedis } from './server.js'

const skip = whyNoRedis
let redis: RedisServer

before(async () => {
  if (!skip) redis = await RedisServer.start()
})
after(async () => {
  if (!skip) await redis.kill()
})

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + 15_000
  while (!holds()) {
    assert.ok(Date.now() < end, what)
    await sleep(20)
  }
}

test('timers: a task never overlaps itself, a failure is told, close waits', async () => {
  const failures: string[] = []
  const scheduler = new TimerScheduler((name) => failures.push(name))
  let [running, most, done] = [0, 0, 0]
  await scheduler.every('slow', 10, async () => {
    running += 1
    most = Math.max(most, running)
    await sleep(35)
    running -= 1
    done += 1
  })
  await scheduler.every('bad', 10, async () => {
    throw new Error('no')
  })
  await until('a few runs', () => done >= 3 && failures.length >= 3)
  await scheduler.close()
  assert.deepEqual([most, running], [1, 0])
  const before = done
  await sleep(60)
  assert.equal(done, before)
})

test('BullMQ: two processes share the runs of a task; one that is gone is replaced', { skip }, async () => {
  const failures: unknown[] = []
  const open = () =>
    BullScheduler.open({ url: redis.url, queue: 'shared', onFailure: (_name, error) => failures.push(error) })
  const [one, two] = [await open(), await open()]
  const runs = [0, 0]
  const begun = Date.now()
  await one.every('rule', 100, async () => {
    runs[0] += 1
  })
  await two.every('rule', 100, async () => {
    runs[1] += 1
  })
  await until('runs', () => runs[0] + runs[1] >= 10)
  // Both set up the same schedule: there is one, not two.
  assert.ok(runs[0] + runs[1] <= (Date.now() - begun) / 100 + 2, `${runs} runs in ${Date.now() - begun} ms`)
  await one.close()
  const before = runs[1]
  await until('the other goes on', () => runs[1] >= before + 3)
  await two.close()
  assert.deepEqual(failures, [])
})

test('BullMQ: a task that fails runs again at its next time', { skip }, async () => {
  const failures: string[] = []
  const scheduler = await BullScheduler.open({
    url: redis.url,
    queue: 'failing',
    onFailure: (name, error) => failures.push(`${name}: ${(error as Error).message}`),
  })
  let runs = 0
  await scheduler.every('rule', 50, async () => {
    runs += 1
    if (runs === 1) throw new Error('the store is away')
  })
  await until('it runs again', () => runs >= 3)
  await scheduler.close()
  assert.deepEqual(failures, ['rule: the store is away'])
})

test('a Redis that is not there is one clear error', async () => {
  const port = await freePort()
  const open = BullScheduler.open({ url: `redis://127.0.0.1:${port}`, queue: 'x', onFailure: () => {} })
  await assert.rejects(open, { code: 'REDIS_UNREACHABLE', message: new RegExp(`^127.0.0.1:${port}: `) })
})

test('BullMQ: a Redis that is gone keeps nobody from ending', { skip, timeout: 40_000 }, async () => {
  const own = await RedisServer.start()
  const scheduler = await BullScheduler.open({ url: own.url, queue: 'gone', onFailure: () => {} })
  await scheduler.every('rule', 50, async () => {})
  await own.kill()
  await sleep(100)
  const begun = Date.now()
  await scheduler.close()
  assert.ok(Date.now() - begun < 15_000)
})
