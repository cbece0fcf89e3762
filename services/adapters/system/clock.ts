import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../core/ports/clock.js'

/** The clock of this machine. */
export const SYSTEM_CLOCK: Clock = {
  nowUs: () => Date.now() * 1000,
  elapsedMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await sleep(ms, undefined, signal === undefined ? {} : { signal })
  },
}
