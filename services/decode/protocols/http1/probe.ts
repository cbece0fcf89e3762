/** Is it HTTP/1, and which end speaks. */
import type { Cursor } from '../../../core/cursor.js'
import { CERTAIN, NO, UNDECIDED, type Verdict } from '../../../core/protocol.js'
import {
  fieldFollows,
  isHttpSlash,
  isTokenByte,
  KNOWN_METHODS,
  lineEnd,
  RequestLine,
  readRequestLine,
  readStatusLine,
  StatusLine,
  withoutCr,
} from './start_line.js'

const request = new RequestLine()
const status = new StatusLine()
/** A target longer than what a probe may see: the method must be a known one. */
const LONG_LINE_BYTES = 3072
const LIKELY = 60

export function probeHead(head: Cursor): Verdict {
  const { bytes, end } = head
  const from = skipEmptyLines(bytes, head.pos, end)
  if (from === end) return end - head.pos > 8 ? NO : UNDECIDED
  const lf = lineEnd(bytes, from, end)
  if (lf >= 0) {
    const to = withoutCr(bytes, from, lf)
    if (readStatusLine(bytes, from, to, status)) return CERTAIN
    if (!readRequestLine(bytes, from, to, request)) return NO
    if (!printable(bytes, from, to)) return NO
    const known = KNOWN_METHODS.includes(bytes.toString('latin1', from, request.methodEnd))
    if (request.version !== '' && !plausibleVersion(request.version)) return NO
    if (request.version !== '' && known) return CERTAIN
    if (request.targetFrom === request.targetTo && !known) return NO
    if (fieldFollows(bytes, lf + 1, end)) return request.version !== '' ? CERTAIN : LIKELY
    // HTTP/0.9 is one line, a method and a path; nothing of the client follows it.
    return known && lf + 1 === end && bytes[request.targetFrom] === 47 ? LIKELY : NO
  }
  return probePart(bytes, from, end)
}

/** The line is not whole yet. */
function probePart(bytes: Buffer, from: number, end: number): Verdict {
  if (!printable(bytes, from, end)) return NO
  const prefix = bytes.toString('latin1', from, Math.min(end, from + 16))
  const upper = prefix.toUpperCase()
  if (upper.startsWith('HTTP/') || 'HTTP/'.startsWith(upper)) return UNDECIDED
  const space = prefix.indexOf(' ')
  if (space < 0) {
    const token = [...prefix].every((char) => isTokenByte(char.charCodeAt(0)))
    return token && prefix.length < 16 ? UNDECIDED : NO
  }
  if (!KNOWN_METHODS.includes(prefix.slice(0, space))) return end - from > LONG_LINE_BYTES ? NO : UNDECIDED
  return end - from > LONG_LINE_BYTES ? LIKELY : UNDECIDED
}

/** True if these bytes are a response. */
export function isResponse(head: Cursor): boolean {
  const from = skipEmptyLines(head.bytes, head.pos, head.end)
  return isHttpSlash(head.bytes, from, head.end)
}

function skipEmptyLines(bytes: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && (bytes[at] === 13 || bytes[at] === 10)) at++
  return at
}

function plausibleVersion(version: string): boolean {
  return version.startsWith('1.') || version.startsWith('0.')
}

/** No control bytes in a start line; bytes above 127 occur in careless targets. */
function printable(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] < 32 && bytes[i] !== 9 && bytes[i] !== 13) return false
  return true
}

/** Offset from `head.pos` of the next line that starts a message of this kind; -1 if there is none. */
export function findMessage(head: Cursor, response: boolean): number {
  const { bytes, pos, end } = head
  let at = pos
  while (at < end) {
    const lf = lineEnd(bytes, at, end)
    const to = lf < 0 ? end : withoutCr(bytes, at, lf)
    if (response) {
      if (
        lf >= 0
          ? readStatusLine(bytes, at, to, status)
          : isHttpSlash(bytes, at, end) && end - at > 12 && readStatusLine(bytes, at, end, status)
      )
        return at - pos
    } else if (lf >= 0 && readRequestLine(bytes, at, to, request) && plausibleVersion(request.version)) {
      return at - pos
    }
    if (lf < 0) return -1
    at = lf + 1
  }
  return -1
}
