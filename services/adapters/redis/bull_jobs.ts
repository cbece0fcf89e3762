/**
 * The JobQueue of several processes, over BullMQ on Redis. A job is its name; what has ended is forgotten at once, since all
 * that is worth knowing of it is in the store.
 */
import { Queue, Worker } from 'bullmq'
import type { JobQueue, OnJobFailure, RunJob } from '../../core/ports/jobs.js'
import { BullConnection } from './bull_connection.js'
import { inTime } from './in_time.js'
import { mustAnswer, unreachable } from './reachable.js'

export interface BullJobsOptions {
  /** `redis://user:password@host:6379/0` or `rediss://`. */
  readonly url: string
  /** Queue name: processes with the same one share the work. */
  readonly queue: string
  readonly onFailure: OnJobFailure
  /** A process that has not been heard of for so long is believed dead, and its jobs are given to others (10 s). */
  readonly lockMs?: number
}

const LOCK_MS = 10_000
/** A job that outlives so many dead processes kills them; the store's truth lets it be found again nevertheless. */
const DEATHS_MAX = 1000
/** Calls that wait for a Redis that is away, before they fail. */
const RETRIES = 2

export class BullJobs implements JobQueue {
  readonly #options: BullJobsOptions
  readonly #connection: BullConnection
  readonly #queue: Queue
  #worker: Worker | null = null
  readonly #stop = new AbortController()
  /** Running here when the process was asked to stop. */
  readonly #returned = new Set<string>()

  private constructor(options: BullJobsOptions) {
    this.#options = options
    this.#connection = new BullConnection(options.url)
    const connection = this.#connection.options(RETRIES)
    const defaultJobOptions = { removeOnComplete: true, removeOnFail: true }
    this.#queue = new Queue(options.queue, { connection, defaultJobOptions })
    this.#queue.on('error', (error: Error) => this.#lost(error))
  }

  /** Throws KlartextError `REDIS_UNREACHABLE`. */
  static async open(options: BullJobsOptions): Promise<BullJobs> {
    await mustAnswer(options.url)
    const jobs = new BullJobs(options)
    await jobs.#queue.waitUntilReady()
    return jobs
  }

  /** Without a listener a lost connection would end the process; it comes back by itself. */
  #lost(error: Error): void {
    this.#options.onFailure('redis', error)
  }

  add(name: string): Promise<void> {
    return this.#call(() => this.#queue.add(name, {}, { jobId: name }))
  }

  remove(name: string): Promise<void> {
    return this.#call(() => this.#queue.remove(name))
  }

  async #call(call: () => Promise<unknown>): Promise<void> {
    try {
      await call()
    } catch (error) {
      throw unreachable(this.#options.url, (error as Error).message, error)
    }
  }

  async work(concurrency: number, run: RunJob): Promise<void> {
    const { queue, lockMs = LOCK_MS } = this.#options
    const worker = new Worker(queue, ({ name }) => this.#run(name, run), {
      connection: this.#connection.options(null),
      concurrency,
      lockDuration: lockMs,
      stalledInterval: lockMs / 2,
      maxStalledCount: DEATHS_MAX,
      autorun: false,
    })
    worker.on('error', (error: Error) => this.#lost(error))
    this.#worker = worker
    await worker.waitUntilReady()
    worker.run().catch((error: Error) => this.#lost(error))
  }

  async #run(name: string, run: RunJob): Promise<void> {
    const { signal } = this.#stop
    try {
      await run(name, signal)
    } catch (error) {
      if (signal.aborted) this.#returned.add(name)
      else this.#options.onFailure(name, error)
      throw error
    }
  }

  async close(): Promise<void> {
    this.#stop.abort()
    const force = await this.#connection.end()
    await inTime(async () => {
      await this.#worker?.close(force)
      for (const name of this.#returned) await this.add(name)
    })
    await inTime(() => this.#queue.close())
  }
}
