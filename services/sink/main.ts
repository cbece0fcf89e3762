/** The sink as a service: flows, connections and coverage of Kafka to rows of ClickHouse. Wiring only. */
import { randomUUID } from 'node:crypto'
import { ClickHouseStore } from '../adapters/clickhouse/store.js'
import { KafkaBus } from '../adapters/kafka/bus.js'
import { kafkaOptions } from '../adapters/kafka/config.js'
import type { LostOffsets } from '../adapters/kafka/options.js'
import type { ServiceDefinition } from '../core/service.js'
import { LagSampler } from '../core/telemetry/lag.js'
import { checkTopics } from '../core/topics.js'
import { SINK_CONFIG } from './config.js'
import { sinkMetrics } from './metrics.js'
import { Sink } from './sink.js'
import { SINK_TABLES } from './tables.js'

export const sinkService: ServiceDefinition<typeof SINK_CONFIG> = {
  name: 'sink',
  summary: 'sink: flows, connections and coverage of Kafka to rows of ClickHouse, exactly once; any number of them',
  config: SINK_CONFIG,
  check: ({ kafka }) => {
    kafkaOptions(kafka)
  },
  open: async ({ kafka, clickhouse, sink: config }, { log, health, clock, waitFor }) => {
    const onLost = ({ topic, partition, from, to }: LostOffsets) => {
      sink.metrics.expired += Number(to - from)
      log.warn('messages were gone before they were read', { topic, partition, from, to })
    }
    const bus = await waitFor('kafka', () => KafkaBus.connect({ ...kafkaOptions(kafka), onLost }))
    await waitFor('topics', () =>
      checkTopics(
        bus,
        SINK_TABLES.map(({ topic }) => topic),
      ),
    )
    const store = new ClickHouseStore({ url: clickhouse.url })
    await waitFor('store', () => store.checkSchema())
    const { group, rows, bytes, ageMs } = config
    const sink = new Sink({
      bus,
      store,
      clock,
      group,
      // A block that was begun is known by the epoch in its intent: each process may have its own.
      epoch: randomUUID(),
      limits: { rows, bytes, ageMs },
      onError: (error) => log.failure('storing', error),
      onProgress: () => health.beat(),
    })
    health.watch('sink', () => sink.notReady)
    const lag = new LagSampler(
      bus,
      () => sink.positions(),
      () => clock.nowUs() / 1000,
    )
    await waitFor('kafka', () => sink.start())
    health.watch('kafka', () => bus.trouble)
    lag.start()
    return {
      run: () => sink.run(),
      stop: async () => {
        lag.stop()
        await sink.stop()
        await bus.close()
        await store.close()
      },
      metrics: () => sinkMetrics(sink, lag),
      status: () => sink.status(),
    }
  },
}
