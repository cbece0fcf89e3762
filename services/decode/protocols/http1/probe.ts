/** Is it HTTP/1, which end speaks, and where does the next message begin. */
import type { Cursor } from '../../../core/cursor.js'
import { CERTAIN, NO, UNDECIDED, type Verdict } from '../../../core/protocol.js'
import {
  FIELD,
  fieldFollows,
  isKnownMethod,
  LINE_BAD,
  LINE_MORE,
  LINE_OK,
  lineEnd,
  NO_FIELD,
  RequestLine,
  readRequestLine,
  readStatusLine,
  StatusLine,
  startsLikeRequest,
  startsLikeStatus,
  UNSURE,
  withoutCr,
} from './start_line.js'

const request = new RequestLine()
const status = new StatusLine()
/** A target longer than what a probe may see: then the method must be a known one. */
const LONG_LINE_BYTES = 3072
/** Empty lines in front of a first message: old clients leave one or two behind. */
const EMPTY_BYTES_MAX = 8
const LIKELY = 60

export function probeHead(head: Cursor): Verdict {
  const { bytes, end } = head
  const from = skipEmptyLines(bytes, head.pos, end)
  if (from === end || from - head.pos > EMPTY_BYTES_MAX) return end - head.pos > EMPTY_BYTES_MAX ? NO : UNDECIDED
  const lf = lineEnd(bytes, from, end)
  return lf < 0 ? probePart(bytes, from, end) : probeLine(head, from, withoutCr(bytes, from, lf), lf + 1)
}

function probeLine(head: Cursor, from: number, to: number, next: number): Verdict {
  const { bytes, end } = head
  if (startsLikeStatus(bytes, from, to) === LINE_OK) {
    // Not every line that starts so is a status line: `HTTP/1.1` alone occurs in banners.
    return readStatusLine(bytes, from, to, status) && status.status > 0 ? CERTAIN : NO
  }
  if (!readRequestLine(bytes, from, to, request) || !printable(bytes, from, to)) return NO
  const { methodEnd, targetFrom, targetTo, version } = request
  if (version !== '' && !plausibleVersion(version)) return NO
  const known = isKnownMethod(bytes, from, methodEnd)
  // Joined mid-way, `T /a HTTP/1.1` may be what is left of `GET /a`.
  if (!known && head.midway) return NO
  // And `OPTIONS` alone the end of a field that lists methods.
  if (head.midway && (version === '' || holdsBlank(bytes, targetFrom, targetTo))) return NO
  if (version !== '' && known) return CERTAIN
  if (!known && (targetFrom === targetTo || (version === '' && bytes[targetFrom] !== 47))) return NO
  const follows = fieldFollows(bytes, next, end)
  if (follows === FIELD) return version !== '' ? CERTAIN : LIKELY
  // HTTP/0.9 is one line, a method and a path; nothing of the client follows it.
  if (version === '' && known && bytes[targetFrom] === 47 && next === end) return LIKELY
  return follows === UNSURE ? UNDECIDED : NO
}

/** The line is not whole yet. */
function probePart(bytes: Buffer, from: number, end: number): Verdict {
  if (!printable(bytes, from, end)) return NO
  if (startsLikeStatus(bytes, from, end) !== LINE_BAD) return UNDECIDED
  const size = end - from
  const known = startsLikeRequest(bytes, from, end)
  if (known === LINE_OK) return size > LONG_LINE_BYTES ? LIKELY : UNDECIDED
  if (known === LINE_MORE) return UNDECIDED
  // An unknown method, which the end of the line may yet make believable.
  return size <= LONG_LINE_BYTES && readRequestLine(bytes, from, end, request) ? UNDECIDED : NO
}

/** True if these bytes are a response. */
export function isResponse(head: Cursor): boolean {
  const from = skipEmptyLines(head.bytes, head.pos, head.end)
  return startsLikeStatus(head.bytes, from, head.end) === LINE_OK
}

function skipEmptyLines(bytes: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && (bytes[at] === 13 || bytes[at] === 10)) at++
  return at
}

