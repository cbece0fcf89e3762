/** Status codes of gRPC (doc/statuscodes.md of the gRPC project). */
import type { Outcome } from '../../../core/exchange.js'

const OK = 0
const DEADLINE_EXCEEDED = 4
/** CANCELLED, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE, UNAUTHENTICATED. */
const CLIENT_ERRORS = new Set([1, 3, 5, 6, 7, 9, 11, 16])
const NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]

export const NO_STATUS = -1

/** A grpc-status field; NO_STATUS for what is none. */
export function readStatus(text: string): number {
  return /^\d{1,3}$/.test(text) ? Number(text) : NO_STATUS
}

export function statusName(status: number): string {
  return NAMES[status] ?? `STATUS_${status}`
}

export function outcomeOfStatus(status: number): Outcome {
  if (status === OK) return 'ok'
  if (status === DEADLINE_EXCEEDED) return 'timeout'
  return CLIENT_ERRORS.has(status) ? 'client_error' : 'server_error'
}

/**
 * A grpc-message field: percent-encoded UTF-8. What is not valid stays as it is, the rest is decoded, as the protocol wants
 * it: tonic leaves a percent sign as one.
 */
export function readMessage(text: string): string {
  return text.includes('%') ? text.replace(/(?:%[0-9A-Fa-f]{2})+/g, decoded) : text
}

function decoded(run: string): string {
  try {
    return decodeURIComponent(run)
  } catch {
    return run
  }
}

const UNITS_US: Readonly<Record<string, number>> = {
  H: 3_600_000_000,
  M: 60_000_000,
  S: 1_000_000,
  m: 1000,
  u: 1,
  n: 0.001,
}

/** A grpc-timeout field, in µs; 0 for what is none. */
export function readTimeoutUs(text: string): number {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text)
  return match === null ? 0 : Number(match[1]) * UNITS_US[match[2]]
}
