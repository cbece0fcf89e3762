/**
 * A log with partitions, in Kafka's words and with Kafka's promises, so that what is right on one implementation is right
 * on the other: order within a partition, positions (offsets), consumer groups, transactions that publish messages and
 * commit an input offset together or not at all, and fencing of a producer that was replaced.
 */
export interface BusMessage {
  readonly key: Buffer | null
  /** null deletes the key in a compacted topic. */
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, string>>
  /** ms since 1970. */
  readonly timestampMs?: number
}

export interface BusRecord extends BusMessage {
  /** Empty where null was sent. */
  readonly value: Buffer
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

export interface CommittedOffset {
  /** Next offset to read; -1n where nothing was committed. */
  readonly offset: bigint
  /** Free text of at most 4096 bytes that was committed with it. */
  readonly metadata: string
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface TopicOptions {
  /** Of each key only the newest record is kept for good (Kafka: cleanup.policy=compact). */
  readonly compact?: boolean
}

export interface RecordTime {
  readonly offset: bigint
  /** ms since 1970. */
  readonly timestampMs: number
}

export interface ProducerOptions {
  readonly transactionalId?: string
  /**
   * A send goes on until it is stored or the producer is closed, however long the bus is away, and what is sent is stored
   * once. Without it a send gives up in the end, and nobody knows whether it was stored. Told of what is tried again.
   */
  readonly onRetry?: (error: unknown) => void
}

export interface Bus {
  /** Making a topic that is there with as many partitions does nothing. Throws `TOPIC_EXISTS` where it has another number. */
  createTopic(topic: string, partitions: number, options?: TopicOptions): Promise<void>
  partitions(topic: string): Promise<number>
  /** Of whoever keeps the log, as long as it keeps it; '' where that cannot be said. */
  clusterId(): Promise<string>
  /** Of the oldest record that is kept; where none is kept that of the next one. */
  startOffset(topic: string, partition: number): Promise<bigint>
  /** Behind the newest record: how far a reader lags is measured against it. */
  endOffset(topic: string, partition: number): Promise<bigint>
  /**
   * The first record that carries this time (ms since 1970) or a later one; null where there is none. It may be one that is
   * never read: of an aborted transaction, or the end of one.
   */
  offsetAt(topic: string, partition: number, timestampMs: number): Promise<RecordTime | null>
  /**
   * Committed records of one partition from `from` up to but without `to` (at most the end), outside of any group, in
   * pieces of some MiB. Throws `EXPIRED` where `from` is not kept any more, or is removed while it is read.
   */
  read(topic: string, partition: number, from: bigint, to: bigint): AsyncIterable<readonly BusRecord[]>
  /**
   * Committed records of one partition from its start to its end at the time of the call, outside of any group: to read a
   * state back. What a fenced producer had committed before is among them.
   */
  readAll(topic: string, partition: number, take: (records: readonly BusRecord[]) => void): Promise<void>
  producer(options?: ProducerOptions): Promise<BusProducer>
  /** Records of committed transactions only, never those of open or aborted ones. */
  consumer(groupId: string): Promise<BusConsumer>
  close(): Promise<void>
}

export interface BusProducer {
  /** Without a transaction: durable when it resolves. Answers the offset of the first message. */
  send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<bigint>
  /** Needs `transactionalId`; a second producer with the same id fences this one: its next call throws `FENCED`. */
  begin(): Promise<BusTransaction>
  close(): Promise<void>
}

export interface BusTransaction {
  send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<void>
  commitOffset(groupId: string, input: TopicPartition, offset: bigint, metadata: string): Promise<void>
  commit(): Promise<void>
  abort(): Promise<void>
}

export interface BusConsumer {
  /** Joins the group; `onAssigned` is called with the whole new set before records of it are delivered. */
  subscribe(topic: string, onAssigned: (partitions: readonly number[]) => Promise<void>): Promise<void>
  /** Records of assigned partitions, at most `maxBytes` of values; waits at most `waitMs` when there are none. */
  poll(maxBytes: number, waitMs: number): Promise<BusRecord[]>
  seek(input: TopicPartition, offset: bigint): void
  pause(input: TopicPartition): void
  resume(input: TopicPartition): void
  committed(input: TopicPartition): Promise<CommittedOffset>
  /**
   * Commits outside a transaction. Throws `FENCED` when the partition now belongs to another member, and when the group is
   * divided anew before the commit has come through: it belongs to the assignment in which it was asked for, and whoever has
   * read the offset in a later one will never see it change. A new assignment begins, topic by topic, with `onAssigned`.
   */
  commit(input: TopicPartition, offset: bigint, metadata: string): Promise<void>
  close(): Promise<void>
}
