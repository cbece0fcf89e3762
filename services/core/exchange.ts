/** A request with its response, or one of them alone: what a decoder hands to the host. */

export type Outcome = 'ok' | 'client_error' | 'server_error' | 'timeout' | 'no_response' | 'reset' | 'unknown'

/**
 * Names and values in turn, in wire order, names in lower case: `['host', 'a', 'accept', '*']`. A flat array costs one
 * object where a map costs one per entry; it becomes a map only where it is stored.
 */
export type HeaderList = readonly string[]

export class Exchange {
  protocol = ''
  /** Version within the protocol, `1.1`, `2`; `''` unknown. */
  l7Version = ''
  method = ''
  host = ''
  /** Low-cardinality form of `resource`; `''` lets the host derive a path template. */
  endpoint = ''
  resource = ''
  statusCode = 0
  outcome: Outcome = 'unknown'
  error = ''
  userAgent = ''
  contentType = ''
  /** Body or message payload bytes as the protocol counts them (transfer coding removed, content coding kept). */
  reqBytes = 0
  respBytes = 0
  /** Capture times in µs since 1970; 0 = that part was not seen. */
  reqStartUs = 0
  reqEndUs = 0
  respStartUs = 0
  respEndUs = 0
  /** Lower-case hex, 32 and 16 digits, or `''`. */
  traceId = ''
  spanId = ''
  requestId = ''
  /** What the exchange itself told of TLS; `''` = what the connection knows. */
  tlsVersion = ''
  sni = ''
  /** A credential or user name in clear; the host hashes it before it reaches a row. */
  principal = ''
  /** Both request and response were seen from first to last byte. */
  complete = true
  /** Gaps inside this exchange. */
  gaps = 0
  /** A field was cut at one of our limits. */
  truncated = false
  /** Closed set per protocol: `http1.conflicting_length` ... */
  anomalies: string[] = NO_STRINGS
  /** OpenTelemetry semantic-convention names; `null` = none. */
  attrs: Record<string, string> | null = null
  reqHeaders: HeaderList = NO_STRINGS
  respHeaders: HeaderList = NO_STRINGS
}

export const NO_STRINGS: string[] = []
Object.freeze(NO_STRINGS)
