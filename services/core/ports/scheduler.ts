/** Runs tasks again and again: by timers of one process, or by jobs that any of several processes takes up. */
export interface Scheduler {
  /**
   * From now on `task` runs about every `everyMs`. Within one process a task never overlaps itself; across processes it may,
   * and a task that fails is tried again at its next time: it must be safe to repeat.
   */
  every(name: string, everyMs: number, task: () => Promise<void>): Promise<void>
  /** Waits for tasks under way; nothing runs afterwards. */
  close(): Promise<void>
}

export type OnTaskFailure = (name: string, error: unknown) => void
