import type { Clock } from '../../services/core/ports/clock.js'

/** Time that moves only when told, or by whoever sleeps. */
export class DrivenClock implements Clock {
  #us: number

  constructor(startUs = 1_700_000_000_000_000) {
    this.#us = startUs
  }

  nowUs(): number {
    return this.#us
  }

  get nowMs(): number {
    return this.#us / 1000
  }

  advance(ms: number): void {
    this.#us += ms * 1000
  }

  async sleep(ms: number): Promise<void> {
    this.advance(ms)
  }
}
