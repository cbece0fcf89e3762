/** The configuration of the replay worker. */
import { secret, text, wholeNumber } from '../core/config/key.js'
import { CLICKHOUSE_KEYS, KAFKA_KEYS, LOG_KEYS, operationsKeys, REDIS_KEYS } from '../core/config/shared.js'
import { NAMES_WAIT_KEY } from '../decode/config.js'

const REPLAY_KEYS = {
  concurrency: wholeNumber('KLARTEXT_REPLAY_CONCURRENCY', {
    min: 1,
    max: 64,
    fallback: 1,
    help: 'parts (partitions) at a time; more share the same core',
  }),
  lockMs: wholeNumber('KLARTEXT_REPLAY_LOCK_MS', {
    min: 1_000,
    max: 600_000,
    unit: 'ms',
    fallback: 10_000,
    help: 'a worker that is silent for so long is believed dead: another goes on with what it did',
  }),
  lookMs: wholeNumber('KLARTEXT_REPLAY_LOOK_MS', {
    min: 100,
    max: 3_600_000,
    unit: 'ms',
    fallback: 10_000,
    help: 'between two looks for replays that wait in the store and not in Redis, as after Redis was lost',
  }),
  namesWaitMs: NAMES_WAIT_KEY,
  policyFile: text('KLARTEXT_POLICY_FILE', {
    fallback: '',
    help: 'JSON: what of a flow may be kept, as for klartext decode; without one metadata only',
  }),
  principalKey: secret('KLARTEXT_PRINCIPAL_KEY', {
    fallback: '',
    help: 'of the hash that stands for a user: that of klartext decode, or rows differ from the live ones',
  }),
}

export const REPLAY_CONFIG = {
  kafka: KAFKA_KEYS,
  clickhouse: CLICKHOUSE_KEYS,
  redis: REDIS_KEYS,
  replay: REPLAY_KEYS,
  operations: operationsKeys(9706),
  log: LOG_KEYS,
}
