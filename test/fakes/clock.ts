import type { Clock } from '../../services/core/ports/clock.js'

/** Time that moves only when told, or by whoever sleeps. */
export class DrivenClock implements Clock {
  #us: number
  /** By how much the wall clock was set. */
  #setUs = 0

  constructor(startUs = 1_700_000_000_000_000) {
    this.#us = startUs
  }

  nowUs(): number {
    return this.#us + this.#setUs
  }

  elapsedMs(): number {
    return this.#us / 1000
  }

  get nowMs(): number {
    return this.nowUs() / 1000
  }

  /** Somebody sets the wall clock, while no time passes. */
  set(byMs: number): void {
    this.#setUs += byMs * 1000
  }

  advance(ms: number): void {
    this.#us += ms * 1000
  }

  async sleep(ms: number): Promise<void> {
    this.advance(ms)
  }
}
