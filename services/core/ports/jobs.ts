/**
 * Hands jobs to whoever is free, within one process or among several. It holds their names only: what a job is about, and
 * how far it has come, is in the store. A queue that was lost is filled again from there.
 */
export interface JobQueue {
  /** One that is waiting or running already is not added again. */
  add(name: string): Promise<void>
  /** Takes a waiting one out. */
  remove(name: string): Promise<void>
  /**
   * From now on jobs are run here, at most `concurrency` at a time. One whose process dies is run by another; so a job must
   * be safe to repeat, also while a process that was believed dead still runs it.
   */
  work(concurrency: number, run: RunJob): Promise<void>
  /** Aborts what runs here, waits for it, and gives it back to the queue. */
  close(): Promise<void>
}

/** `signal`: this process is asked to stop. What it throws ends the job. */
export type RunJob = (name: string, signal: AbortSignal) => Promise<void>

export type OnJobFailure = (name: string, error: unknown) => void
