/** What the header fields of a message say: its framing, what a flow shows, and the fields themselves (RFC 9112 section 5). */
import { latin1 } from '../../../core/text.js'
import { readCorrelation } from '../http_semantics/correlation.js'
import { principalOf } from '../http_semantics/credentials.js'
import { FieldKind, type FieldName, fieldName } from './field_names.js'

/** A head without a length field for its body. */
export const NO_LENGTH = -1
/** Fields kept of one head; servers refuse more (Apache: 100, nginx: by bytes). */
const FIELDS_MAX = 256
const VALUE_BYTES_MAX = 8192
/** Names and values kept of one head. Servers allow 8 to 64 KiB; a connection has at most two heads under way. */
const KEPT_BYTES_MAX = 64 * 1024
/** Above this a length is nonsense or an attack (2^53 - 1 is the last exact number). */
const LENGTH_MAX = Number.MAX_SAFE_INTEGER

export type Http1Anomaly =
  | 'http1.conflicting_length'
  | 'http1.bad_length'
  | 'http1.length_and_chunked'
  | 'http1.unknown_transfer_coding'
  | 'http1.bad_chunk'
  | 'http1.bad_status'
  | 'http1.obsolete_folding'
  | 'http1.bare_lf'
  | 'http1.bare_cr'
  | 'http1.bad_field'
  | 'http1.several_hosts'
  | 'http1.head_too_long'
  | 'http1.head_cut'
  | 'http1.body_not_sent'
  | 'http1.too_many_pending'
  | 'http1.response_without_request'
  | 'http1.response_lost'
  | 'http1.paired_after_loss'
  | 'http1.early_response'

export class Head {
  contentLength = NO_LENGTH
  chunked = false
  /** A transfer coding whose last one is not chunked: the body ends with the connection. */
  otherCoding = false
  upgrade = ''
  connectionUpgrade = false
  expectsContinue = false
  host = ''
  userAgent = ''
  contentType = ''
  forwardedFor = ''
  traceId = ''
  spanId = ''
  requestId = ''
  principal = ''
  /** Names and values in turn. */
  fields: string[] = []
  keptBytes = 0
  /** The line read last was a field, which the next may continue. */
  folds = false
  /** The rest of it is missing. */
  cut = false
  anomalies: Http1Anomaly[] = NO_ANOMALIES
  truncated = false
  /** Where the value of the field read last begins. */
  valueFrom = 0

  /** All that `other` says; its list of fields is shared. */
  copy(other: Head): void {
    this.contentLength = other.contentLength
    this.chunked = other.chunked
    this.otherCoding = other.otherCoding
    this.upgrade = other.upgrade
    this.connectionUpgrade = other.connectionUpgrade
    this.expectsContinue = other.expectsContinue
    this.host = other.host
    this.userAgent = other.userAgent
    this.contentType = other.contentType
    this.forwardedFor = other.forwardedFor
    this.traceId = other.traceId
    this.spanId = other.spanId
    this.requestId = other.requestId
    this.principal = other.principal
    this.fields = other.fields
    this.keptBytes = other.keptBytes
    this.folds = other.folds
    this.cut = other.cut
    this.anomalies = other.anomalies
    this.truncated = other.truncated
    this.valueFrom = other.valueFrom
  }
}

const NO_ANOMALIES: Http1Anomaly[] = []
Object.freeze(NO_ANOMALIES)

export function noteHead(head: Head, anomaly: Http1Anomaly): void {
  if (head.anomalies.length === 0) head.anomalies = [anomaly]
  else if (!head.anomalies.includes(anomaly)) head.anomalies.push(anomaly)
}

const CR = 13
const COLON = 58

/**
 * One field line, `from` to `to` without its line end; `folded` is what continuation lines add (obs-fold). Answers the name,
 * or null if this is no field.
 */
