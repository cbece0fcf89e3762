/** Cgroups as a container runtime makes them, removed in the end. */
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where a hierarchy is mounted; null where this host has none. */
export function mountOf(type: 'cgroup2' | 'cgroup', option = ''): string | null {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n')
  const found = mounts.map((line) => line.split(' ')).find((words) => words[2] === type && words[3].includes(option))
  return found?.[1] ?? null
}

export class Cgroups {
  readonly #made: string[] = []

  /** Makes a cgroup and its parents. */
  make(root: string, path: string): string {
    const folder = join(root, path)
    const missing: string[] = []
    for (let at = folder; at !== root; at = dirname(at)) missing.unshift(at)
    for (const each of missing) {
      try {
        mkdirSync(each)
        this.#made.push(each)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
    }
    return folder
  }

  async remove(): Promise<void> {
    for (const folder of this.#made.reverse()) await removeCgroup(folder)
    this.#made.length = 0
  }

  /** For a process that is about to end: waits a little for what was killed in them. */
  removeNow(): void {
    const until = Date.now() + 2_000
    for (const folder of this.#made.reverse()) {
      while (!isRemoved(folder) && Date.now() < until) Atomics.wait(PAUSE, 0, 0, 20)
    }
  }
}

const PAUSE = new Int32Array(new SharedArrayBuffer(4))

function isRemoved(folder: string): boolean {
  try {
    rmdirSync(folder)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

/** Refused as busy until the last process in it is gone. */
export async function removeCgroup(folder: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return rmdirSync(folder)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      if (tries === 200) throw error
      await sleep(50)
    }
  }
}

/** The shell words that move a shell into cgroups before it becomes a program. */
export function enterCgroups(folders: readonly string[]): string {
  return folders.map((folder) => `echo $$ > '${folder}/cgroup.procs' && `).join('')
}
