/** What a decode worker does with pods at its start, in a process of its own: from the cache, where a Redis is named. */
import { readFileSync } from 'node:fs'
import { KafkaBus } from '../../../services/adapters/kafka/bus.js'
import { PodTable } from '../../../services/adapters/memory/pod_table.js'
import { RedisCache } from '../../../services/adapters/redis/cache.js'
import { SYSTEM_CLOCK } from '../../../services/adapters/system/clock.js'
import { PodCache } from '../../../services/decode/pod_cache.js'
import { PodFeed } from '../../../services/decode/pod_feed.js'

export interface FeedStart {
  readonly ms: number
  /** Read from the topic. */
  readonly records: number
  /** Lives of pods that are known. */
  readonly lives: number
  readonly peakMb: number
  /** Of what is kept. */
  readonly heapMb: number
  readonly taken: boolean
}

const [brokers, url] = process.argv.slice(2)
const bus = await KafkaBus.connect({ brokers: brokers.split(',') })
const begun = performance.now()
const cache = url === '' ? null : new RedisCache({ url, prefix: 'klartext:' })
const podCache = cache && new PodCache({ cache, bus, clock: SYSTEM_CLOCK })
const pods = new PodTable()
const feed = new PodFeed({ bus, clock: SYSTEM_CLOCK, pods, ...(podCache === null ? {} : { cache: podCache }) })
await feed.load()
await feed.step()
const ms = performance.now() - begun
const peakMb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024
;(globalThis as { gc?: () => void }).gc?.()
const heapMb = process.memoryUsage().heapUsed / 2 ** 20
const said: FeedStart = {
  ms,
  records: feed.records,
  lives: pods.size,
  peakMb,
  heapMb,
  taken: podCache?.loads.taken === 1,
}
process.send?.(said)
await podCache?.close()
await cache?.close()
await bus.close()
process.disconnect()
