/** The Scheduler of a single process. */
import type { OnTaskFailure, Scheduler } from '../../core/ports/scheduler.js'

/** What is longer a timer would take for no time at all; a task that comes earlier than it has to does no harm. */
const TIMER_MS_MAX = 0x7fff_ffff

export class TimerScheduler implements Scheduler {
  readonly #onFailure: OnTaskFailure
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #running = new Map<string, Promise<void>>()

  constructor(onFailure: OnTaskFailure) {
    this.#onFailure = onFailure
  }

  async every(name: string, everyMs: number, task: () => Promise<void>): Promise<void> {
    this.#timers.add(setInterval(() => this.#start(name, task), Math.min(everyMs, TIMER_MS_MAX)))
    this.#start(name, task)
  }

  #start(name: string, task: () => Promise<void>): void {
    if (this.#running.has(name)) return
    const run = task()
      .catch((error: unknown) => this.#onFailure(name, error))
      .finally(() => this.#running.delete(name))
    this.#running.set(name, run)
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    this.#timers.clear()
    await Promise.all(this.#running.values())
  }
}
