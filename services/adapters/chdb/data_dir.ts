/** The folder of the embedded store, and who holds it: one process at a time. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { KlartextError } from '../../core/errors.js'
import { markedProcess, processMark } from '../system/process_mark.js'

export function defaultDataDir(): string {
  const base = process.env.XDG_DATA_HOME || join(homedir(), '.local/share')
  return join(base, 'klartext')
}

/** The process that holds the store, or null. */
export function storeHolder(dataDir: string): number | null {
  try {
    return markedProcess(readFileSync(lockPath(dataDir), 'utf8'))
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
    writeFileSync(aside, processMark(), { mode: 0o600 })
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

function lockPath(dataDir: string): string {
  return join(dataDir, 'lock')
}
