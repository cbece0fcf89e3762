/** The topics of klartext: the one place that knows their names, how they are divided and how long they are kept. */
import { KlartextError } from './errors.js'
import type { Bus } from './ports/bus.js'

export const TOPICS = {
  /** SegmentBatch (Avro), from the capturers. Both directions of a connection are in one partition. */
  segments: 'klartext.segments',
  /** Flow (Avro in Confluent's frame); key: conn_id as decimal digits. Partition = that of its segments. */
  flows: 'klartext.flows',
  /** ConnectionRow (JSON), one per connection that is over. Partition as flows. */
  connections: 'klartext.connections',
  /** Checkpoints of the decode workers. Partition = that of the input. */
  state: 'klartext.state',
  /** CoverageRow (JSON): what was seen, and what was not. */
  coverage: 'klartext.coverage',
  /** Messages that could not be read, as they were; headers say from where, why, and how large they were. */
  deadLetters: 'klartext.dlq',
  /** Who had which address or container when; key: cluster and object. */
  pods: 'klartext.pods',
  /** Findings as OCSF JSON, for SOC tools. */
  findings: 'klartext.findings.ocsf',
} as const

/**
 * Bytes of the largest message that is sent to them: brokers refuse batches of more than 1 048 588 (`max.message.bytes`)
 * unless told otherwise, and what is refused once is refused for ever. The rest is for key, headers and the batch around it.
 */
export const MESSAGE_BYTES_MAX = 1_000_000

export interface TopicRule {
  /** Divided by connection: all such topics have equally many partitions, and a connection has one number in all. */
  readonly byConnection: boolean
  /** Of each key only the newest record is kept for good. */
  readonly compact: boolean
  /** Days. Where it is compacted: for so long all records are kept, beyond it the newest of each key. */
  readonly retentionDays: number
  /** Records carry the time at which the broker took them, whatever their senders' clocks say. */
  readonly brokerTime?: boolean
}

/** Segments are kept as long as incidents can be replayed. */
const kept = (byConnection: boolean, retentionDays: number): TopicRule => ({
  byConnection,
  compact: false,
  retentionDays,
})
const compacted = (byConnection: boolean): TopicRule => ({ byConnection, compact: true, retentionDays: 0 })
/** Segments are named by what was known of pods when they came: also when they are replayed, as long as they are kept. */
const pods: TopicRule = { byConnection: false, compact: true, retentionDays: 4, brokerTime: true }

export const TOPIC_RULES: ReadonlyMap<string, TopicRule> = new Map([
  [TOPICS.segments, kept(true, 3)],
  [TOPICS.flows, kept(true, 3)],
  [TOPICS.connections, kept(true, 3)],
  [TOPICS.state, compacted(true)],
  [TOPICS.coverage, kept(false, 3)],
  [TOPICS.deadLetters, kept(false, 14)],
  [TOPICS.pods, pods],
  [TOPICS.findings, kept(false, 14)],
])

/** Enough to try out; production takes 96 or more. Fixed when the topics are made: more later would break connections. */
export const PARTITIONS_DEFAULT = 12

/** Makes those that are missing. Throws `PARTITIONS_CHANGED` where one has another number of partitions. */
export async function createTopics(bus: Bus, partitions: number): Promise<void> {
  for (const [topic, { byConnection, compact }] of TOPIC_RULES) {
    try {
      await bus.createTopic(topic, byConnection ? partitions : 1, { compact })
    } catch (error) {
      const { code, message } = error as KlartextError
      throw code === 'TOPIC_EXISTS' ? changed(message) : error
    }
  }
}

/**
 * At the start of a service: throws `UNKNOWN_TOPIC` for one that is missing, `PARTITIONS_CHANGED` where the topics that are
 * divided by connection differ. Answers into how many partitions they are divided; 0 where none of them is.
 */
export async function checkTopics(bus: Bus, topics: readonly string[]): Promise<number> {
  let first: { topic: string; partitions: number } | null = null
  for (const topic of topics) {
    const partitions = await partitionsOf(bus, topic)
    if (TOPIC_RULES.get(topic)?.byConnection !== true) continue
    first ??= { topic, partitions }
    if (partitions !== first.partitions) {
      throw changed(`${first.topic} has ${first.partitions} partitions, ${topic} has ${partitions}`)
    }
  }
  return first?.partitions ?? 0
}

/** A missing topic may still be made: that is waited for. */
async function partitionsOf(bus: Bus, topic: string): Promise<number> {
  try {
    return await bus.partitions(topic)
  } catch (error) {
    const { code, message } = error as KlartextError
    if (code !== 'UNKNOWN_TOPIC') throw error
    throw new KlartextError(code, `${message}: klartext topics apply makes it`, { retryable: true, cause: error })
  }
}

function changed(what: string): KlartextError {
  return new KlartextError(
    'PARTITIONS_CHANGED',
    `${what}: a connection would be read by two workers; put the count back, or make the topics anew`,
  )
}
