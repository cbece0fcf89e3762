/** Runs one replay in this process: for archives, and where there are no replay workers. */
import { LocalJobs } from '../../adapters/memory/local_jobs.js'
import { SYSTEM_CLOCK } from '../../adapters/system/clock.js'
import type { SegmentLog } from '../../core/ports/segment_log.js'
import { defaultPolicy, FlowPolicy } from '../../decode/policy.js'
import { PROTOCOLS } from '../../decode/protocols/registry.js'
import { ReplayWorker } from '../../replay/worker.js'
import type { StoreAccess } from './access.js'
import { watchReplay } from './watch.js'

const LOOK_MS = 500
const CANCEL_MS = 500
/** As shells say it: 128 + SIGINT. */
const INTERRUPTED = 130

/** Until it is over or a signal comes; then it stays open, and the same command goes on with it. */
export async function runHere({ store }: StoreAccess, log: SegmentLog, id: string): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  let lastSaid = ''
  const onError = (error: unknown) => {
    const line = (error as Error).message
    if (line !== lastSaid) say(line)
    lastSaid = line
  }
  const worker = new ReplayWorker({
    store,
    queue: new LocalJobs((_name, error) => onError(error)),
    clock: SYSTEM_CLOCK,
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('metadata')),
    takes: (replay) => replay.id === id,
    log: () => log,
    lookMs: LOOK_MS,
    cancelMs: CANCEL_MS,
    onError,
  })
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  await worker.start()
  try {
    const code = await watchReplay(worker.registry, id, stop.signal)
    if (!stop.signal.aborted) return code
    say('stopped; the same command goes on from here')
    return INTERRUPTED
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
    await worker.stop()
  }
}