function plausibleVersion(version: string): boolean {
  return version.startsWith('1.') || version.startsWith('0.')
}

function holdsBlank(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] === 32 || bytes[i] === 9) return true
  return false
}

/** No control bytes in a start line; bytes above 127 occur in careless targets. */
function printable(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] < 32 && bytes[i] !== 9 && bytes[i] !== 13) return false
  return true
}

/**
 * Offset from `head.pos` of the next line that starts a message of this kind; -1 if there is none. Where a segment begins a
 * line may begin too: bodies seldom end with a line end. `head.searchedBytes` then says how many bytes cannot begin one,
 * whatever comes. The first line may be the rest of one whose beginning was lost.
 */
export function findMessage(head: Cursor, response: boolean): number {
  const { bytes, pos, end, markEnds, markCount } = head
  let undecided = end
  let mark = 0
  let line = pos
  while (line < end) {
    const found = bytes.indexOf(10, line)
    const lf = found < 0 || found >= end ? -1 : found
    const lineTo = lf < 0 ? end : lf + 1
    let at = line
    while (at < lineTo) {
      const wholeStart = at === line && (at > pos || !head.midway)
      const verdict = response ? startsResponse(bytes, at, end, lf) : startsRequest(head, at, lf, wholeStart)
      if (verdict === LINE_OK) return at - pos
      if (verdict === LINE_MORE && at < undecided) undecided = at
      while (mark < markCount && markEnds[mark] <= at) mark++
      at = mark < markCount ? markEnds[mark] : end
    }
    line = lineTo
  }
  head.searchedBytes = undecided - pos
  return -1
}

function startsResponse(bytes: Buffer, from: number, end: number, lf: number): number {
  const to = lf < 0 ? end : lf
  const looks = startsLikeStatus(bytes, from, to)
  if (looks !== LINE_OK) return lf < 0 ? looks : LINE_BAD
  if (readStatusLine(bytes, from, to, status) && status.wellFormed && (lf >= 0 || status.certain)) return LINE_OK
  return lf < 0 ? LINE_MORE : LINE_BAD
}

function startsRequest(head: Cursor, from: number, lf: number, wholeStart: boolean): number {
  const { bytes, end } = head
  if (lf < 0) {
    const looks = startsLikeRequest(bytes, from, end)
    return looks === LINE_BAD && !(wholeStart && readRequestLine(bytes, from, end, request)) ? LINE_BAD : LINE_MORE
  }
  const to = withoutCr(bytes, from, lf)
  if (!readRequestLine(bytes, from, to, request) || !plausibleVersion(request.version)) return LINE_BAD
  if (!printable(bytes, from, to)) return LINE_BAD
  if (!wholeStart && !isKnownMethod(bytes, from, request.methodEnd)) return LINE_BAD
  // The end of a body and then a request, on one line.
  if (holdsBlank(bytes, request.targetFrom, request.targetTo)) return LINE_BAD
  // Text may hold such a line; a request goes on with a field or ends with an empty line.
  const next = bytes[lf + 1]
  if (lf + 1 === end) return head.ended ? LINE_OK : LINE_MORE
  return next === 13 || next === 10 || fieldFollows(bytes, lf + 1, end) !== NO_FIELD ? LINE_OK : LINE_BAD
}

const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n', 'latin1')

/** A client goes on in HTTP/2, whether or not the capture has the answer that let it (RFC 9113 section 3.4). */
/** A request, or what may become one. */
export function mayBeRequest({ bytes, pos, end }: Cursor): boolean {
  return startsLikeRequest(bytes, pos, end) !== LINE_BAD
}

export function isHttp2Preface({ bytes, pos, end }: Cursor): boolean {
  if (bytes[pos] !== HTTP2_PREFACE[0] || end - pos < HTTP2_PREFACE.length) return false
  for (let i = 1; i < HTTP2_PREFACE.length; i++) if (bytes[pos + i] !== HTTP2_PREFACE[i]) return false
  return true
}