export function readField(head: Head, bytes: Buffer, from: number, to: number, folded: string): FieldName | null {
  let colon = from
  while (colon < to && bytes[colon] !== COLON) colon++
  head.folds = colon !== to && colon !== from
  if (!head.folds) {
    noteHead(head, 'http1.bad_field')
    return null
  }
  let nameEnd = colon
  while (nameEnd > from && isBlank(bytes[nameEnd - 1])) nameEnd--
  let valueFrom = colon + 1
  while (valueFrom < to && isBlank(bytes[valueFrom])) valueFrom++
  head.valueFrom = valueFrom
  let valueTo = to
  while (valueTo > valueFrom && (isBlank(bytes[valueTo - 1]) || bytes[valueTo - 1] === CR)) valueTo--
  if (valueTo - valueFrom > VALUE_BYTES_MAX) {
    valueTo = valueFrom + VALUE_BYTES_MAX
    head.truncated = true
  }
  const name = fieldName(bytes, from, nameEnd)
  const value = fieldText(head, bytes, valueFrom, valueTo)
  addField(head, name, folded === '' ? value : `${value}${folded}`)
  return nameEnd === colon ? name : null
}

/** A line that continues the field before it, where fields are read one by one: what that field said counts already. */
export function foldField(head: Head, bytes: Buffer, from: number, to: number): void {
  noteHead(head, 'http1.obsolete_folding')
  const { fields } = head
  if (!head.folds || fields.length === 0 || head.keptBytes >= KEPT_BYTES_MAX) return
  const more = ` ${text(bytes, from, to).trim()}`
  fields[fields.length - 1] += more
  head.keptBytes += more.length
}

function isBlank(byte: number): boolean {
  return byte === 32 || byte === 9
}

function fieldText(head: Head, bytes: Buffer, from: number, to: number): string {
  let all = 0
  for (let i = from; i < to; i++) {
    all |= bytes[i]
    // A recipient may take it for a line end: a way to smuggle fields (RFC 9112 section 2.2).
    if (bytes[i] === CR) noteHead(head, 'http1.bare_cr')
  }
  return all < 128 ? latin1(bytes, from, to) : bytes.toString('utf8', from, to)
}

/** ASCII as it is; other bytes as UTF-8, since that is what applications mean today. */
export function text(bytes: Buffer, from: number, to: number): string {
  for (let i = from; i < to; i++) if (bytes[i] >= 128) return bytes.toString('utf8', from, to)
  return latin1(bytes, from, to)
}

/** A value that lies between `from` and `to`; null where it is not as plain as most are. */
export function readValue(bytes: Buffer, from: number, to: number): string | null {
  if (from === to || to - from > VALUE_BYTES_MAX || isBlank(bytes[from]) || isBlank(bytes[to - 1])) return null
  let all = 0
  for (let i = from; i < to; i++) {
    all |= bytes[i]
    if (bytes[i] === CR) return null
  }
  return all < 128 ? latin1(bytes, from, to) : null
}

/** `head.fields` has new values for fields of these kinds (a bit for each): what such fields say is read again. */
export function rereadKinds(head: Head, names: readonly FieldName[], kinds: number): void {
  const again = (kinds & FRAMING) !== 0 ? kinds | FRAMING : kinds
  if (again === 1 << FieldKind.OTHER) return
  forget(head, again)
  for (let line = 0; line < names.length; line++) {
    const name = names[line]
    if (name.kind !== FieldKind.OTHER && (again & (1 << name.kind)) !== 0) apply(head, name, head.fields[line * 2 + 1])
  }
}

/** These two say together how long the body is. */
const FRAMING = (1 << FieldKind.CONTENT_LENGTH) | (1 << FieldKind.TRANSFER_ENCODING)

