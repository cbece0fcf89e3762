/**
 * A process beside `klartext up` that runs replays of archives until none is left: decoding the past must not slow down what
 * is captured now. Its one argument is the folder of the store, which `up` holds.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { ArchiveSegmentLog } from '../../adapters/archive/segment_log.js'
import { ChdbStore } from '../../adapters/chdb/store.js'
import { LocalJobs } from '../../adapters/memory/local_jobs.js'
import { SYSTEM_CLOCK } from '../../adapters/system/clock.js'
import { defaultPolicy, FlowPolicy } from '../../decode/policy.js'
import { PROTOCOLS } from '../../decode/protocols/registry.js'
import type { Replay } from '../../replay/registry.js'
import { ReplayWorker } from '../../replay/worker.js'

const LOOK_MS = 500

const store = ChdbStore.join(process.argv[2])
if (store === null) process.exit(1)
const isOurs = ({ state, request }: Replay) => state === 'open' && request.archive !== ''
const onError = (error: unknown) => process.stderr.write(`replay: ${(error as Error).message}\n`)
const worker = new ReplayWorker({
  store,
  queue: new LocalJobs((_name, error) => onError(error)),
  clock: SYSTEM_CLOCK,
  protocols: PROTOCOLS,
  policy: new FlowPolicy(defaultPolicy('metadata')),
  takes: isOurs,
  log: ({ archive }) => new ArchiveSegmentLog(archive),
  lookMs: LOOK_MS,
  onError,
})
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'disconnect']) process.once(signal, () => stop.abort())
await worker.start()
while (!stop.signal.aborted) {
  await sleep(LOOK_MS, undefined, { signal: stop.signal }).catch(() => {})
  try {
    if (!(await worker.registry.list()).some(isOurs)) break
  } catch (error) {
    onError(error)
    break
  }
}
await worker.stop()
await store.close()
process.exit(0)
