/**
 * Which process holds something on disk: its number and when it started. Numbers are used again: in a container the process
 * that is started next mostly has the one of the process before.
 */
import { readFileSync } from 'node:fs'

/** To be written down by this process. */
export function processMark(): string {
  return `${process.pid} ${startOf(process.pid)}`
}

/** The number of the process that wrote this mark, if it lives; null where it does not, or the text is no mark. */
export function markedProcess(mark: string): number | null {
  const [pid, start] = mark.trim().split(' ')
  const number = Number(pid)
  return isAlive(number) && (start === undefined || start === startOf(number)) ? number : null
}

export function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** In ticks since the system started; '' where it does not say. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return ''
  }
}
