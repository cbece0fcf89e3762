/** A cache beside the truth: what it does not answer is found out again. It holds nobody up for long. */
export interface Cache {
  /** What was set under the key; null where nothing is there, or not any more. Throws `CACHE_AWAY`. */
  get(key: string): Promise<Buffer | null>
  /** Kept when it resolves, and forgotten after `ttlMs`. Throws `CACHE_AWAY`; then nobody knows whether it is kept. */
  set(key: string, value: Buffer, ttlMs: number): Promise<void>
  /** True for one only of all who ask for the same key within `ttlMs`. Throws `CACHE_AWAY`. */
  claim(key: string, ttlMs: number): Promise<boolean>
  close(): Promise<void>
}
