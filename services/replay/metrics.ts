/** What a replay worker counts since it started. */
export class ReplayMetrics {
  /** Parts. */
  started = 0
  finished = 0
  failed = 0
  messages = 0
  messageBytes = 0
  segments = 0
  /** Kept, and stored. */
  flows = 0
  connections = 0
  blocks = 0
  unreadable = 0
  /** What went wrong, most of it tried again. */
  errors = 0
}
