/** A cache beside the truth: what it does not answer is found out again. It never fails and never holds anybody up for long. */
export interface Cache {
  /** What was put under the key and is still there; null where not, where it has expired, and where the cache is away. */
  get(key: string): Promise<Buffer | null>
  /** Best effort, forgotten after `ttlMs`. */
  set(key: string, value: Buffer, ttlMs: number): void
  close(): Promise<void>
}
