/** Wakes those who wait for a change; one that comes while nobody waits is not lost for the next to ask. */
export class Signal {
  #wakers = new Set<() => void>()
  #isSet = false

  notify(): void {
    this.#isSet = true
    const wakers = this.#wakers
    this.#wakers = new Set()
    for (const wake of wakers) wake()
  }

  /** Resolves at the next `notify`, at once where there was one since the last wait, or after `maxMs`. */
  wait(maxMs: number): Promise<void> {
    if (this.#isSet) {
      this.#isSet = false
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        this.#wakers.delete(wake)
        this.#isSet = false
        resolve()
      }
      const timer = setTimeout(wake, maxMs)
      this.#wakers.add(wake)
    })
  }
}
