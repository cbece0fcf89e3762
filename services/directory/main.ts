/** The directory as a service: one cluster's Kubernetes API to klartext.pods. Wiring only. */
import { KafkaBus } from '../adapters/kafka/bus.js'
import { kafkaOptions } from '../adapters/kafka/config.js'
import { KubernetesClient } from '../adapters/kubernetes/api.js'
import { keepHeapSmall } from '../adapters/system/small_heap.js'
import type { ServiceDefinition } from '../core/service.js'
import { checkTopics, TOPICS } from '../core/topics.js'
import { checkDirectory, DIRECTORY_CONFIG } from './config.js'
import { directoryMetrics } from './metrics.js'
import { DirectoryService } from './service.js'

export const directoryService: ServiceDefinition<typeof DIRECTORY_CONFIG> = {
  name: 'directory',
  summary: 'directory: who had which address and container of a Kubernetes cluster, and when; one per cluster',
  config: DIRECTORY_CONFIG,
  check: ({ kafka, directory }) => {
    kafkaOptions(kafka)
    checkDirectory(directory)
  },
  open: async ({ kafka, directory: config }, { log, health, clock, waitFor }) => {
    keepHeapSmall()
    const { cluster, network, kubeconfig } = config
    const api = new KubernetesClient(kubeconfig === '' ? {} : { kubeconfig })
    const bus = await waitFor('kafka', () => KafkaBus.connect(kafkaOptions(kafka)))
    await waitFor('topics', () => checkTopics(bus, [TOPICS.pods]))
    const service = new DirectoryService({
      bus,
      api,
      clock,
      cluster,
      network,
      onError: (where, error) => log.failure(`following ${where}`, error),
      onProgress: () => health.beat(),
    })
    health.watch('directory', () => service.notReady)
    await waitFor('kafka', () => service.start())
    void service.directory.synced.then(() => log.info('cluster listed', { cluster, pods: service.directory.podCount }))
    const stop = new AbortController()
    let running: Promise<void> = Promise.resolve()
    return {
      run: () => {
        running = service.run(stop.signal)
        return running
      },
      stop: async () => {
        stop.abort()
        await running
        await bus.close()
      },
      metrics: () => directoryMetrics(service, clock.nowUs()),
      status: () => ({
        cluster,
        network,
        held: service.directory.sizes,
        unlisted: service.directory.unsyncedKinds,
        followed: new Date(service.directory.followedUs / 1000).toISOString(),
      }),
    }
  },
}
