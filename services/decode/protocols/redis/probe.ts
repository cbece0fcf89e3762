/** Is it RESP, which end speaks, and where does the next message begin. */
import type { Cursor } from '../../../core/cursor.js'
import { CERTAIN, NO, UNDECIDED, type Verdict } from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import { commandSpec } from './commands.js'
import { splitWords } from './request_reader.js'
import {
  COLON,
  CR,
  count,
  DOLLAR,
  LF,
  LINE_BAD,
  LINE_MORE,
  LINE_OK,
  lineEnd,
  MINUS,
  PLUS,
  readCount,
  STAR,
} from './resp.js'

const LIKELY = 60
const PROBABLE = 70
const NAME_BYTES_MAX = 64
/** Bytes that answer types may begin with. */
const ANSWER_TYPES = new Set([...'+-:$*%~>|_#,(!='].map((type) => type.charCodeAt(0)))
/** What no other protocol says. */
const ANSWER =
  /^(?:\+PONG\r\n|-(?:ERR (?:unknown command|wrong number of arguments|Protocol error|max number of clients)|WRONGTYPE |NOAUTH |NOPERM |WRONGPASS |MOVED \d|LOADING |EXECABORT |NOSCRIPT |DENIED |READONLY |MISCONF ))/
const ANSWER_BYTES_MAX = 48
/** Evidence in whole values: a string with its length says more than a line. */
const EVIDENCE_ENOUGH = 3

export function probeHead(head: Cursor, direction: Direction): Verdict {
  const { bytes, end } = head
  let { pos } = head
  // What is left of a message whose beginning was lost.
  if (head.midway && end - pos > 2 && bytes[pos] === CR && bytes[pos + 1] === LF) pos += 2
  const command = commandAt(bytes, pos, end)
  if (command === KNOWN && !(direction === TO_CLIENT && confirms(bytes, pos, end))) return CERTAIN
  if (direction === TO_SERVER) {
    if (command === UNKNOWN) return PROBABLE
    if (command === PART) return UNDECIDED
    if (bytes[pos] === STAR) return NO
    if (!ANSWER_TYPES.has(bytes[pos])) return head.midway ? NO : probeInline(head)
  }
  return probeAnswer(bytes, pos, end, head.midway)
}

const NONE = 0
/** Not all of its name is here. */
const PART = 1
const UNKNOWN = 2
const KNOWN = 3

/** `*2\r\n$3\r\nGET\r\n$` */
function commandAt(bytes: Buffer, pos: number, end: number): number {
  if (bytes[pos] !== STAR) return NONE
  const line = readCount(bytes, pos, end)
  if (line === LINE_MORE) return PART
  if (line === LINE_BAD || count.value < 1 || count.value > 1 << 20) return NONE
  const args = count.value
  let at = count.next
  if (at === end) return PART
  if (bytes[at] !== DOLLAR) return NONE
  const size = readCount(bytes, at, end)
  if (size === LINE_MORE) return PART
  if (size === LINE_BAD || count.value < 1 || count.value > NAME_BYTES_MAX) return NONE
  const from = count.next
  at = from + count.value
  if (at + 2 > end) return commandSpec(bytes.toString('latin1', from, Math.min(at, end)) || 'A') === null ? NONE : PART
  if (bytes[at] !== CR || bytes[at + 1] !== LF) return NONE
  if (at + 2 < end && bytes[at + 2] !== (args === 1 ? STAR : DOLLAR) && args > 1) return NONE
  const spec = commandSpec(bytes.toString('latin1', from, at))
  return spec === null ? NONE : spec.known ? KNOWN : UNKNOWN
}

/** The answer to SUBSCRIBE looks like a command. */
function confirms(bytes: Buffer, pos: number, end: number): boolean {
  return /^\*3\r\n\$\d+\r\n[ps]?(?:un)?subscribe\r\n/.test(
    bytes.toString('latin1', pos, Math.min(end, pos + ANSWER_BYTES_MAX)),
  )
}

/** A line that Redis would take too. Many protocols have such lines, so that the answer decides. */
function probeInline(head: Cursor): Verdict {
  const { bytes, pos, end } = head
  const lf = bytes.indexOf(LF, pos)
  const to = lf < 0 || lf >= end ? end : lf
  for (let i = pos; i < to; i++) if (bytes[i] > 126 || (bytes[i] < 32 && bytes[i] !== CR && bytes[i] !== 9)) return NO
  const words = splitWords(bytes.toString('latin1', pos, to).trimEnd())
  if (words === null || words.length === 0) return NO
  if (to === end && words.length === 1) return words[0].length <= NAME_BYTES_MAX ? UNDECIDED : NO
  return commandSpec(words[0]) === null ? NO : UNDECIDED
}

