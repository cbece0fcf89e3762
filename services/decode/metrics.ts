/** What a decode worker counts, over all its partitions, since it started. */
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
  finishedPartitions = 0
  /** Partitions taken over from the committed state, at assignment or after a failed transaction. */
  takeovers = 0
  fenced = 0
  /** Transactions that failed for another reason. */
  failures = 0
  pauses = 0
}
