/** All metrics of the capturer. */
import type { Count } from '../../native/index.js'
import { counter, gauge, type Labels, type MetricFamily } from '../core/telemetry/metrics.js'
import { NO_LOSS } from './coverage.js'
import type { NativeSource } from './native_source.js'
import type { OwnTraffic } from './own_traffic.js'
import type { SegmentPublisher } from './publisher.js'

function each(
  label: string,
  record: Readonly<Record<string, Count>>,
  value: (count: Count) => number,
): (readonly [Labels, number])[] {
  return Object.entries(record).map(([name, count]) => [{ [label]: name }, value(count)] as const)
}

const countOf = ({ count }: Count) => count
const bytesOf = ({ bytes }: Count) => bytes

export function captureMetrics(source: NativeSource, publisher: SegmentPublisher, own: OwnTraffic): MetricFamily[] {
  return [
    ...publisherMetrics(publisher),
    counter('klartext_capture_own_segments_total', "Segments of klartext's own talk with Kafka, left out.", own.count),
    counter('klartext_capture_own_bytes_total', 'Bytes of them.', own.bytes),
    ...sourceMetrics(source),
    ...libraryMetrics(source),
  ]
}

function publisherMetrics(publisher: SegmentPublisher): MetricFamily[] {
  return [
    counter('klartext_capture_messages_total', 'Messages that Kafka has taken.', publisher.messages),
    counter('klartext_capture_message_bytes_total', 'Bytes of them.', publisher.bytes),
    counter('klartext_capture_retries_total', 'Requests to Kafka that were tried again.', publisher.retries),
    gauge('klartext_capture_queue_bytes', 'Bytes that wait for Kafka.', publisher.queuedBytes),
    gauge('klartext_capture_queue_fill_ratio', 'Share of the queue that is taken.', publisher.fill),
    gauge('klartext_capture_kafka_up', '0 while requests fail.', publisher.trouble === null ? 1 : 0),
    counter(
      'klartext_capture_shed_segments_total',
      'Segments left out because Kafka was behind.',
      each('reason', publisher.shed, countOf),
    ),
    counter('klartext_capture_shed_bytes_total', 'Bytes of them.', each('reason', publisher.shed, bytesOf)),
  ]
}

function sourceMetrics(source: NativeSource): MetricFamily[] {
  const stats = source.stats()
  if (stats === null) return []
  const lost: Record<string, Count> = {}
  const muted: Record<string, Count> = {}
  for (const [reason, count] of Object.entries(stats.lost)) (NO_LOSS.has(reason) ? muted : lost)[reason] = count
  return [
    counter('klartext_capture_segments_total', 'Segments captured.', stats.segments),
    counter('klartext_capture_payload_bytes_total', 'Bytes of them.', stats.payloadBytes),
    counter('klartext_capture_connections_total', 'Connections seen.', stats.connections),
    counter('klartext_capture_process_looks_total', 'Processes looked at for TLS libraries.', stats.processLooks),
    counter('klartext_capture_seen_calls_total', 'Reads and writes seen.', each('source', stats.seen, countOf)),
    counter('klartext_capture_seen_bytes_total', 'Bytes of them.', each('source', stats.seen, bytesOf)),
    counter('klartext_capture_lost_segments_total', 'Lost on the way from the kernel.', each('reason', lost, countOf)),
    counter('klartext_capture_lost_bytes_total', 'Bytes of them.', each('reason', lost, bytesOf)),
    counter('klartext_capture_muted_segments_total', 'Left out on purpose.', each('reason', muted, countOf)),
    counter('klartext_capture_muted_bytes_total', 'Bytes of them.', each('reason', muted, bytesOf)),
  ]
}

/** Coverage: libraries and processes of which plaintext is seen, and those of which it is not. */
function libraryMetrics(source: NativeSource): MetricFamily[] {
  const libraries = { hooked: 0, not_hooked: 0 }
  const processes = { covered: 0, not_covered: 0 }
  for (const { kind, hooked, processes: users } of source.libraries()) {
    if (kind === 'libcrypto') continue
    libraries[hooked ? 'hooked' : 'not_hooked'] += 1
    processes[hooked ? 'covered' : 'not_covered'] += users.length
  }
  const states = (record: Readonly<Record<string, number>>) =>
    Object.entries(record).map(([state, value]) => [{ state }, value] as const)
  return [
    gauge('klartext_capture_libraries', 'TLS libraries found.', states(libraries)),
    gauge('klartext_capture_processes', 'Processes that use them.', states(processes)),
  ]
}
