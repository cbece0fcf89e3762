/** Services that go wrong, run as services are: `node odd_service.js stuck|broken|slow|asleep`. */
import { configSources } from '../../services/adapters/system/config_file.js'
import { runService } from '../../services/adapters/system/run_service.js'
import { readConfig } from '../../services/core/config/config.js'
import { LOG_KEYS, operationsKeys } from '../../services/core/config/shared.js'
import type { RunningService, ServiceContext, ServiceDefinition } from '../../services/core/service.js'

const CONFIG = { operations: operationsKeys(0), log: LOG_KEYS }
const never = () => new Promise<void>(() => {})

const KINDS: Readonly<Record<string, (context: ServiceContext) => RunningService>> = {
  /** Comes round for a while, then waits for what never comes. */
  stuck: ({ health }) => {
    let rounds = 0
    const beat = setInterval(() => (rounds++ < 5 ? health.beat() : clearInterval(beat)), 100)
    return { run: never, stop: never, metrics: () => [] }
  },
  /** Our own mistake, with connections that would keep the process alive. */
  broken: () => ({
    run: async () => {
      setInterval(() => {}, 1 << 30)
      throw new TypeError('nothing is here')
    },
    stop: never,
    metrics: () => [],
  }),
  /** Goes on as ever after its host was asleep for an hour: it had no turn before somebody looks at it. */
  asleep: ({ health, stopping }) => {
    const beating = () => setInterval(() => health.beat(), 100)
    let beat = beating()
    setTimeout(() => {
      clearInterval(beat)
      const now = Date.now
      Date.now = () => now() + 3_600_000
    }, 500)
    setTimeout(() => {
      beat = beating()
    }, 1_200)
    return {
      run: () => new Promise((resolve) => stopping.addEventListener('abort', () => resolve())),
      stop: async () => clearInterval(beat),
      metrics: () => [],
    }
  },
  /** Has lost something, and says so when it ends. */
  slow: ({ health, stopping }) => {
    const beat = setInterval(() => health.beat(), 100)
    return {
      run: () => new Promise((resolve) => stopping.addEventListener('abort', () => setTimeout(resolve, 50))),
      stop: async () => clearInterval(beat),
      metrics: () => [],
      losses: () => ['queue_full: 3 segments, 7 bytes'],
    }
  },
}

const service: ServiceDefinition<typeof CONFIG> = {
  name: 'odd',
  summary: '',
  config: CONFIG,
  open: async (_config, context) => KINDS[process.argv[2]](context),
}
process.exitCode = await runService(service, readConfig(CONFIG, await configSources(null, process.env)))
