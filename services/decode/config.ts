/** The configuration of the decode worker. */
import { type SectionOf, secret, text, wholeNumber } from '../core/config/key.js'
import { KAFKA_KEYS, LOG_KEYS, operationsKeys, optionalRedisKeys } from '../core/config/shared.js'
import { NAMES_WAIT_MS } from './names.js'
import { defaultPolicy, type PolicyConfig, parsePolicy } from './policy.js'

export const NAMES_WAIT_KEY = wholeNumber('KLARTEXT_NAMES_WAIT_MS', {
  min: 0,
  max: 60_000,
  unit: 'ms',
  fallback: NAMES_WAIT_MS,
  help: 'flows are named by what was known of pods so long after their capture; the same for all workers and replays',
})

const DECODE_KEYS = {
  group: text('KLARTEXT_DECODE_GROUP', {
    fallback: 'klartext-decode',
    help: 'consumer group; its transactions are named after it',
  }),
  tickMs: wholeNumber('KLARTEXT_DECODE_TICK_MS', {
    min: 10,
    max: 60_000,
    unit: 'ms',
    fallback: 200,
    help: 'between two transactions of a partition: flows wait for it',
  }),
  namesWaitMs: NAMES_WAIT_KEY,
  policyFile: text('KLARTEXT_POLICY_FILE', {
    fallback: '',
    help: 'JSON: what of a flow may be kept; without one metadata only',
  }),
  principalKey: secret('KLARTEXT_PRINCIPAL_KEY', {
    fallback: '',
    help: 'of the hash that stands for a user; the same for all workers, or their rows differ',
  }),
}
export type DecodeConfig = SectionOf<typeof DECODE_KEYS>

const REDIS = optionalRedisKeys(
  'a cache: workers that start take over what others know of pods; without one they read all of klartext.pods',
)

export const DECODE_CONFIG = {
  kafka: KAFKA_KEYS,
  redis: REDIS,
  decode: DECODE_KEYS,
  operations: operationsKeys(9702),
  log: LOG_KEYS,
}

/** The policy in effect. Throws `BAD_POLICY`, and what `readText` throws. */
export function decodePolicy(
  config: Pick<DecodeConfig, 'policyFile' | 'principalKey'>,
  readText: (path: string) => string,
): PolicyConfig {
  const { policyFile, principalKey } = config
  const policy = policyFile === '' ? defaultPolicy('metadata') : parsePolicy(readText(policyFile), policyFile)
  return principalKey === '' ? policy : { ...policy, principalKey }
}
