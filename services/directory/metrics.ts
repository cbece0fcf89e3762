/** What the directory counts, and how Prometheus sees it. */
import { counter, gauge, type MetricFamily } from '../core/telemetry/metrics.js'
import type { DirectoryService } from './service.js'

export function directoryMetrics(
  { directory, publisher, unreadable }: DirectoryService,
  nowUs: number,
): MetricFamily[] {
  const { followedUs } = directory
  return [
    gauge('klartext_directory_pods', 'Pods in the cluster.', directory.podCount),
    gauge(
      'klartext_directory_unlisted_kinds',
      'Kinds of objects that were not listed yet.',
      directory.unsyncedKinds.length,
    ),
    gauge(
      'klartext_directory_followed_age_seconds',
      'How long ago it was certain that nothing was missed: flows of later than that are not named by addresses.',
      followedUs === 0 ? Number.POSITIVE_INFINITY : (nowUs - followedUs) / 1e6,
    ),
    counter('klartext_directory_messages_total', 'Messages to klartext.pods.', publisher.messages),
    counter('klartext_directory_message_bytes_total', 'Bytes of them.', publisher.bytes),
    gauge('klartext_directory_waiting_identities', 'Identities that Kafka has still to take.', publisher.waiting),
    counter('klartext_directory_failures_total', 'Calls that failed and were tried again.', [
      [{ to: 'kubernetes' }, directory.failures],
      [{ to: 'kafka' }, publisher.failures],
    ]),
    counter(
      'klartext_directory_forgotten_total',
      'Watches whose place the API server no longer had (410): what is there was listed anew.',
      directory.forgotten,
    ),
    counter('klartext_directory_unreadable_total', 'What could not be read and was passed over.', [
      [{ what: 'object' }, directory.unreadable],
      [{ what: 'message' }, unreadable],
    ]),
  ]
}
