/** Store and bus may be away for a while: a replay waits for them, until it is stopped. */
import { KlartextError } from '../core/errors.js'
import type { Clock } from '../core/ports/clock.js'

export interface Patience {
  readonly clock: Clock
  /** Told what went wrong and is tried again. */
  readonly onRetry?: (error: unknown) => void
}

export const RETRY_MS_MIN = 100
export const RETRY_MS_MAX = 5_000

/** Tries what may be tried again until it succeeds. Throws `ABORTED` where the signal says so, and all other errors. */
export async function patiently<T>(patience: Patience, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
  for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
    if (signal.aborted) throw aborted()
    try {
      return await call()
    } catch (error) {
      if (!isRetryable(error)) throw error
      patience.onRetry?.(error)
      await pause(patience.clock, pauseMs, signal)
    }
  }
}

/** Ends early with `ABORTED` where the signal says so. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await clock.sleep(ms, signal).catch(() => {})
  if (signal.aborted) throw aborted()
}

export function isRetryable(error: unknown): boolean {
  return (error as { retryable?: boolean }).retryable === true
}

export function aborted(): KlartextError {
  return new KlartextError('ABORTED', 'the replay was stopped')
}
