/** What a sink counts, over all its partitions, since it started. */
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
  fenced = 0
  failures = 0
  pauses = 0
  /** Time spent in inserts, all partitions. */
  insertMs = 0
}
