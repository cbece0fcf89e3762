/** The Scheduler of a single process. */
import type { OnTaskFailure, Scheduler } from '../../core/ports/scheduler.js'

export class TimerScheduler implements Scheduler {
  readonly #onFailure: OnTaskFailure
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #running = new Map<string, Promise<void>>()

  constructor(onFailure: OnTaskFailure) {
    this.#onFailure = onFailure
  }

  async every(name: string, everyMs: number, task: () => Promise<void>): Promise<void> {
    this.#timers.add(setInterval(() => this.#start(name, task), everyMs))
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
