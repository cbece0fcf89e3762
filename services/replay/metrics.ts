/** What a replay worker counts since it started, and how Prometheus sees it. */
import { counter, gauge, type MetricFamily } from '../core/telemetry/metrics.js'

export class ReplayMetrics {
  /** Parts. */
  started = 0
  finished = 0
  failed = 0
  running = 0
  messages = 0
  messageBytes = 0
  segments = 0
  /** Kept, and stored. */
  flows = 0
  connections = 0
  blocks = 0
  unreadable = 0
}

export function replayMetrics(metrics: ReplayMetrics): MetricFamily[] {
  const { messageBytes } = metrics
  return [
    counter('klartext_replay_started_parts_total', 'Parts of replays taken up, also after a kill.', metrics.started),
    counter('klartext_replay_finished_parts_total', 'Parts of which all is stored.', metrics.finished),
    counter('klartext_replay_failed_parts_total', 'Parts that ended their replay as failed.', metrics.failed),
    gauge('klartext_replay_running_parts', 'Parts that run now.', metrics.running),
    counter('klartext_replay_messages_total', 'Messages of klartext.segments read.', metrics.messages),
    counter('klartext_replay_message_bytes_total', 'Their bytes.', messageBytes),
    counter('klartext_replay_unreadable_messages_total', 'Messages that are no segment batch.', metrics.unreadable),
    counter('klartext_replay_segments_total', 'Segments decoded.', metrics.segments),
    counter('klartext_replay_flows_total', 'Flows stored: within window and filter.', metrics.flows),
    counter('klartext_replay_connections_total', 'Connections stored.', metrics.connections),
    counter('klartext_replay_blocks_total', 'Blocks stored.', metrics.blocks),
  ]
}
