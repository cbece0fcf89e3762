/** Makes and checks klartext's topics. */
import { KlartextError } from '../../core/errors.js'
import type { Bus } from '../../core/ports/bus.js'
import { TOPICS, type Topic } from '../../core/topics.js'

const DAY_MS = 86_400_000
const ALL: readonly Topic[] = Object.values(TOPICS)

/** Kafka's settings for a topic that is made. Those of klartext's own topics follow from the table. */
export function topicConfig(name: string, isCompact: boolean): Record<string, string> {
  const topic = ALL.find((each) => each.name === name)
  if (topic?.isCompact ?? isCompact) {
    return {
      'cleanup.policy': 'compact',
      // A state read back at a hand-over should be near the size of what is open: cleaned early and often.
      'segment.ms': '600000',
      'min.cleanable.dirty.ratio': '0.1',
      'delete.retention.ms': '3600000',
    }
  }
  const config: Record<string, string> = { 'cleanup.policy': 'delete' }
  if (topic !== undefined) config['retention.ms'] = String(topic.retentionDays * DAY_MS)
  return config
}

/** All of klartext's topics, those divided by connection into `partitions`. What is there is left as it is, but checked. */
export async function createTopics(bus: Bus, partitions: number): Promise<void> {
  for (const topic of ALL) await ensure(bus, topic, topic.partitions === 'connections' ? partitions : topic.partitions)
}

async function ensure(bus: Bus, topic: Topic, partitions: number): Promise<void> {
  try {
    await bus.createTopic(topic.name, partitions, { compact: topic.isCompact })
  } catch (error) {
    throw (error as KlartextError).code === 'TOPIC_EXISTS' ? changed((error as KlartextError).message) : error
  }
}

/**
 * At the start of a service: throws `UNKNOWN_TOPIC` for one that is missing, `PARTITIONS_CHANGED` where the topics that are
 * divided by connection differ. Answers into how many partitions they are divided.
 */
export async function checkTopics(bus: Bus, topics: readonly Topic[]): Promise<number> {
  let first: { name: string; partitions: number } | null = null
  for (const topic of topics) {
    const partitions = await partitionsOf(bus, topic)
    if (topic.partitions !== 'connections') continue
    first ??= { name: topic.name, partitions }
    if (partitions !== first.partitions) {
      throw changed(`${first.name} has ${first.partitions} partitions, ${topic.name} has ${partitions}`)
    }
  }
  return first?.partitions ?? 0
}

async function partitionsOf(bus: Bus, topic: Topic): Promise<number> {
  try {
    return await bus.partitions(topic.name)
  } catch (error) {
    if ((error as KlartextError).code !== 'UNKNOWN_TOPIC') throw error
    throw new KlartextError('UNKNOWN_TOPIC', `${(error as Error).message}; klartext topics makes it`)
  }
}

function changed(what: string): KlartextError {
  return new KlartextError(
    'PARTITIONS_CHANGED',
    `${what}: a connection would be read by two workers; put the count back, or make the topics anew`,
  )
}
