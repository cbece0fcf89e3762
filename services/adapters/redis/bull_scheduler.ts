/**
 * The Scheduler of several processes, over BullMQ on Redis. Each name has one job scheduler, whoever sets it up; its jobs are
 * taken by any process that knows the task. Redis holds nothing but the times: what a task has done is in the store.
 */
import { Queue, Worker } from 'bullmq'
import type { OnTaskFailure, Scheduler } from '../../core/ports/scheduler.js'
import { BullConnection } from './bull_connection.js'
import { inTime } from './in_time.js'
import { mustAnswer } from './reachable.js'

export interface BullSchedulerOptions {
  /** `redis://user:password@host:6379/0` or `rediss://`. */
  readonly url: string
  /** Queue name: processes with the same one share the work. */
  readonly queue: string
  readonly onFailure: OnTaskFailure
}

/** Tasks of one process that run at the same time; each is a query or two. */
const CONCURRENCY = 2
/** Done jobs are of no use to anybody. */
const KEPT_JOBS = { removeOnComplete: 100, removeOnFail: 100 }
/** A process that was killed in the middle of a task: after so long at most another takes it up (BullMQ: 30 s each). */
const LOCK_MS = 10_000
const STALLED_MS = 5_000

export class BullScheduler implements Scheduler {
  readonly #connection: BullConnection
  readonly #queue: Queue
  readonly #worker: Worker
  readonly #tasks = new Map<string, () => Promise<void>>()
  readonly #running = new Set<string>()
  readonly #onFailure: OnTaskFailure

  private constructor(options: BullSchedulerOptions) {
    this.#connection = new BullConnection(options.url)
    const connection = this.#connection.options(null)
    this.#onFailure = options.onFailure
    this.#queue = new Queue(options.queue, { connection, defaultJobOptions: KEPT_JOBS })
    this.#worker = new Worker(options.queue, (job) => this.#run(job.name), {
      connection,
      concurrency: CONCURRENCY,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_MS,
      autorun: false,
    })
    // Without listeners a lost connection would end the process; both come back by themselves.
    const lost = (error: Error) => this.#onFailure('redis', error)
    this.#queue.on('error', lost)
    this.#worker.on('error', lost)
  }

  /** Throws KlartextError `REDIS_UNREACHABLE`. */
  static async open(options: BullSchedulerOptions): Promise<BullScheduler> {
    await mustAnswer(options.url)
    const scheduler = new BullScheduler(options)
    await Promise.all([scheduler.#queue.waitUntilReady(), scheduler.#worker.waitUntilReady()])
    scheduler.#worker.run().catch((error: unknown) => scheduler.#onFailure('redis', error))
    return scheduler
  }

  async every(name: string, everyMs: number, task: () => Promise<void>): Promise<void> {
    this.#tasks.set(name, task)
    await this.#queue.upsertJobScheduler(name, { every: everyMs }, { name })
  }

  async #run(name: string): Promise<void> {
    const task = this.#tasks.get(name)
    // A job of an older version's task, or one that is still being done here: its next time comes.
    if (task === undefined || this.#running.has(name)) return
    this.#running.add(name)
    try {
      await task()
    } catch (error) {
      this.#onFailure(name, error)
    } finally {
      this.#running.delete(name)
    }
  }

  async close(): Promise<void> {
    const force = await this.#connection.end()
    await inTime(() => this.#worker.close(force))
    await inTime(() => this.#queue.close())
  }
}
