/**
 * How long a worker that starts takes to know who is who, and what memory that takes: all of klartext.pods read from a real
 * Kafka, and side by side taken over from a real Redis. A calm cluster, one whose pods have come and gone for days, and one
 * where that happened within half an hour; each was followed for the four days that the topic keeps.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { PodTable } from '../../services/adapters/memory/pod_table.js'
import { RedisCache } from '../../services/adapters/redis/cache.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { PodCache } from '../../services/decode/pod_cache.js'
import { PodFeed } from '../../services/decode/pod_feed.js'
import { ownKafka } from '../kafka/test_kafka.js'
import { RedisServer, whyNoRedis } from '../redis/server.js'
import type { FeedStart } from './pods/feed_start.js'
import { type Restlessness, tellHistory } from './pods/history.js'

const ROUNDS = 3
const HALF_HOUR_S = 1_800
const DAYS_S = 4 * 86_400

export async function main(words: readonly string[]): Promise<number> {
  const pods = Number(words[0] ?? 20_000)
  const replaced = Number(words[1] ?? 8)
  if (whyNoRedis) throw new Error(whyNoRedis)
  for (const [what, history] of [
    ['calm', { pods, replaced: 0, withinS: 0 }],
    [`each replaced ${replaced} times in four days`, { pods, replaced, withinS: DAYS_S - 120 }],
    [`each replaced ${replaced} times in half an hour`, { pods, replaced, withinS: HALF_HOUR_S }],
  ] as const) {
    if (words[2] === undefined || what.endsWith(words[2])) await one(what, history)
  }
  return 0
}

async function one(what: string, history: Restlessness): Promise<void> {
  const kafka = await ownKafka()
  if (typeof kafka === 'string') throw new Error(kafka)
  const redis = await RedisServer.start()
  const bus = await KafkaBus.connect({ brokers: kafka.brokers })
  try {
    await tellHistory(bus, kafka.brokers, history)
    console.log(`${history.pods} pods, ${what}: ${await bus.endOffset('klartext.pods', 0)} records`)
    const readMs: number[] = []
    for (let i = 0; i < ROUNDS; i++) {
      const begun = performance.now()
      await bus.readAll('klartext.pods', 0, () => {})
      readMs.push(performance.now() - begun)
    }
    console.log(`  the same only read: ${Math.round(middle(readMs))} ms`)
    const written = await write(bus, redis.url)
    const starts: FeedStart[][] = [[], []]
    // By turns: what else the machine does meets both.
    for (let i = 0; i < ROUNDS; i++) {
      for (const [at, url] of ['', redis.url].entries()) starts[at].push(await started(kafka.brokers, url))
    }
    for (const [at, name] of ['from the topic', 'from the cache'].entries()) report(name, starts[at])
    const ratio = middle(starts[0].map(({ ms }) => ms)) / middle(starts[1].map(({ ms }) => ms))
    console.log(`  ${ratio.toFixed(1)} times; ${written}`)
  } finally {
    await bus.close()
    await redis.kill()
    await kafka.stop()
  }
}

async function write(bus: KafkaBus, url: string): Promise<string> {
  const cache = new RedisCache({ url, prefix: 'klartext:' })
  const podCache = new PodCache({ cache, bus, clock: SYSTEM_CLOCK })
  const feed = new PodFeed({ bus, clock: SYSTEM_CLOCK, pods: new PodTable(), cache: podCache })
  await feed.step()
  await podCache.idle()
  const begun = performance.now()
  await feed.step()
  const heldMs = performance.now() - begun
  await podCache.idle()
  const writtenMs = performance.now() - begun
  if (podCache.saved !== 1) throw new Error('nothing was written to the cache')
  await podCache.close()
  await cache.close()
  const megabytes = (podCache.savedBytes / 2 ** 20).toFixed(1)
  return `written: ${megabytes} MB in ${Math.round(writtenMs)} ms, the worker held up for ${Math.round(heldMs)} ms of them`
}

async function started(brokers: readonly string[], url: string): Promise<FeedStart> {
  const child = fork(join(REPO_ROOT, 'dist/test/bench/pods/feed_start.js'), [brokers.join(','), url], {
    execArgv: ['--expose-gc'],
  })
  const [said] = (await once(child, 'message')) as [FeedStart]
  await once(child, 'exit')
  if ((url !== '') !== said.taken) throw new Error('the cache was not used as it should have been')
  return said
}

function report(name: string, starts: readonly FeedStart[]): void {
  const of = (value: (start: FeedStart) => number) => Math.round(middle(starts.map(value)))
  const [known, peak, heap] = [of(({ ms }) => ms), of(({ peakMb }) => peakMb), of(({ heapMb }) => heapMb)]
  const [{ records, lives }] = starts
  console.log(
    `  ${name}: known after ${known} ms, ${records} records; ${lives} lives; ${peak} MB, of them kept ${heap} MB`,
  )
}

function middle(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]
}
