/** Timers take no more (2^31 - 1 ms, 24 days): what is longer would be over at once. */
const TIMER_MS_MAX = 0x7fff_ffff

/**
 * Resolves on SIGINT or SIGTERM, or after `seconds` where that is not 0. It does not keep the process alive: what is waited
 * for meanwhile does, and where that has failed the process ends.
 */
export function untilStopped(seconds = 0): Promise<void> {
  return new Promise((resolve) => {
    let leftMs = seconds * 1000
    let timer: NodeJS.Timeout | null = null
    function wait() {
      const ms = Math.min(leftMs, TIMER_MS_MAX)
      leftMs -= ms
      timer = setTimeout(leftMs > 0 ? wait : done, ms).unref()
    }
    function done() {
      if (timer !== null) clearTimeout(timer)
      process.off('SIGINT', done)
      process.off('SIGTERM', done)
      resolve()
    }
    process.once('SIGINT', done)
    process.once('SIGTERM', done)
    if (seconds > 0) wait()
  })
}
