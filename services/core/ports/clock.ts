/** The wall clock for the few places that may ask (never decoding): the system's, or one driven by a test. */
export interface Clock {
  /** µs since 1970. */
  nowUs(): number
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}
