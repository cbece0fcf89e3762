import { TOPIC_RULES } from '../../core/topics.js'

const DAY_MS = 86_400_000

/** Kafka's settings for a topic that is made. Those of klartext's own topics follow from their rule. */
export function topicConfig(name: string, isCompact: boolean): Record<string, string> {
  const rule = TOPIC_RULES.get(name)
  if (rule?.compact ?? isCompact) {
    return {
      ...(rule?.brokerTime === true ? { 'message.timestamp.type': 'LogAppendTime' } : {}),
      'min.compaction.lag.ms': String((rule?.retentionDays ?? 0) * DAY_MS),
      'cleanup.policy': 'compact',
      // A state read back at a hand-over should be near the size of what is open: cleaned early and often.
      'segment.ms': '600000',
      'min.cleanable.dirty.ratio': '0.1',
      'delete.retention.ms': '3600000',
    }
  }
  const config: Record<string, string> = { 'cleanup.policy': 'delete' }
  if (rule !== undefined) config['retention.ms'] = String(rule.retentionDays * DAY_MS)
  return config
}
