/**
 * RESP, the wire form of Redis (redis.io "Redis serialization protocol specification", RESP2 and RESP3). Every value is a
 * type byte and a line, then for some types data of the length in that line:
 *
 *     request    = "*" count CRLF count * ( "$" size CRLF data CRLF )  /  inline line
 *     simple     = "+" / "-" / ":" / "_" / "#" / "," / "(" line CRLF
 *     blob       = "$" / "!" / "=" size CRLF data CRLF               size -1 = null
 *     aggregate  = "*" / "~" / ">" count CRLF count values           count -1 = null
 *     map        = "%" / "|" count CRLF 2 * count values             "|" comes in front of the value it describes
 */

export const CR = 13
export const LF = 10
export const STAR = 42
export const DOLLAR = 36
export const PLUS = 43
export const MINUS = 45
export const COLON = 58
export const PUSH = 62
export const ATTRIBUTE = 124
export const MAP = 37

export const LINE_OK = 1
export const LINE_MORE = 0
export const LINE_BAD = -1

/** What `readCount` found last. */
export const count = { value: 0, next: 0 }

/** Longest number that counts something: 512 MB is the limit of a string, 2^20 that of arguments. */
const COUNT_DIGITS_MAX = 10

/** The number between a type byte at `at` and CRLF. Leading zeros, blanks and signs other than `-1` are no RESP. */
export function readCount(bytes: Buffer, at: number, end: number): number {
  // Most counts have one digit.
  if (at + 4 <= end && bytes[at + 3] === LF && bytes[at + 2] === CR) {
    const digit = bytes[at + 1] - 48
    if (digit < 0 || digit > 9) return LINE_BAD
    count.value = digit
    count.next = at + 4
    return LINE_OK
  }
  let i = at + 1
  if (i < end && bytes[i] === MINUS) {
    if (i + 1 < end && bytes[i + 1] !== 49) return LINE_BAD
    if (i + 2 < end && bytes[i + 2] !== CR) return LINE_BAD
    if (i + 3 < end && bytes[i + 3] !== LF) return LINE_BAD
    if (i + 3 >= end) return LINE_MORE
    count.value = -1
    count.next = i + 4
    return LINE_OK
  }
  const from = i
  let value = 0
  for (; i < end; i++) {
    const digit = bytes[i] - 48
    if (digit < 0 || digit > 9) break
    value = value * 10 + digit
  }
  const digits = i - from
  if (digits > COUNT_DIGITS_MAX || (digits > 1 && bytes[from] === 48)) return LINE_BAD
  if (i === end) return LINE_MORE
  if (digits === 0 || bytes[i] !== CR) return LINE_BAD
  if (i + 1 === end) return LINE_MORE
  if (bytes[i + 1] !== LF) return LINE_BAD
  count.value = value
  count.next = i + 2
  return LINE_OK
}

/** Size of the bulk string at `at`, if it is here whole and has less than 1000 bytes; -1 for any other, whatever it is. */
export function shortSize(bytes: Buffer, at: number, end: number): number {
  // None is shorter than `$0\r\n\r\n`.
  if (at + 6 > end || bytes[at] !== DOLLAR) return -1
  let size = bytes[at + 1] - 48
  if (size < 0 || size > 9) return -1
  let cr = at + 2
  while (bytes[cr] !== CR) {
    const digit = bytes[cr] - 48
    if (size === 0 || digit < 0 || digit > 9 || cr === at + 4) return -1
    size = size * 10 + digit
    cr += 1
  }
  const to = cr + 2 + size
  if (bytes[cr + 1] !== LF || to + 2 > end || bytes[to] !== CR || bytes[to + 1] !== LF) return -1
  return size
}

/** Bytes before the data of a string of this size: `$12\r\n`. */
export function headBytes(size: number): number {
  return size < 10 ? 4 : size < 100 ? 5 : 6
}

/** Offset of the CR of the CRLF that ends a line from `from` on; -1 if it is not here. */
export function lineEnd(bytes: Buffer, from: number, end: number): number {
  // Lines are short: a loop beats a search that starts in native code.
  for (let i = from; i < end; i++) {
    if (bytes[i] === LF) return i > from && bytes[i - 1] === CR ? i - 1 : -2
    if (i - from > 64) {
      const lf = bytes.indexOf(LF, i)
      if (lf < 0 || lf >= end) return -1
      return bytes[lf - 1] === CR ? lf - 1 : -2
    }
  }
  return -1
}
