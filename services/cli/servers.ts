/** Do the servers that the environment names answer: Kafka, ClickHouse, Redis. */
import { ClickHouseStore } from '../adapters/clickhouse/store.js'
import { KafkaBus } from '../adapters/kafka/bus.js'
import { kafkaOptions } from '../adapters/kafka/config.js'
import { mustAnswer } from '../adapters/redis/reachable.js'
import { configSources } from '../adapters/system/config_file.js'
import { within } from '../adapters/system/within.js'
import { readConfig } from '../core/config/config.js'
import { KAFKA_KEYS } from '../core/config/shared.js'
import { KlartextError } from '../core/errors.js'
import { serverUrl } from './server_url.js'

const ANSWER_MS = 3000

export interface ServerState {
  readonly name: string
  readonly answers: boolean
  /** Where it was found, or one line saying why it was not; without credentials. */
  readonly detail: string
}

/** Those that are not named are left out. Each has 3 s. Throws UsageError for what is no address. */
export async function configuredServers(): Promise<ServerState[]> {
  const looks: Promise<ServerState>[] = []
  const { KAFKA_BROKERS } = process.env
  if (KAFKA_BROKERS) {
    const { config } = readConfig({ kafka: KAFKA_KEYS }, await configSources(null, process.env))
    const options = { ...kafkaOptions(config.kafka), connectMs: ANSWER_MS, requestMs: ANSWER_MS }
    const where = config.kafka.brokers.join(',')
    looks.push(look('Kafka', where, async () => (await KafkaBus.connect(options)).close()))
  }
  const [clickhouse, redis] = [serverUrl('CLICKHOUSE_URL'), serverUrl('REDIS_URL')]
  if (clickhouse !== null) looks.push(look('ClickHouse', new URL(clickhouse).host, () => mustQuery(clickhouse)))
  if (redis !== null) looks.push(look('Redis', new URL(redis).host, () => mustAnswer(redis, ANSWER_MS)))
  return Promise.all(looks)
}

async function look(name: string, where: string, ask: () => Promise<void>): Promise<ServerState> {
  const late = () => new KlartextError('NO_ANSWER', `${where}: no answer within ${ANSWER_MS} ms`)
  try {
    await within(ANSWER_MS, ask(), late)
    return { name, answers: true, detail: where }
  } catch (error) {
    return { name, answers: false, detail: (error as Error).message.split('\n')[0] }
  }
}

async function mustQuery(url: string): Promise<void> {
  const store = new ClickHouseStore({ url })
  const limit = setTimeout(() => void store.close(), ANSWER_MS)
  try {
    // Asks for credentials, as /ping does not.
    await store.query('SELECT 1', 'TabSeparated')
  } finally {
    clearTimeout(limit)
    await store.close()
  }
}
