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
  const { bytes, pos, end } = head
  const command = commandAt(bytes, pos, end)
  if (command === KNOWN) return CERTAIN
  if (direction === TO_SERVER) {
    if (command === UNKNOWN) return PROBABLE
    if (command === PART) return UNDECIDED
    if (bytes[pos] === STAR) return NO
    if (!ANSWER_TYPES.has(bytes[pos])) return head.midway ? NO : probeInline(head)
  }
  return probeAnswer(bytes, pos, end)
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

function probeAnswer(bytes: Buffer, pos: number, end: number): Verdict {
  if (!ANSWER_TYPES.has(bytes[pos])) return NO
  if (ANSWER.test(bytes.toString('latin1', pos, Math.min(end, pos + ANSWER_BYTES_MAX)))) return PROBABLE
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
  return text.length > 0 || bytes[at] === 95
}

function printable(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] < 32) return bytes[i] === CR && i === to - 1
  return true
}

/** True if these bytes come from the other end than `direction` says. */
export function isTurned(head: Cursor, direction: Direction): boolean {
  const { bytes, pos, end } = head
  if (direction === TO_CLIENT) return commandAt(bytes, pos, end) === KNOWN
  return bytes[pos] !== STAR && ANSWER_TYPES.has(bytes[pos])
}

/** Offset from `input.pos` of the next command in array form, -1 if there is none; `searchedBytes` need not be seen again. */
export function findCommand(input: Cursor): number {
  const { bytes, pos, end } = input
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
