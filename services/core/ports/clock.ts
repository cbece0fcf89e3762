/** Time for the few places that may ask (never decoding): the system's, or one driven by a test. */
export interface Clock {
  /** The wall clock, µs since 1970. It may be set, also back. */
  nowUs(): number
  /** ms since some moment, going on evenly whatever is done to the wall clock: how long something takes, or waits. */
  elapsedMs(): number
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}
