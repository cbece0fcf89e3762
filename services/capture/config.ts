/** The configuration of the capturer. */
import { hostname } from 'node:os'
import { flag, type SectionOf, text, wholeNumber } from '../core/config/key.js'
import { KAFKA_KEYS, LOG_KEYS, operationsKeys } from '../core/config/shared.js'
import { UsageError } from '../core/errors.js'

const CAPTURE_KEYS = {
  cluster: text('KLARTEXT_CLUSTER', { fallback: '', help: 'what flows call the cluster' }),
  node: text('KLARTEXT_NODE', { fallback: hostname(), help: 'what flows call this host' }),
  tls: flag('KLARTEXT_CAPTURE_TLS', { fallback: true, help: 'plaintext of TLS libraries' }),
  plain: flag('KLARTEXT_CAPTURE_PLAIN', { fallback: true, help: 'sockets without TLS' }),
  ringBytes: wholeNumber('KLARTEXT_CAPTURE_RING_BYTES', {
    min: 1 << 16,
    max: 1 << 30,
    unit: 'bytes',
    fallback: 16 << 20,
    help: 'between kernel and capturer; a power of two',
  }),
  callBytesMax: wholeNumber('KLARTEXT_CAPTURE_CALL_BYTES', {
    min: 1_024,
    max: 1 << 20,
    unit: 'bytes',
    fallback: 1 << 20,
    help: 'copied of one call; the rest passes as position only',
  }),
  queueBytes: wholeNumber('KLARTEXT_CAPTURE_QUEUE_BYTES', {
    min: 1 << 20,
    max: 1 << 30,
    unit: 'bytes',
    fallback: 32 << 20,
    help: 'that wait for Kafka; beyond half of it whole connections are left out',
  }),
  coverageMs: wholeNumber('KLARTEXT_CAPTURE_COVERAGE_MS', {
    min: 100,
    max: 3_600_000,
    unit: 'ms',
    fallback: 5_000,
    help: 'between two reports of what was seen and not seen',
  }),
  drainMs: wholeNumber('KLARTEXT_CAPTURE_DRAIN_MS', {
    min: 0,
    max: 600_000,
    unit: 'ms',
    fallback: 20_000,
    help: 'at the end, to send what waits for Kafka',
  }),
}
export type CaptureConfig = SectionOf<typeof CAPTURE_KEYS>

export const CAPTURE_CONFIG = {
  kafka: KAFKA_KEYS,
  capture: CAPTURE_KEYS,
  operations: operationsKeys(9701),
  log: LOG_KEYS,
}

export function checkCapture({ ringBytes, tls, plain }: CaptureConfig): void {
  if ((ringBytes & (ringBytes - 1)) !== 0) {
    throw new UsageError(`KLARTEXT_CAPTURE_RING_BYTES takes a power of two, not ${ringBytes}`)
  }
  if (!tls && !plain) throw new UsageError('KLARTEXT_CAPTURE_TLS and KLARTEXT_CAPTURE_PLAIN are both off')
}
