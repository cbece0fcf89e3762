/** Resolves on SIGINT or SIGTERM, or after `seconds` where that is not 0. */
export function untilStopped(seconds = 0): Promise<void> {
  return new Promise((resolve) => {
    const timer = seconds > 0 ? setTimeout(done, seconds * 1000) : setInterval(() => {}, 1 << 30)
    process.once('SIGINT', done)
    process.once('SIGTERM', done)
    function done() {
      clearTimeout(timer)
      process.off('SIGINT', done)
      process.off('SIGTERM', done)
      resolve()
    }
  })
}
