/** The configuration of the sink. */
import { text, wholeNumber } from '../core/config/key.js'
import { CLICKHOUSE_KEYS, KAFKA_KEYS, LOG_KEYS, operationsKeys } from '../core/config/shared.js'

const SINK_KEYS = {
  group: text('KLARTEXT_SINK_GROUP', { fallback: 'klartext-sink', help: 'consumer group' }),
  rows: wholeNumber('KLARTEXT_SINK_ROWS', {
    min: 1,
    max: 1_000_000,
    unit: 'rows',
    fallback: 50_000,
    help: 'of one insert at most',
  }),
  bytes: wholeNumber('KLARTEXT_SINK_BYTES', {
    min: 1_024,
    max: 256 << 20,
    unit: 'bytes',
    fallback: 64 << 20,
    help: 'of one insert at most',
  }),
  ageMs: wholeNumber('KLARTEXT_SINK_AGE_MS', {
    min: 10,
    max: 600_000,
    unit: 'ms',
    fallback: 1_000,
    help: 'a row waits at most so long for its insert to fill',
  }),
}

export const SINK_CONFIG = {
  kafka: KAFKA_KEYS,
  clickhouse: CLICKHOUSE_KEYS,
  sink: SINK_KEYS,
  operations: operationsKeys(9703),
  log: LOG_KEYS,
}
