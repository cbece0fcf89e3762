/** The capturer as a service: this host's segments to klartext.segments. Wiring only. */
import { KafkaBus } from '../adapters/kafka/bus.js'
import { kafkaOptions } from '../adapters/kafka/config.js'
import { KAFKA_CLIENT_ID } from '../adapters/kafka/options.js'
import type { ServiceDefinition } from '../core/service.js'
import { checkTopics, TOPICS } from '../core/topics.js'
import { Capturer } from './capturer.js'
import { CAPTURE_CONFIG, checkCapture } from './config.js'
import { captureLosses } from './losses.js'
import { captureMetrics } from './metrics.js'
import { NativeSource } from './native_source.js'
import { OwnTraffic } from './own_traffic.js'
import { SegmentPublisher } from './publisher.js'

export const captureService: ServiceDefinition<typeof CAPTURE_CONFIG> = {
  name: 'capture',
  summary: 'capturer: what applications of this host say, to Kafka; one per host, as root',
  config: CAPTURE_CONFIG,
  check: ({ kafka, capture }) => {
    kafkaOptions(kafka)
    checkCapture(capture)
  },
  open: async ({ kafka, capture: config }, { log, health, clock, waitFor }) => {
    const { cluster, node, tls, plain, ringBytes, callBytesMax, queueBytes, coverageMs, drainMs } = config
    const source = new NativeSource({ cluster, node, tls, plain, ringBytes, callBytesMax })
    source.check()
    const bus = await waitFor('kafka', () => KafkaBus.connect(kafkaOptions(kafka)))
    await waitFor('topics', () => checkTopics(bus, [TOPICS.segments, TOPICS.flows, TOPICS.state, TOPICS.coverage]))
    const own = new OwnTraffic({ ports: bus.ports, clientId: KAFKA_CLIENT_ID })
    const onError = (error: unknown) => log.failure('publishing', error)
    const publisher = new SegmentPublisher({ bus, clock, own, queueBytesMax: queueBytes, onError })
    await waitFor('kafka', () => publisher.start())
    health.watch('kafka', () => bus.trouble ?? publisher.trouble)
    const onProgress = () => health.beat()
    const capturer = new Capturer({ source, publisher, clock, cluster, node, coverageMs, drainMs, onError, onProgress })
    return {
      run: () => capturer.run(),
      stop: () => capturer.stop(),
      close: async () => {
        await publisher.close()
        await bus.close()
      },
      metrics: () => captureMetrics(source, publisher, own),
      status: () => ({ libraries: source.libraries() }),
      losses: () => captureLosses(source.stats(), publisher.shed, capturer.unsentBytes),
    }
  },
}
