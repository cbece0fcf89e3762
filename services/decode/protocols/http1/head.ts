/** Header fields of a message head: what framing needs, what a flow shows, and the fields themselves (RFC 9112 section 5). */
import { readCorrelation } from './correlation.js'

/** A head without a length field for its body. */
export const NO_LENGTH = -1
/** Fields kept of one head; servers refuse more (Apache: 100, nginx: by bytes). */
const FIELDS_MAX = 256
const VALUE_BYTES_MAX = 8192
/** Above this a length is nonsense or an attack (2^53 - 1 is the last exact number). */
const LENGTH_MAX = Number.MAX_SAFE_INTEGER

export type Http1Anomaly =
  | 'http1.conflicting_length'
  | 'http1.bad_length'
  | 'http1.length_and_chunked'
  | 'http1.unknown_transfer_coding'
  | 'http1.bad_chunk'
  | 'http1.obsolete_folding'
  | 'http1.bare_lf'
  | 'http1.bad_field'
  | 'http1.head_too_long'
  | 'http1.too_many_pending'
  | 'http1.response_without_request'
  | 'http1.response_lost'
  | 'http1.early_response'

export class Head {
  contentLength = NO_LENGTH
  chunked = false
  /** A transfer coding that is not chunked as the last one: the body ends with the connection. */
  otherCoding = false
  close = false
  keepAlive = false
  upgrade = ''
  connectionUpgrade = false
  host = ''
  userAgent = ''
  contentType = ''
  traceId = ''
  spanId = ''
  requestId = ''
  principal = ''
  fields: string[] = []
  anomalies: Http1Anomaly[] = []
  truncated = false
}

const CR = 13
const LF = 10
const COLON = 58

/** Field names as they come, to lower case: each spelling is made into a string once. */
const NAMES_MAX = 1024
const names = new Map<string, string>()

function lowerName(text: string): string {
  let name = names.get(text)
  if (name === undefined) {
    name = text.toLowerCase()
    if (names.size >= NAMES_MAX) names.clear()
    names.set(text, name)
  }
  return name
}

/**
 * Reads the fields from `from`, the byte after the start line, to `to`, the end of the last field line (the empty line
 * excluded). Lines end with CR LF or LF; a line that starts with a blank continues the one before (obs-fold).
 */
export function readHead(bytes: Buffer, from: number, to: number): Head {
  const head = new Head()
  let at = from
  while (at < to) {
    let lf = at
    while (lf < to && bytes[lf] !== LF) lf++
    let end = lf > at && bytes[lf - 1] === CR ? lf - 1 : lf
    if (end === lf && lf < to) note(head, 'http1.bare_lf')
    let next = lf + 1
    let folded = ''
    while (next < to && (bytes[next] === 32 || bytes[next] === 9)) {
      note(head, 'http1.obsolete_folding')
      let foldEnd = next
      while (foldEnd < to && bytes[foldEnd] !== LF) foldEnd++
      folded += ` ${bytes.toString('latin1', next, foldEnd).trim()}`
      next = foldEnd + 1
    }
    if (end > at) {
      let colon = at
      while (colon < end && bytes[colon] !== COLON) colon++
      if (colon === end || colon === at) note(head, 'http1.bad_field')
      else {
        let nameEnd = colon
        while (nameEnd > at && (bytes[nameEnd - 1] === 32 || bytes[nameEnd - 1] === 9)) nameEnd--
        let valueAt = colon + 1
        while (valueAt < end && (bytes[valueAt] === 32 || bytes[valueAt] === 9)) valueAt++
        while (end > valueAt && (bytes[end - 1] === 32 || bytes[end - 1] === 9 || bytes[end - 1] === CR)) end--
        if (end - valueAt > VALUE_BYTES_MAX) {
          end = valueAt + VALUE_BYTES_MAX
          head.truncated = true
        }
        const name = lowerName(bytes.toString('latin1', at, Math.min(nameEnd, at + 256)))
        field(head, name, text(bytes, valueAt, end) + folded)
      }
    }
    at = next
  }
  return head
}

/** ASCII as it is; other bytes as UTF-8, since that is what applications mean today. */
export function text(bytes: Buffer, from: number, to: number): string {
  for (let i = from; i < to; i++) if (bytes[i] >= 128) return bytes.toString('utf8', from, to)
  return bytes.toString('latin1', from, to)
}

function note(head: Head, anomaly: Http1Anomaly): void {
  if (!head.anomalies.includes(anomaly)) head.anomalies.push(anomaly)
}

function field(head: Head, name: string, value: string): void {
  if (head.fields.length < FIELDS_MAX * 2) head.fields.push(name, value)
  else head.truncated = true
  switch (name) {
    case 'content-length':
      return contentLength(head, value)
    case 'transfer-encoding':
      return transferEncoding(head, value)
    case 'connection':
    case 'proxy-connection': {
      const lower = value.toLowerCase()
      if (lower.includes('close')) head.close = true
      if (lower.includes('keep-alive')) head.keepAlive = true
      if (lower.includes('upgrade')) head.connectionUpgrade = true
      return
    }
    case 'upgrade':
      head.upgrade = value.toLowerCase()
      return
    case 'host':
      if (head.host === '') head.host = value
      return
    case 'user-agent':
      if (head.userAgent === '') head.userAgent = value
      return
    case 'content-type':
      if (head.contentType === '') head.contentType = value
      return
    case 'authorization':
      head.principal = principalOf(value)
      return
    default:
      readCorrelation(head, name, value)
  }
}

/** RFC 9112 section 6.3: a list of equal values counts as one; different ones are an error and the first is used. */
function contentLength(head: Head, value: string): void {
  for (const part of value.split(',')) {
    const digits = part.trim()
    const length = /^\d{1,19}$/.test(digits) ? Number(digits) : Number.NaN
    if (!(length <= LENGTH_MAX)) note(head, 'http1.bad_length')
    else if (head.contentLength === NO_LENGTH) head.contentLength = length
    else if (head.contentLength !== length) note(head, 'http1.conflicting_length')
  }
  if (head.chunked) note(head, 'http1.length_and_chunked')
}

function transferEncoding(head: Head, value: string): void {
  const codings = value.toLowerCase().split(',')
  const last = codings[codings.length - 1].trim().split(';')[0].trim()
  if (last === 'chunked') {
    head.chunked = true
    head.otherCoding = false
  } else if (last !== 'identity' && last !== '' && !head.chunked) {
    // What a recipient does with this differs (RFC 9112 section 6.1): the body's end is unknown.
    head.otherCoding = true
    note(head, 'http1.unknown_transfer_coding')
  }
  if (head.contentLength !== NO_LENGTH) note(head, 'http1.length_and_chunked')
}

/** Who speaks: the user of Basic, otherwise the scheme with the credential; the host hashes it. */
function principalOf(value: string): string {
  const space = value.indexOf(' ')
  if (space < 0) return value
  if (value.slice(0, space).toLowerCase() !== 'basic') return value
  const decoded = Buffer.from(value.slice(space + 1), 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  return colon < 0 ? decoded : decoded.slice(0, colon)
}
