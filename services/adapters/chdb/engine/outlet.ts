/**
 * Named pipes through which the engine hands results over. chDB answers a call with the whole result in memory, or with
 * chunks that each are a document of their own (several JSON documents, several Parquet files). `INTO OUTFILE` into a pipe
 * gives the bytes a server would send, as they come, and a slow reader slows the query instead of filling memory.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

export interface Outlet {
  readonly path: string
  readonly stream: Readable
  /** The writer is done, for good: what is in the pipe is still read, then the stream ends. */
  finish(): void
  /** Nothing is wanted any more: a writer fails with a broken pipe. */
  abandon(): void
}

export class Outlets {
  readonly #free: string[]

  constructor(folder: string, count: number) {
    this.#free = Array.from({ length: count }, (_, i) => join(folder, `out-${i}`))
    execFileSync('mkfifo', ['-m', '600', ...this.#free])
  }

  /** Null when all are taken. */
  take(): Outlet | null {
    const path = this.#free.pop()
    if (path === undefined) return null
    const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    // A writer of our own: without one the stream would end before the engine has opened the pipe.
    const writeEnd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
    const stream = new Socket({ fd: readEnd, readable: true, writable: false })
    let isOpen = true
    const closeWriteEnd = () => {
      if (isOpen) closeSync(writeEnd)
      isOpen = false
    }
    // The path may be used again when nobody reads and nobody writes: an engine that was told to stop still writes for a
    // while, and would write into the result of whoever has the pipe next.
    let users = 2
    const leave = () => {
      users -= 1
      if (users === 0) this.#free.push(path)
    }
    stream.once('close', () => {
      closeWriteEnd()
      leave()
    })
    let isFinished = false
    const finish = () => {
      closeWriteEnd()
      if (!isFinished) leave()
      isFinished = true
    }
    return { path, stream, finish, abandon: () => stream.destroy() }
  }
}