function probeAnswer(bytes: Buffer, pos: number, end: number, midway: boolean): Verdict {
  if (!ANSWER_TYPES.has(bytes[pos])) return NO
  const text = bytes.toString('latin1', pos, Math.min(end, pos + ANSWER_BYTES_MAX))
  if (ANSWER.test(text) || PUSHED.exec(text)?.index === 0) return PROBABLE
  // Joined mid-way, what looks like an answer may be a part of one.
  if (midway) return NO
  let at = pos
  let evidence = 0
  while (at < end && evidence < EVIDENCE_ENOUGH) {
    const next = valueAt(bytes, at, end)
    if (next < 0) return NO
    if (next === 0) return UNDECIDED
    evidence += evidenceOf(bytes[at])
    at = next
  }
  return evidence >= EVIDENCE_ENOUGH ? LIKELY : UNDECIDED
}

function evidenceOf(type: number): number {
  if (type === DOLLAR) return 3
  return type === COLON || type === PLUS || type === MINUS ? 1 : 2
}

/** Offset behind the value, or the head of the aggregate, at `at`; 0 if it is not all here; -1 if it is none. */
function valueAt(bytes: Buffer, at: number, end: number): number {
  const type = bytes[at]
  if (!ANSWER_TYPES.has(type)) return -1
  if (type === PLUS || type === MINUS || type === COLON || type === 95 || type === 35 || type === 44 || type === 40) {
    const cr = lineEnd(bytes, at + 1, end)
    if (cr < 0) return cr === -1 && printable(bytes, at + 1, end) ? 0 : -1
    return validLine(bytes, at, cr) ? cr + 2 : -1
  }
  const line = readCount(bytes, at, end)
  if (line !== LINE_OK) return line === LINE_MORE ? 0 : -1
  if (type !== DOLLAR && type !== 33 && type !== 61) return count.next
  if (count.value < 0) return count.next
  const to = count.next + count.value
  if (to + 2 > end) return 0
  return bytes[to] === CR && bytes[to + 1] === LF ? to + 2 : -1
}

/** `+OK Dovecot ready` and `-ERR no such message` are POP3's; lines of Redis are known, or an error with more to it. */
function validLine(bytes: Buffer, at: number, cr: number): boolean {
  if (!printable(bytes, at, cr)) return false
  const text = bytes.toString('latin1', at + 1, Math.min(cr, at + 32))
  if (bytes[at] === PLUS) return !text.startsWith('OK ')
  if (bytes[at] === COLON) return /^[-+]?\d+$/.test(text)
  if (bytes[at] === MINUS) return /^[A-Za-z]/.test(text)
  return text.length > 0 || bytes[at] === 95
}

function printable(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] < 32) return bytes[i] === CR && i === to - 1
  return true
}

/** True if these bytes come from the other end than `direction` says. */
export function isTurned(head: Cursor, direction: Direction): boolean {
  const { bytes, pos, end } = head
  if (direction === TO_CLIENT) return commandAt(bytes, pos, end) === KNOWN && !confirms(bytes, pos, end)
  return bytes[pos] !== STAR && ANSWER_TYPES.has(bytes[pos])
}

/** Offset from `input.pos` of the next command in array form, -1 if there is none; `searchedBytes` need not be seen again. */
export function findCommand(input: Cursor, inline: boolean): number {
  const { bytes, pos, end } = input
  if (inline) return findLine(input)
  for (let at = pos; ; at++) {
    const found = bytes.indexOf(STAR, at)
    if (found < 0 || found >= end) break
    at = found
    const lineStart = at === pos || bytes[at - 1] === LF
    if (!lineStart) continue
    const command = commandAt(bytes, at, end)
    if (command === KNOWN || command === UNKNOWN) return at - pos
    if (command === PART) {
      input.searchedBytes = at - pos
      return -1
    }
  }
  input.searchedBytes = end - pos
  return -1
}

/** For a client that types: behind the end of a line, a line that begins with the name of a command. */
function findLine(input: Cursor): number {
  const { bytes, pos, end } = input
  let at = bytes.indexOf(LF, pos) + 1
  while (at > 0 && at < end) {
    const name = /^[A-Za-z]+(?=[ \r\n])/.exec(bytes.toString('latin1', at, Math.min(end, at + NAME_BYTES_MAX)))
    if (bytes[at] === STAR || (name !== null && commandSpec(name[0])?.known)) return at - pos
    at = bytes.indexOf(LF, at) + 1
  }
  input.searchedBytes = at === end ? input.length - 1 : Math.max(0, bytes.lastIndexOf(LF, end - 1) - pos)
  return -1
}

/** Could a value begin here? */
export function looksLikeAnswer(bytes: Buffer, at: number, end: number): boolean {
  return valueAt(bytes, at, end) >= 0
}

/** A message to a subscriber: `>3\r\n$7\r\nmessage\r\n`; or a line of MONITOR. */
const PUSHED = /(?:^|\r\n)(?=[>*][2-4]\r\n\$\d+\r\n(?:[ps]?message|invalidate)\r\n|\+\d{10}\.\d{6} \[)/

/** Offset from `input.pos` of something pushed, which can be told from everything else. */
export function findPushed(input: Cursor): number {
  const { bytes, pos, end } = input
  const text = bytes.toString('latin1', pos, end)
  const match = PUSHED.exec(text)
  return match === null ? -1 : match.index + match[0].length
}
