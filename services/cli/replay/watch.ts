/** Waits for a replay to be over and shows how far it is. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ReplayRegistry } from '../../replay/registry.js'
import { describe, exitCode, stateText, totals } from './report.js'

const LOOK_MS = 500

/** Answers the exit code. `signal`: stops waiting. */
export async function watchReplay(registry: ReplayRegistry, id: string, signal?: AbortSignal): Promise<number> {
  const isTerminal = process.stderr.isTTY === true
  let last = ''
  for (;;) {
    const replay = await registry.get(id)
    const rows = await registry.progress(replay)
    const isOver = replay.state !== 'open' || signal?.aborted === true
    if (isOver) {
      if (isTerminal) process.stderr.write('\r\u001b[K')
      process.stdout.write(describe(replay, rows))
      return exitCode(replay, rows)
    }
    const all = totals(replay, rows)
    const line = `${stateText(replay, all)}, ${all.segments} segments, ${all.flows} flows kept`
    if (isTerminal) process.stderr.write(`\r\u001b[K${line}`)
    else if (line !== last) process.stderr.write(`${line}\n`)
    last = line
    await sleep(LOOK_MS, undefined, signal === undefined ? {} : { signal }).catch(() => {})
  }
}
