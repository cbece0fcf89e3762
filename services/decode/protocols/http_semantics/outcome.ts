import type { Outcome } from '../../../core/exchange.js'

/** Classes of status codes, RFC 9110 section 15. */
export function outcomeOf(status: number): Outcome {
  if (status < 100) return 'unknown'
  if (status < 400) return 'ok'
  return status < 500 ? 'client_error' : 'server_error'
}
