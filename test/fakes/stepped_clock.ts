/** Time for many at once: who sleeps wakes when it has been advanced so far, in order. */
import type { Clock } from '../../services/core/ports/clock.js'

interface Sleeper {
  readonly atUs: number
  wake(): void
}

export class SteppedClock implements Clock {
  #us: number
  #sleepers: Sleeper[] = []

  constructor(startUs: number) {
    this.#us = startUs
  }

  nowUs(): number {
    return this.#us
  }

  elapsedMs(): number {
    return this.#us / 1000
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      const sleeper = {
        atUs: this.#us + Math.max(1, Math.round(ms * 1000)),
        wake: () => {
          signal?.removeEventListener('abort', stop)
          resolve()
        },
      }
      const stop = () => {
        this.#sleepers = this.#sleepers.filter((each) => each !== sleeper)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', stop, { once: true })
      let at = this.#sleepers.length
      while (at > 0 && this.#sleepers[at - 1].atUs > sleeper.atUs) at--
      this.#sleepers.splice(at, 0, sleeper)
    })
  }

  /** Everybody who wakes until then has done what can be done at that time. */
  async advanceTo(us: number): Promise<void> {
    await settled()
    while (this.#sleepers.length > 0 && this.#sleepers[0].atUs <= us) {
      const next = this.#sleepers.shift() as Sleeper
      this.#us = Math.max(this.#us, next.atUs)
      next.wake()
      await settled()
    }
    this.#us = Math.max(this.#us, us)
  }
}

/** All promises that can be kept without time have been. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
