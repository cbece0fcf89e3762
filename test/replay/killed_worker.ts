/** A process that runs what is open in the store of a folder, one message at a time, and ends when nothing is: `node killed_worker.js FOLDER`. */
import { ArchiveSegmentLog } from '../../services/adapters/archive/segment_log.js'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { LocalJobs } from '../../services/adapters/memory/local_jobs.js'
import type { ReplayRequest } from '../../services/core/replay.js'
import { replayWorker } from './harness.js'

const store = ChdbStore.join(process.argv[2])
if (store === null) throw new Error('nobody holds the store')
const log = ({ archive }: ReplayRequest) => new ArchiveSegmentLog(archive)
const worker = replayWorker(store, new LocalJobs(() => {}), log)
await worker.start()
process.send?.('started')
while ((await worker.registry.list()).some(({ state }) => state === 'open')) {
  await new Promise((resolve) => setTimeout(resolve, 20))
}
await worker.stop()
process.exit(0)
