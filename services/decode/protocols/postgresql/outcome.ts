import type { Outcome } from '../../../core/exchange.js'

/**
 * Classes of SQLSTATE (manual, appendix "PostgreSQL Error Codes") that are the server's or its operator's doing: connection,
 * rollback for concurrency, resources, limits, operator, system, foreign data, internal. All others answer what was asked.
 */
const SERVER_CLASSES: ReadonlySet<string> = new Set(['08', '40', '53', '54', '57', '58', 'F0', 'HV', 'XX'])

/** 57014 and 55P03 stand for a limit in time or for a cancel; only the message tells, in English. */
export function outcomeOfError(sqlstate: string, message: string): Outcome {
  if (sqlstate === '') return 'server_error'
  if (sqlstate === '25P03' || sqlstate === '57P05') return 'timeout'
  if (sqlstate === '57014' || sqlstate === '55P03') return message.includes('timeout') ? 'timeout' : 'client_error'
  return SERVER_CLASSES.has(sqlstate.slice(0, 2)) ? 'server_error' : 'client_error'
}