function forget(head: Head, kinds: number): void {
  const has = (kind: number) => (kinds & (1 << kind)) !== 0
  if (has(FieldKind.CONTENT_LENGTH)) {
    head.contentLength = NO_LENGTH
    head.chunked = false
    head.otherCoding = false
  }
  if (has(FieldKind.CONNECTION)) head.connectionUpgrade = false
  if (has(FieldKind.UPGRADE)) head.upgrade = ''
  if (has(FieldKind.HOST)) head.host = ''
  if (has(FieldKind.USER_AGENT)) head.userAgent = ''
  if (has(FieldKind.CONTENT_TYPE)) head.contentType = ''
  if (has(FieldKind.AUTHORIZATION)) head.principal = ''
  if (has(FieldKind.EXPECT)) head.expectsContinue = false
  if (has(FieldKind.FORWARDED_FOR)) head.forwardedFor = ''
  if (has(FieldKind.CORRELATION)) {
    head.traceId = ''
    head.spanId = ''
    head.requestId = ''
  }
}

function addField(head: Head, name: FieldName, value: string): void {
  if (head.fields.length < FIELDS_MAX * 2 && head.keptBytes < KEPT_BYTES_MAX) {
    head.fields.push(name.text, value)
    head.keptBytes += name.text.length + value.length
  } else {
    head.truncated = true
    noteHead(head, 'http1.head_too_long')
  }
  if (name.kind !== FieldKind.OTHER) apply(head, name, value)
}

function apply(head: Head, name: FieldName, value: string): void {
  switch (name.kind) {
    case FieldKind.CONTENT_LENGTH:
      return contentLength(head, value)
    case FieldKind.TRANSFER_ENCODING:
      return transferEncoding(head, value)
    case FieldKind.CONNECTION:
      if (value.length >= 7 && value.toLowerCase().includes('upgrade')) head.connectionUpgrade = true
      return
    case FieldKind.UPGRADE:
      head.upgrade = value.toLowerCase()
      return
    case FieldKind.HOST:
      if (head.host === '') head.host = value
      else noteHead(head, 'http1.several_hosts')
      return
    case FieldKind.USER_AGENT:
      if (head.userAgent === '') head.userAgent = value
      return
    case FieldKind.CONTENT_TYPE:
      if (head.contentType === '') head.contentType = value
      return
    case FieldKind.AUTHORIZATION:
      head.principal = principalOf(value)
      return
    case FieldKind.EXPECT:
      if (value.toLowerCase() === '100-continue') head.expectsContinue = true
      return
    case FieldKind.FORWARDED_FOR:
      if (head.forwardedFor === '') head.forwardedFor = value.split(',', 1)[0].trim()
      return
    default:
      readCorrelation(head, name.text, value)
  }
}

/** RFC 9112 section 6.3: a list of equal values counts as one; different ones are an error and the first is used. */
function contentLength(head: Head, value: string): void {
  let length = 0
  let plain = value.length > 0 && value.length <= 15
  for (let i = 0; i < value.length && plain; i++) {
    const digit = value.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) plain = false
    length = length * 10 + digit
  }
  if (plain) setLength(head, length)
  else {
    for (const part of value.split(',')) {
      const digits = part.trim()
      setLength(head, /^\d{1,19}$/.test(digits) ? Number(digits) : Number.NaN)
    }
  }
  if (head.chunked) noteHead(head, 'http1.length_and_chunked')
}

function setLength(head: Head, length: number): void {
  if (!(length <= LENGTH_MAX)) noteHead(head, 'http1.bad_length')
  else if (head.contentLength === NO_LENGTH) head.contentLength = length
  else if (head.contentLength !== length) noteHead(head, 'http1.conflicting_length')
}

/** RFC 9112 section 6.1: only chunked as the last coding delimits a body; what recipients do with the rest differs. */
function transferEncoding(head: Head, value: string): void {
  const codings = value.toLowerCase().split(',')
  const last = codings[codings.length - 1].trim().split(';')[0].trim()
  if (last === 'chunked') {
    head.chunked = true
    head.otherCoding = false
  } else if (last !== 'identity' && last !== '' && !head.chunked) {
    head.otherCoding = true
    noteHead(head, 'http1.unknown_transfer_coding')
  }
  if (head.contentLength !== NO_LENGTH) noteHead(head, 'http1.length_and_chunked')
}
