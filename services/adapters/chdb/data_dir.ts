/** The folder of the embedded store, and who holds it: one process at a time. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { KlartextError } from '../../core/errors.js'

export function defaultDataDir(): string {
  const base = process.env.XDG_DATA_HOME || join(homedir(), '.local/share')
  return join(base, 'klartext')
}

/** The process that holds the store, or null. */
export function storeHolder(dataDir: string): number | null {
  try {
    const [pid, start] = readFileSync(lockPath(dataDir), 'utf8').trim().split(' ')
    const alive = isAlive(Number(pid)) && (start === undefined || start === startOf(Number(pid)))
    return alive ? Number(pid) : null
  } catch {
    return null
  }
}

/** Throws KlartextError `STORE_IN_USE` or `STORE_UNWRITABLE`. */
export function lockDataDir(dataDir: string): void {
  // The lock appears with its content in it: written aside, then linked.
  const aside = join(dataDir, `lock.${process.pid}`)
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    writeFileSync(aside, `${process.pid} ${startOf(process.pid)}`, { mode: 0o600 })
  } catch (error) {
    throw new KlartextError('STORE_UNWRITABLE', `cannot write to the store in ${dataDir}: ${(error as Error).message}`)
  }
  try {
    for (;;) {
      try {
        linkSync(aside, lockPath(dataDir))
        return
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const holder = storeHolder(dataDir)
      if (holder !== null) {
        throw new KlartextError('STORE_IN_USE', `the store in ${dataDir} is in use by process ${holder}`)
      }
      // Whoever held it is gone (kill -9, power cut). Of two that find this only one moves the old lock away.
      try {
        renameSync(lockPath(dataDir), `${aside}.old`)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
  } finally {
    rmSync(aside, { force: true })
    rmSync(`${aside}.old`, { force: true })
  }
}

export function unlockDataDir(dataDir: string): void {
  if (storeHolder(dataDir) === process.pid) rmSync(lockPath(dataDir), { force: true })
}

export function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function lockPath(dataDir: string): string {
  return join(dataDir, 'lock')
}

/** Start time of a process, so that a reused number is not taken for the holder; '' where the system does not say. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return ''
  }
}
