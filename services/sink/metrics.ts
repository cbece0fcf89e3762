/** What a sink counts, over all its partitions, since it started, and how Prometheus sees it. */
import type { LagSampler } from '../core/telemetry/lag.js'
import { counter, gauge, Histogram, type MetricFamily } from '../core/telemetry/metrics.js'
import type { Sink } from './sink.js'

export class SinkMetrics {
  records = 0
  recordBytes = 0
  /** Rows that the store has confirmed, and the inserts they came in. */
  rows = 0
  blocks = 0
  /** Blocks that another sink, or this one before, had begun. */
  intentsReplayed = 0
  retries = 0
  /** Messages that no row could be made of. */
  unreadable = 0
  /** Messages that were gone before they were read. */
  expired = 0
  /** Messages of which nobody knows whether they were stored, and which were not stored for that. */
  inDoubt = 0
  fenced = 0
  failures = 0
  pauses = 0
  readonly blockRows = new Histogram([10, 100, 1_000, 5_000, 10_000, 50_000, 100_000])
  readonly blockBytes = new Histogram([10_000, 100_000, 1_000_000, 10_000_000, 64_000_000])
  readonly insertSeconds = new Histogram([0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60])
}

/** All metrics of the service. */
export function sinkMetrics(sink: Sink, lag: LagSampler): MetricFamily[] {
  const { metrics } = sink
  return [
    ...lag.families('sink'),
    gauge('klartext_sink_partitions', 'Partitions that this sink stores, over its topics.', sink.positions().length),
    counter('klartext_sink_messages_total', 'Messages read.', metrics.records),
    counter('klartext_sink_message_bytes_total', 'Bytes of them.', metrics.recordBytes),
    counter('klartext_sink_rows_total', 'Rows that the store has confirmed.', metrics.rows),
    counter('klartext_sink_blocks_total', 'Inserts that the store has confirmed.', metrics.blocks),
    metrics.blockRows.family('klartext_sink_block_rows', 'Rows of one insert.'),
    metrics.blockBytes.family('klartext_sink_block_bytes', 'Bytes of messages that one insert is made of.'),
    metrics.insertSeconds.family('klartext_sink_insert_seconds', 'Time of one insert with its retries.'),
    counter('klartext_sink_retries_total', 'Inserts that were tried again.', metrics.retries),
    counter(
      'klartext_sink_replayed_blocks_total',
      'Blocks that were begun before by a sink that ended.',
      metrics.intentsReplayed,
    ),
    counter('klartext_sink_fences_total', 'Times that another sink had taken over a partition.', metrics.fenced),
    counter('klartext_sink_failures_total', 'Calls that failed and were tried again.', metrics.failures),
    counter(
      'klartext_sink_pauses_total',
      'Times that a partition was not read on until its block was stored.',
      metrics.pauses,
    ),
    counter('klartext_sink_lost_messages_total', 'Messages that gave no rows.', [
      [{ reason: 'unreadable' }, metrics.unreadable],
      [{ reason: 'expired' }, metrics.expired],
      [{ reason: 'in_doubt' }, metrics.inDoubt],
    ]),
    gauge('klartext_sink_waiting_rows', 'Rows that are gathered or on their way.', sink.waitingRows),
    gauge('klartext_sink_store_up', '0 while inserts fail.', sink.trouble === null ? 1 : 0),
  ]
}
