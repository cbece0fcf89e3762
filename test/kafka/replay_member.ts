/** A replay worker as a process, to be killed: `node replay_member.js BROKERS CLICKHOUSE_URL REDIS_URL`. */
import { ClickHouseStore } from '../../services/adapters/clickhouse/store.js'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { BullJobs } from '../../services/adapters/redis/bull_jobs.js'
import { BusSegmentLog } from '../../services/replay/bus_log.js'
import { REPLAY_QUEUE } from '../../services/replay/worker.js'
import { replayWorker } from '../replay/harness.js'

const [brokers, url, redis] = process.argv.slice(2)
const bus = await KafkaBus.connect({ brokers: brokers.split(',') })
const queue = await BullJobs.open({ url: redis, queue: REPLAY_QUEUE, lockMs: 1_000, onFailure: () => {} })
const log = new BusSegmentLog(bus)
const worker = replayWorker(new ClickHouseStore({ url }), queue, () => log)
await worker.start()
process.send?.('started')
await worker.run()
