/** Request lines and status lines of HTTP/1 (RFC 9112 sections 3 and 4), read from bytes. */

/** Judgements of a start line. */
export const LINE_OK = 1
export const LINE_BAD = 2
/** What decides is not here. */
export const LINE_MORE = 3
/** A message that is nothing but this line (HTTP/0.9). */
export const LINE_ALONE = 4

const SP = 32
const TAB = 9
const CR = 13
const LF = 10

/** Methods that may be trusted without seeing a version: the registry of RFC 9110 and WebDAV's. */
const KNOWN_METHODS: readonly string[] = [
  'GET',
  'POST',
  'PUT',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'CONNECT',
  'TRACE',
  'PROPFIND',
  'PROPPATCH',
  'MKCOL',
  'COPY',
  'MOVE',
  'LOCK',
  'UNLOCK',
  'REPORT',
  'SEARCH',
  'PURGE',
  'MERGE',
  'NOTIFY',
  'SUBSCRIBE',
  'UNSUBSCRIBE',
  'QUERY',
]
const METHOD_TEXTS = new Map<number, string>()
for (const method of KNOWN_METHODS) METHOD_TEXTS.set(methodHash(Buffer.from(method), 0, method.length), method)

/** RFC 9110 puts no limit on a method; the longest registered one has 16 letters. */
const METHOD_BYTES_MAX = 32

function methodHash(bytes: Buffer, from: number, to: number): number {
  let hash = to - from
  for (let i = from; i < to; i++) hash = Math.imul(hash, 31) + bytes[i]
  return hash
}

/** The known method that these bytes are, or null. */
function knownMethod(bytes: Buffer, from: number, to: number): string | null {
  const known = METHOD_TEXTS.get(methodHash(bytes, from, to))
  if (known === undefined || known.length !== to - from) return null
  for (let i = 0; i < known.length; i++) if (known.charCodeAt(i) !== bytes[from + i]) return null
  return known
}

/** The text of a method without making a new string for the usual ones. */
export function methodText(bytes: Buffer, from: number, to: number): string {
  return knownMethod(bytes, from, to) ?? bytes.toString('latin1', from, to)
}

export class RequestLine {
  methodEnd = 0
  targetFrom = 0
  targetTo = 0
  /** `''` for HTTP/0.9, which has none. */
  version = ''
}

/**
 * request-line = method SP request-target SP HTTP-version. Lenient as servers are: several blanks, blanks inside the target.
 * `to` is the end of the line without its CR LF. False if this is no request line.
 */
export function readRequestLine(bytes: Buffer, from: number, to: number, out: RequestLine): boolean {
  let at = from
  while (at < to && isTokenByte(bytes[at])) at++
  if (at === from || at - from > METHOD_BYTES_MAX) return false
  if (at < to && bytes[at] !== SP && bytes[at] !== TAB) return false
  out.methodEnd = at
  while (at < to && isBlank(bytes[at])) at++
  let end = to
  while (end > at && isBlank(bytes[end - 1])) end--
  const versionAt = versionStart(bytes, at, end)
  if (versionAt < 0) {
    if (endsWithOtherVersion(bytes, at, end)) return false
    out.version = ''
    out.targetFrom = at
    out.targetTo = end
    return true
  }
  out.version = versionText(bytes, versionAt + 5, end)
  let targetTo = versionAt
  while (targetTo > at && isBlank(bytes[targetTo - 1])) targetTo--
  out.targetFrom = at
  out.targetTo = targetTo
  return true
}

export const NO_FIELD = 0
export const FIELD = 1
/** The bytes that decide are not here. */
export const UNSURE = 2
const FIELD_NAME_BYTES_MAX = 256

/** Does a header field follow, `token ":"`? A start line without a version is taken for a request where one does. */
export function fieldFollows(bytes: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && isTokenByte(bytes[at])) at++
  if (at - from > FIELD_NAME_BYTES_MAX) return NO_FIELD
  if (at === end) return UNSURE
  return at > from && bytes[at] === 58 ? FIELD : NO_FIELD
}

export function isKnownMethod(bytes: Buffer, from: number, to: number): boolean {
  return knownMethod(bytes, from, to) !== null
}

const LONGEST_METHOD = 16

/** A known method and a blank: LINE_OK, LINE_MORE while that may still come, else LINE_BAD. */
export function startsLikeRequest(bytes: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && at - from <= LONGEST_METHOD && isTokenByte(bytes[at])) at++
  if (at === end && at - from <= LONGEST_METHOD) return LINE_MORE
  return bytes[at] === SP && isKnownMethod(bytes, from, at) ? LINE_OK : LINE_BAD
}

