/** What a decode worker counts, over all its partitions, since it started, and how Prometheus sees it. */
import type { LagSampler } from '../core/telemetry/lag.js'
import { byLabel, counter, gauge, Histogram, type MetricFamily } from '../core/telemetry/metrics.js'
import { Accounting } from './accounting.js'
import type { PodCache } from './pod_cache.js'
import type { PodFeed } from './pod_feed.js'
import type { DecodeWorker } from './worker.js'

export class WorkerMetrics {
  messages = 0
  messageBytes = 0
  segments = 0
  flows = 0
  connections = 0
  transactions = 0
  stateMessages = 0
  stateBytes = 0
  /** Messages of klartext.segments that could not be read. */
  deadLetters = 0
  /** Messages that were gone before they were read. */
  expiredMessages = 0
  restoredConnections = 0
  /** Checkpoints that did not belong to the committed offset. */
  statesDiscarded = 0
  /** Partitions taken over from the committed state, at assignment or after a failed transaction. */
  takeovers = 0
  fenced = 0
  /** Transactions that failed for another reason. */
  failures = 0
  pauses = 0
  readonly transactionSeconds = new Histogram([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15])
  readonly transactionSegments = new Histogram([10, 100, 1_000, 10_000, 100_000])
  /** Of partitions that were given up. */
  readonly given = new Accounting()
}

/** All metrics of the service. Segments and bytes count again what was decoded again after a failed transaction. */
export function decodeMetrics(worker: DecodeWorker, lag: LagSampler): MetricFamily[] {
  const { metrics, accounting } = worker
  const positions = worker.positions()
  const perPartition = (value: (position: (typeof positions)[number]) => number) =>
    positions.map((position) => [{ partition: position.partition }, value(position)] as const)
  return [
    ...lag.families('decode'),
    gauge('klartext_decode_partitions', 'Partitions that this worker decodes.', positions.length),
    counter('klartext_decode_messages_total', 'Messages of klartext.segments.', metrics.messages),
    counter('klartext_decode_message_bytes_total', 'Bytes of them.', metrics.messageBytes),
    counter('klartext_decode_segments_total', 'Segments decoded.', metrics.segments),
    counter('klartext_decode_flows_total', 'Flows committed.', metrics.flows),
    counter('klartext_decode_connections_total', 'Connections that ended, committed.', metrics.connections),
    counter('klartext_decode_transactions_total', 'Transactions committed.', metrics.transactions),
    metrics.transactionSeconds.family('klartext_decode_transaction_seconds', 'From its begin to its commit.'),
    metrics.transactionSegments.family(
      'klartext_decode_transaction_segments',
      'Segments that one transaction decodes.',
    ),
    counter(
      'klartext_decode_failures_total',
      'Transactions and calls that failed and were tried again.',
      metrics.failures,
    ),
    counter('klartext_decode_fences_total', 'Times that another worker had taken over a partition.', metrics.fenced),
    counter('klartext_decode_takeovers_total', 'Partitions taken over from their committed state.', metrics.takeovers),
    counter(
      'klartext_decode_pauses_total',
      'Times that a partition was not read on until it was committed.',
      metrics.pauses,
    ),
    counter('klartext_decode_state_messages_total', 'Checkpoints written.', metrics.stateMessages),
    counter('klartext_decode_state_bytes_total', 'Bytes of them.', metrics.stateBytes),
    counter(
      'klartext_decode_states_restored_total',
      'Connections restored from checkpoints.',
      metrics.restoredConnections,
    ),
    counter('klartext_decode_lost_messages_total', 'Messages that gave no flows.', [
      [{ reason: 'unreadable' }, metrics.deadLetters],
      [{ reason: 'expired' }, metrics.expiredMessages],
    ]),
    counter(
      'klartext_decode_lost_states_total',
      'Checkpoints of no use: their connections went on as if joined mid-way.',
      [
        [{ reason: 'foreign' }, metrics.statesDiscarded],
        [{ reason: 'unreadable' }, accounting.statesUnreadable],
      ],
    ),
    counter('klartext_decode_payload_bytes_total', 'Bytes of segments.', accounting.payloadBytes),
    counter('klartext_decode_consumed_bytes_total', 'Bytes in frames.', accounting.consumedBytes),
    counter(
      'klartext_decode_skipped_bytes_total',
      'Bytes that were passed over.',
      byLabel('reason', accounting.skippedBytes),
    ),
    counter('klartext_decode_duplicate_bytes_total', 'Bytes that had been seen before.', accounting.duplicateBytes),
    counter('klartext_decode_gap_bytes_total', 'Bytes known to be missing.', accounting.gapBytes),
    counter(
      'klartext_decode_closed_connections_total',
      'Connections that ended.',
      byLabel('reason', accounting.closed),
    ),
    counter(
      'klartext_decode_decoder_failures_total',
      'Connections set aside by their decoder.',
      accounting.decoderFailures,
    ),
    gauge(
      'klartext_decode_open_connections',
      'Connections open.',
      perPartition(({ open }) => open),
    ),
    gauge(
      'klartext_decode_held_bytes',
      'Bytes that wait for the rest of their frame; /status names the connection.',
      perPartition(({ heldBytes }) => heldBytes),
    ),
    gauge(
      'klartext_decode_unnamed_bytes',
      'Input that waits until it is known how to name its flows.',
      perPartition(({ unnamedBytes }) => unnamedBytes),
    ),
    gauge(
      'klartext_decode_waiting_bytes',
      'Output that waits for its transaction.',
      perPartition(({ waitingBytes }) => waitingBytes),
    ),
  ]
}

/** Of what flows are named by. */
export function namesMetrics(names: PodFeed, cache: PodCache | null): MetricFamily[] {
  return [
    ...(cache === null ? [] : cacheMetrics(cache)),
    counter('klartext_decode_pod_messages_total', 'Messages of klartext.pods.', names.records),
    counter(
      'klartext_decode_unreadable_pods_total',
      'Messages of klartext.pods that could not be read.',
      names.unreadable,
    ),
    counter(
      'klartext_decode_unfollowed_messages_total',
      'Messages whose cluster had not been followed so far: their flows are named by containers only.',
      names.given,
    ),
  ]
}

function cacheMetrics({ loads, saved, failures, savedBytes }: PodCache): MetricFamily[] {
  return [
    counter(
      'klartext_decode_pod_cache_loads_total',
      'Times that what is known of pods was to be taken from the cache; but for `taken` all of klartext.pods was read.',
      byLabel('state', loads),
    ),
    counter('klartext_decode_pod_cache_writes_total', 'Times that it was written there.', saved),
    counter('klartext_decode_pod_cache_failures_total', 'Times that it could not be written there.', failures),
    gauge('klartext_decode_pod_cache_bytes', 'Size of what this worker wrote last.', savedBytes),
  ]
}
