/**
 * A disk of its own that can be filled: a tmpfs that only programs started in its mount namespace see, gone with the process
 * that made it. Needs root.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const whyNoSmallDisk: string | false = process.getuid?.() === 0 ? false : 'needs root for a disk of its own'

export class SmallDisk {
  readonly #holder: ChildProcess
  readonly #inside: string

  private constructor(holder: ChildProcess, folder: string) {
    this.#holder = holder
    this.#inside = `/proc/${holder.pid}/root${folder}`
  }

  /** At `folder`, which exists, of `sizeMib`. */
  static async mount(folder: string, sizeMib: number): Promise<SmallDisk> {
    const mount = `mount -t tmpfs -o size=${sizeMib}m none ${folder} && echo mounted && exec sleep infinity`
    const words = ['--pdeathsig', 'KILL', 'unshare', '-m', 'sh', '-c', mount]
    const holder = spawn('setpriv', words, { stdio: ['ignore', 'pipe', 'inherit'] })
    const [said] = await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')])
    assert.equal(String(said), 'mounted\n')
    return new SmallDisk(holder, folder)
  }

  /** What stands before the words of a command that is to see it. */
  get enter(): string[] {
    return ['nsenter', '-m', '-t', String(this.#holder.pid)]
  }

  get #ballast(): string {
    return join(this.#inside, 'ballast')
  }

  /** Leaves no room; `empty` gives it back. */
  fill(): void {
    const { blocks, bsize } = statfsSync(this.#inside)
    // More than there is: it ends where the disk does.
    assert.throws(() => writeFileSync(this.#ballast, Buffer.alloc(blocks * bsize, 1)), { code: 'ENOSPC' })
  }

  empty(): void {
    truncateSync(this.#ballast, 0)
  }

  /** Behind all that was started in it. */
  close(): void {
    this.#holder.kill('SIGKILL')
  }
}
