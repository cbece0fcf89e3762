/** The decode worker as a service: klartext.segments to klartext.flows. Wiring only. */
import { KafkaBus } from '../adapters/kafka/bus.js'
import { kafkaOptions } from '../adapters/kafka/config.js'
import type { LostOffsets } from '../adapters/kafka/options.js'
import { PodTable } from '../adapters/memory/pod_table.js'
import { RedisCache } from '../adapters/redis/cache.js'
import { readTextFile } from '../adapters/system/text_file.js'
import type { ServiceDefinition } from '../core/service.js'
import { LagSampler } from '../core/telemetry/lag.js'
import { checkTopics, TOPICS } from '../core/topics.js'
import { DECODE_CONFIG, decodePolicy } from './config.js'
import { decodeMetrics, namesMetrics } from './metrics.js'
import { PodCache } from './pod_cache.js'
import { PodFeed } from './pod_feed.js'
import { FlowPolicy } from './policy.js'
import { PROTOCOLS } from './protocols/registry.js'
import { DecodeWorker } from './worker.js'

const { segments, flows, connections, state, coverage, deadLetters, pods } = TOPICS

export const decodeService: ServiceDefinition<typeof DECODE_CONFIG> = {
  name: 'decode',
  summary: 'decode worker: segments of Kafka to flows of Kafka, exactly once; any number of them',
  config: DECODE_CONFIG,
  check: ({ kafka, decode }) => {
    kafkaOptions(kafka)
    decodePolicy(decode, readTextFile)
  },
  open: async ({ kafka, redis, decode }, { log, health, clock, waitFor }) => {
    const onLost = ({ topic, partition, from, to }: LostOffsets) =>
      log.warn('messages were gone before they were read', { topic, partition, from, to })
    const bus = await waitFor('kafka', () => KafkaBus.connect({ ...kafkaOptions(kafka), onLost }))
    await waitFor('topics', () => checkTopics(bus, [segments, flows, connections, state, coverage, deadLetters, pods]))
    const cache = redis.url === '' ? null : new RedisCache({ url: redis.url, prefix: 'klartext:' })
    const podCache =
      cache &&
      new PodCache({
        cache,
        bus,
        clock,
        onLoad: (state, why) => {
          if (why !== null) log.failure('taking pods from the cache: klartext.pods is read instead', why)
          else log.info('pods in the cache', { state })
        },
        onError: (error) => log.failure('writing pods to the cache', error),
      })
    const names = new PodFeed({
      bus,
      clock,
      pods: new PodTable(),
      ...(podCache === null ? {} : { cache: podCache }),
      waitMs: decode.namesWaitMs,
      onError: (error) => log.failure('reading pods', error),
    })
    const worker = new DecodeWorker({
      bus,
      clock,
      group: decode.group,
      protocols: PROTOCOLS,
      policy: new FlowPolicy(decodePolicy(decode, readTextFile)),
      names,
      deadLetters: true,
      tickMs: decode.tickMs,
      onError: (error) => log.failure('decoding', error),
      onProgress: () => health.beat(),
    })
    health.watch('decode', () => worker.notReady)
    health.watch('pods', () => names.trouble)
    const lag = new LagSampler(
      bus,
      () => worker.positions(),
      () => clock.nowUs() / 1000,
    )
    await waitFor('pods', () => names.start())
    await waitFor('kafka', () => worker.start())
    health.watch('kafka', () => bus.trouble)
    lag.start()
    return {
      run: () => worker.run(),
      stop: async () => {
        lag.stop()
        await worker.stop()
        await names.stop()
        await cache?.close()
        await bus.close()
      },
      metrics: () => [...decodeMetrics(worker, lag), ...namesMetrics(names, podCache)],
      status: () => worker.status(),
    }
  },
}