/** `HTTP/` and a digit, likewise. */
export function startsLikeStatus(bytes: Buffer, from: number, end: number): number {
  for (let i = 0; i < 5; i++) {
    if (from + i >= end) return LINE_MORE
    const byte = bytes[from + i]
    if ((i < 4 ? byte | 32 : byte) !== HTTP_SLASH[i]) return LINE_BAD
  }
  if (from + 5 >= end) return LINE_MORE
  const digit = bytes[from + 5]
  return digit >= 48 && digit <= 57 ? LINE_OK : LINE_BAD
}

const HTTP_SLASH = Buffer.from('http/')

/** Where the last word of the line begins if it is an HTTP version, else -1. The target may be missing. */
function versionStart(bytes: Buffer, from: number, to: number): number {
  let at = to
  while (at > from && !isBlank(bytes[at - 1])) at--
  return isHttpSlash(bytes, at, to) ? at : -1
}

/** `OPTIONS sip:bob SIP/2.0`, `SETUP rtsp://a RTSP/1.0`: protocols that borrow HTTP's request line. */
function endsWithOtherVersion(bytes: Buffer, from: number, to: number): boolean {
  let at = to
  while (at > from && (isDigit(bytes[at - 1]) || bytes[at - 1] === 46)) at--
  if (at === to || at === from || bytes[at - 1] !== 47) return false
  const slash = at - 1
  at = slash
  while (at > from && bytes[at - 1] >= 65 && bytes[at - 1] <= 90) at--
  return at < slash && (at === from || isBlank(bytes[at - 1]))
}

function isHttpSlash(bytes: Buffer, at: number, end: number): boolean {
  return (
    at + 5 < end &&
    (bytes[at] | 32) === 104 &&
    (bytes[at + 1] | 32) === 116 &&
    (bytes[at + 2] | 32) === 116 &&
    (bytes[at + 3] | 32) === 112 &&
    bytes[at + 4] === 47
  )
}

function versionText(bytes: Buffer, from: number, to: number): string {
  if (to - from === 3 && bytes[from] === 49 && bytes[from + 1] === 46) {
    if (bytes[from + 2] === 49) return '1.1'
    if (bytes[from + 2] === 48) return '1.0'
  }
  return bytes.toString('latin1', from, Math.min(to, from + 16))
}

export class StatusLine {
  version = ''
  /** 0 where there is no number. */
  status = 0
  /** Three digits and no more. */
  wellFormed = false
  /** Something follows the code: it is not cut. */
  certain = false
}

const STATUS_DIGITS_MAX = 4

/**
 * status-line = HTTP-version SP status-code SP [ reason-phrase ]. A code that has not three digits is no reason to lose
 * count of the answers: false only if this is no status line at all.
 */
export function readStatusLine(bytes: Buffer, from: number, to: number, out: StatusLine): boolean {
  if (startsLikeStatus(bytes, from, to) !== LINE_OK) return false
  let at = from + 5
  while (at < to && !isBlank(bytes[at])) at++
  const versionTo = at
  while (at < to && isBlank(bytes[at])) at++
  const digitsAt = at
  let status = 0
  while (at < to && at - digitsAt < STATUS_DIGITS_MAX && isDigit(bytes[at])) status = status * 10 + bytes[at++] - 48
  const digits = at - digitsAt
  const ends = at === to || !isTokenByte(bytes[at])
  out.version = versionText(bytes, from + 5, versionTo)
  out.wellFormed = digits === 3 && ends
  out.certain = at < to
  out.status = digits > 0 && ends ? status : 0
  return true
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === TAB
}

/** tchar, RFC 9110 section 5.6.2. */
function isTokenByte(byte: number): boolean {
  return (
    (byte >= 97 && byte <= 122) ||
    (byte >= 65 && byte <= 90) ||
    (byte >= 48 && byte <= 57) ||
    byte === 45 ||
    byte === 95 ||
    byte === 33 ||
    (byte >= 35 && byte <= 39) ||
    byte === 42 ||
    byte === 43 ||
    byte === 46 ||
    byte === 94 ||
    byte === 96 ||
    byte === 124 ||
    byte === 126
  )
}

/** Offset of the LF that ends the line beginning at `from`; -1 if it is not here. */
export function lineEnd(bytes: Buffer, from: number, end: number): number {
  for (let i = from; i < end; i++) if (bytes[i] === LF) return i
  return -1
}

/** `lf` without a CR before it. */
export function withoutCr(bytes: Buffer, from: number, lf: number): number {
  return lf > from && bytes[lf - 1] === CR ? lf - 1 : lf
}
