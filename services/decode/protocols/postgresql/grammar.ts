/** Is a message what its type says? Judged by its whole body, for probes and for finding messages again after a loss. */
import * as m from './messages.js'

/** Body in [from, to) of a message that is here whole. */
export function bodyFits(server: boolean, type: number, bytes: Buffer, from: number, to: number): boolean {
  return server ? serverBody(type, bytes, from, to) : clientBody(type, bytes, from, to)
}

function clientBody(type: number, bytes: Buffer, from: number, to: number): boolean {
  switch (type) {
    case m.QUERY:
    case m.COPY_FAIL:
      return m.nul(bytes, from, to) === to - 1 && isText(bytes, from, to - 1)
    case m.PARSE: {
      const text = afterString(bytes, from, to)
      const types = text < 0 ? -1 : afterString(bytes, text, to)
      return (
        types >= 0 && types + 2 <= to && types + 2 + 4 * m.int16(bytes, types) === to && isText(bytes, text, types - 1)
      )
    }
    case m.BIND:
      return bindFits(bytes, from, to)
    case m.EXECUTE: {
      const end = afterString(bytes, from, to)
      return end >= 0 && end + 4 === to && m.int32(bytes, end) >= 0
    }
    case m.DESCRIBE:
    case m.CLOSE:
      return (bytes[from] === 0x53 || bytes[from] === 0x50) && afterString(bytes, from + 1, to) === to
    case m.FUNCTION_CALL:
      return functionFits(bytes, from, to)
  }
  return true
}

function bindFits(bytes: Buffer, from: number, to: number): boolean {
  const statement = afterString(bytes, from, to)
  let at = statement < 0 ? -1 : afterString(bytes, statement, to)
  if (at < 0) return false
  at = afterCodes(bytes, at, to)
  at = at < 0 ? -1 : afterValues(bytes, at, to)
  return at >= 0 && afterCodes(bytes, at, to) === to
}

function functionFits(bytes: Buffer, from: number, to: number): boolean {
  let at = afterCodes(bytes, from + 4, to)
  at = at < 0 ? -1 : afterValues(bytes, at, to)
  return at >= 0 && at + 2 === to
}

function serverBody(type: number, bytes: Buffer, from: number, to: number): boolean {
  switch (type) {
    case m.COMMAND_COMPLETE:
      return m.nul(bytes, from, to) === to - 1 && bytes[from] >= 65 && bytes[from] <= 90 && isText(bytes, from, to - 1)
    case m.DATA_ROW:
      return afterValues(bytes, from, to) === to
    case m.ROW_DESCRIPTION:
      return fieldsFit(bytes, from, to)
    case m.READY:
      return bytes[from] === 0x49 || bytes[from] === 0x54 || bytes[from] === 0x45
    case m.ERROR:
    case m.NOTICE:
      return noticeFits(bytes, from, to)
    case m.PARAMETER_STATUS: {
      const value = afterString(bytes, from, to)
      return value > from + 1 && afterString(bytes, value, to) === to && isText(bytes, from, value - 1)
    }
    case m.NOTIFICATION: {
      const payload = afterString(bytes, from + 4, to)
      return payload >= 0 && afterString(bytes, payload, to) === to
    }
    case m.PARAMETER_DESCRIPTION:
      return from + 2 + 4 * m.int16(bytes, from) === to
    case m.COPY_IN:
    case m.COPY_OUT:
    case m.COPY_BOTH:
      return bytes[from] <= 1 && from + 3 + 2 * m.int16(bytes, from + 1) === to
    case m.AUTHENTICATION:
      return authenticationFits(m.int32(bytes, from), to - from)
    case m.FUNCTION_RESPONSE: {
      const size = m.int32(bytes, from)
      return from + 4 + Math.max(size, 0) === to
    }
  }
  return true
}

/** Ok, Kerberos, clear text, MD5, GSS, SSPI and SASL with the sizes they have. */
function authenticationFits(code: number, size: number): boolean {
  if (code === 0 || code === 2 || code === 3 || code === 6 || code === 7 || code === 9) return size === 4
  if (code === 5) return size === 8
  return code === 8 || (code >= 10 && code <= 12)
}

/** `int16 n, n * (name, oid, int16, type oid, int16, int32, format)`. */
function fieldsFit(bytes: Buffer, from: number, to: number): boolean {
  let at = from + 2
  for (let n = m.int16(bytes, from); n > 0; n--) {
    at = afterString(bytes, at, to)
    if (at < 0 || at + 18 > to || m.int16(bytes, at + 16) > 1) return false
    at += 18
  }
  return at === to
}

/** `(code:byte string)* 0`, with a severity first and an SQLSTATE of five letters. */
function noticeFits(bytes: Buffer, from: number, to: number): boolean {
  if (bytes[from] !== 0x53) return false
  let state = false
  let at = from
  while (at < to && bytes[at] !== 0) {
    const code = bytes[at]
    const next = afterString(bytes, at + 1, to)
    if (next < 0 || !isLetter(code)) return false
    if (code === 0x43) state = next - at === 7
    at = next
  }
  return state && at === to - 1
}

/** Behind `int16 n, n * int16 (0 or 1)`, or -1. */
function afterCodes(bytes: Buffer, from: number, to: number): number {
  if (from + 2 > to) return -1
  const count = m.int16(bytes, from)
  const end = from + 2 + 2 * count
  if (end > to) return -1
  for (let at = from + 2; at < end; at += 2) if (m.int16(bytes, at) > 1) return -1
  return end
}

/** Behind `int16 n, n * (int32 size, bytes)`, or -1; size -1 is NULL. */
function afterValues(bytes: Buffer, from: number, to: number): number {
  if (from + 2 > to) return -1
  let at = from + 2
  for (let n = m.int16(bytes, from); n > 0; n--) {
    if (at + 4 > to) return -1
    const size = m.int32(bytes, at)
    if (size < -1) return -1
    at += 4 + Math.max(size, 0)
    if (at > to) return -1
  }
  return at
}

/** Behind the NUL of a string, or -1. */
function afterString(bytes: Buffer, from: number, to: number): number {
  const end = from < 0 ? -1 : m.nul(bytes, from, to)
  return end < 0 ? -1 : end + 1
}

function isLetter(code: number): boolean {
  return (code | 32) >= 97 && (code | 32) <= 122
}

/** No control bytes but white space. */
export function isText(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] < 32 && (bytes[i] < 9 || bytes[i] > 13)) return false
  return true
}
