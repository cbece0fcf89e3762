/**
 * Resolves on SIGINT or SIGTERM, or after `seconds` where that is not 0. It does not keep the process alive: what is waited
 * for meanwhile does, and where that has failed the process ends.
 */
export function untilStopped(seconds = 0): Promise<void> {
  return new Promise((resolve) => {
    const timer = seconds > 0 ? setTimeout(done, seconds * 1000).unref() : null
    process.once('SIGINT', done)
    process.once('SIGTERM', done)
    function done() {
      if (timer !== null) clearTimeout(timer)
      process.off('SIGINT', done)
      process.off('SIGTERM', done)
      resolve()
    }
  })
}
