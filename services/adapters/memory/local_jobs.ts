/** The JobQueue of a single process. */
import type { JobQueue, OnJobFailure, RunJob } from '../../core/ports/jobs.js'

export class LocalJobs implements JobQueue {
  readonly #onFailure: OnJobFailure
  readonly #waiting = new Set<string>()
  readonly #running = new Map<string, Promise<void>>()
  readonly #stop = new AbortController()
  #concurrency = 0
  #run: RunJob | null = null

  constructor(onFailure: OnJobFailure) {
    this.#onFailure = onFailure
  }

  async add(name: string): Promise<void> {
    if (this.#running.has(name)) return
    this.#waiting.add(name)
    this.#next()
  }

  async remove(name: string): Promise<void> {
    this.#waiting.delete(name)
  }

  async work(concurrency: number, run: RunJob): Promise<void> {
    this.#concurrency = concurrency
    this.#run = run
    this.#next()
  }

  #next(): void {
    const run = this.#run
    if (run === null) return
    for (const name of this.#waiting) {
      if (this.#running.size >= this.#concurrency || this.#stop.signal.aborted) return
      this.#waiting.delete(name)
      const running = run(name, this.#stop.signal)
        .catch((error: unknown) => {
          if (!this.#stop.signal.aborted) this.#onFailure(name, error)
        })
        .finally(() => {
          this.#running.delete(name)
          this.#next()
        })
      this.#running.set(name, running)
    }
  }

  /** True while something waits or runs. */
  get busy(): boolean {
    return this.#waiting.size + this.#running.size > 0
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running.values())
  }
}
