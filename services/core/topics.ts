/** The topics of klartext: the one place that knows their names, what divides them and how long they are kept. */
export interface Topic {
  readonly name: string
  readonly what: string
  /** `connections`: divided by connection, all such topics into as many partitions; a number: always so many. */
  readonly partitions: 'connections' | number
  /** Of each key only the newest record is kept for good. */
  readonly isCompact: boolean
  /** Days; 0 where it is compacted. */
  readonly retentionDays: number
}

export const TOPICS = {
  segments: {
    name: 'klartext.segments',
    what: 'batches of segments, as captured; key: connection',
    partitions: 'connections',
    isCompact: false,
    // As long as incidents can be replayed.
    retentionDays: 3,
  },
  flows: {
    name: 'klartext.flows',
    what: 'flows, Avro in Confluent framing; key: connection',
    partitions: 'connections',
    isCompact: false,
    retentionDays: 3,
  },
  state: {
    name: 'klartext.state',
    what: 'checkpoints of decoders; key: connection',
    partitions: 'connections',
    isCompact: true,
    retentionDays: 0,
  },
  dlq: {
    name: 'klartext.dlq',
    what: 'messages that could not be read, with their place and the reason',
    partitions: 1,
    isCompact: false,
    retentionDays: 14,
  },
  pods: {
    name: 'klartext.pods',
    what: 'who had which address or container when; key: cluster and object',
    partitions: 1,
    isCompact: true,
    retentionDays: 0,
  },
  findings: {
    name: 'klartext.findings.ocsf',
    what: 'findings as OCSF JSON, for SOC tools',
    partitions: 1,
    isCompact: false,
    retentionDays: 14,
  },
} as const satisfies Readonly<Record<string, Topic>>

/** Enough to try out; production takes 96 or more. Fixed when the topics are made: more later would break connections. */
export const PARTITIONS_DEFAULT = 12
