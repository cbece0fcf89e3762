/** What a server says: one value after another, however deep. Nothing is kept of a value but what pairing needs. */
import type { Cursor } from '../../../core/cursor.js'
import { BAD, MORE } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { copyOfReply, NO_ERRORS, NO_VALUES, Reply } from './reply.js'
import {
  ATTRIBUTE,
  COLON,
  CR,
  count,
  DOLLAR,
  headBytes,
  LF,
  LINE_BAD,
  LINE_MORE,
  lineEnd,
  MAP,
  MINUS,
  PLUS,
  PUSH,
  readCount,
  STAR,
  shortSize,
} from './resp.js'

/** Deeper nesting is an attack: COMMAND DOCS, the deepest answer of Redis, has ten levels. */
const DEPTH_MAX = 64
/** The longest line without a length: MONITOR shows whole commands. */
const LINE_BYTES_MAX = 64 * 1024
/** First elements of an array that are kept: kind, channel or pattern, channel. */
const VALUES_KEPT = 3
const VALUE_BYTES_KEPT = 256
const ERRORS_KEPT = 256
const BLOB_BYTES_MAX = 512 * 1024 * 1024

const NO_BYTES = Buffer.alloc(0)
export class ReplyReader {
  /** The value under way, or the one just read, until the owner calls `next`: the same object for each. */
  readonly reply = new Reply()
  done = false
  /** Keep the first elements of the next array: it may be a message to a subscriber. */
  keepValues = false
  readonly #left: number[] = []
  readonly #kinds: number[] = []
  /** Bytes of the string under way still to come, then its CRLF. */
  #skip = -1
  #begun = false

  get underWay(): boolean {
    return this.#begun
  }

  next(): void {
    this.reply.clear()
    this.done = false
    this.#begun = false
  }

  reset(): void {
    this.next()
    this.#left.length = 0
    this.#kinds.length = 0
    this.#skip = -1
  }

  /** Bytes consumed, MORE or BAD; at most one value. */
  parse(input: Cursor): number {
    const { bytes, pos, end } = input
    let at = pos
    if (!this.#begun) {
      this.#begun = true
      this.reply.startUs = input.timeUs(pos)
      const next = this.#short(bytes, pos, end)
      if (next > 0) {
        this.reply.endUs = input.timeUs(next - 1)
        this.done = true
        return next - pos
      }
    }
    while (at < end) {
      if (this.#skip >= 0) {
        const size = Math.min(this.#skip, end - at)
        this.#skip -= size
        at += size
        if (this.#skip > 0) return at - pos
        if (end - at < 2) return at - pos
        if (bytes[at] !== CR || bytes[at + 1] !== LF) return BAD
        at += 2
        this.#skip = -1
      } else {
        const next = this.#element(input, at)
        if (next === BAD) return BAD
        if (next === MORE) return at - pos
        const opened = next < 0
        at = opened ? -next : next
        if (opened || this.#skip >= 0) continue
      }
      if (this.#elementDone()) {
        this.reply.endUs = input.timeUs(at - 1)
        this.done = true
        return at - pos
      }
    }
    return at - pos
  }

  /** The answers that come all the time: `+OK` or a short string that is here whole. Offset behind it; 0 for any other. */
  #short(bytes: Buffer, at: number, end: number): number {
    const { reply } = this
    const size = shortSize(bytes, at, end)
    if (size >= 0) {
      reply.type = DOLLAR
      reply.sizeBytes = size
      return at + headBytes(size) + size + 2
    }
    if (end - at < 5 || bytes[at] !== PLUS || bytes[at + 3] !== CR || bytes[at + 4] !== LF) return 0
    if (bytes[at + 1] !== 79 || bytes[at + 2] !== 75) return 0
    reply.type = PLUS
    reply.sizeBytes = 2
    reply.line = 'OK'
    return at + 5
  }

  /** Offset behind the element or the head of its string; negated if it opens an aggregate; MORE or BAD. */
  #element(input: Cursor, at: number): number {
    const { bytes, end } = input
    const type = bytes[at]
    if (this.#kinds.length === 0 && type !== ATTRIBUTE) this.reply.type = type
    switch (type) {
      case DOLLAR:
      case 33:
      case 61:
        return this.#blob(input, at, type)
      case STAR:
      case 126:
      case PUSH:
      case MAP:
      case ATTRIBUTE: {
        const line = readCount(bytes, at, end)
        if (line === LINE_MORE) return MORE
        if (line === LINE_BAD || (type === PUSH && this.#kinds.length > 0)) return BAD
        const elements = count.value
        if (this.#kinds.length === 0 && type !== ATTRIBUTE) this.reply.elements = elements
        if (elements <= 0) return type === ATTRIBUTE ? -count.next : count.next
        if (this.#kinds.length >= DEPTH_MAX) return BAD
        this.#kinds.push(type)
        this.#left.push(type === MAP || type === ATTRIBUTE ? 2 * elements : elements)
        return -count.next
      }
      case PLUS:
      case MINUS:
      case COLON:
      case 95:
      case 35:
      case 44:
      case 40:
        return this.#line(input, at, type)
      default:
        return BAD
    }
  }

  #blob(input: Cursor, at: number, type: number): number {
    const { bytes, end } = input
    const line = readCount(bytes, at, end)
    if (line === LINE_MORE) return MORE
    if (line === LINE_BAD || count.value > BLOB_BYTES_MAX) return BAD
    const { value: size, next: from } = count
    if (size < 0) return type === DOLLAR ? this.#null(from) : BAD
    const error = type === 33
    if (error || this.#keeps) {
      const wanted = Math.min(size, VALUE_BYTES_KEPT)
      if (end - from < wanted) return MORE
      if (error) this.#noteError(firstWord(bytes, from, from + wanted))
      else this.#keep(bytes, from, from + wanted)
    }
    this.reply.sizeBytes += size
    this.#skip = size
    return from
  }

  #null(next: number): number {
    if (this.#keeps) this.#keep(NO_BYTES, 0, 0)
    return next
  }

  #line(input: Cursor, at: number, type: number): number {
    const { bytes, end } = input
    const cr = lineEnd(bytes, at === input.pos ? at + 1 + Math.max(0, input.searchedBytes - 2) : at + 1, end)
    if (cr === -1) {
      if (end - at > LINE_BYTES_MAX) return BAD
      if (at === input.pos) input.searchedBytes = end - at
      return MORE
    }
    if (cr < 0 || !wellFormed(bytes, at + 1, cr, type)) return BAD
    this.reply.sizeBytes += cr - at - 1
    if (type === MINUS) this.#noteError(firstWord(bytes, at + 1, cr))
    else if (this.#kinds.length === 0) {
      if (type === PLUS) this.reply.line = simpleText(bytes, at + 1, cr)
    } else if (this.#keeps) this.#keep(bytes, at + 1, Math.min(cr, at + 1 + VALUE_BYTES_KEPT))
    return cr + 2
  }

  get #keeps(): boolean {
    return (
      this.#kinds.length === 1 &&
      this.reply.values.length < VALUES_KEPT &&
      (this.#kinds[0] === PUSH || (this.keepValues && this.#kinds[0] === STAR))
    )
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    if (this.reply.values === NO_VALUES) this.reply.values = []
    this.reply.values.push(bytes.toString('utf8', from, to))
  }

  #noteError(word: string): void {
    const { reply } = this
    if (this.#kinds.length === 0) {
      reply.error = word
      return
    }
    if (this.#kinds.length > 1 || this.#kinds[0] === ATTRIBUTE || reply.errors.length >= 2 * ERRORS_KEPT) return
    if (reply.errors === NO_ERRORS) reply.errors = []
    reply.errors.push(reply.elements - this.#left[0], word)
  }

  /** True if the value is whole. */
  #elementDone(): boolean {
    const left = this.#left
    while (left.length > 0) {
      const last = left.length - 1
      left[last] -= 1
      if (left[last] > 0) return false
      left.pop()
      // An attribute is no element: the value that it describes follows.
      if (this.#kinds.pop() === ATTRIBUTE) return false
    }
    return true
  }

  /** True if the missing bytes lie inside a string, so that its end is still known. */
  gap(sizeBytes: number): boolean {
    if (this.#skip <= 0 || sizeBytes === 0 || sizeBytes > this.#skip) return false
    this.reply.gaps += 1
    this.#skip -= sizeBytes
    return true
  }

  save(out: StateWriter): void {
    out.string(this.#begun ? JSON.stringify(this.reply) : '')
    out.string(JSON.stringify([this.#left, this.#kinds]))
    out.number(this.#skip)
    out.bool(this.keepValues)
  }

  restore(state: StateReader): void {
    try {
      const reply = state.string()
      this.#begun = reply !== ''
      if (this.#begun) Object.assign(this.reply, copyOfReply(JSON.parse(reply)))
      const [left, kinds] = JSON.parse(state.string()) as number[][]
      this.#left.push(...left)
      this.#kinds.push(...kinds)
    } catch {
      state.failed = true
    }
    this.#skip = state.number()
    this.keepValues = state.bool()
  }
}

function wellFormed(bytes: Buffer, from: number, to: number, type: number): boolean {
  const size = to - from
  if (type === 95) return size === 0
  if (type === 35) return size === 1 && (bytes[from] === 116 || bytes[from] === 102)
  if (type === COLON || type === 40) return isInteger(bytes, from, to)
  for (let i = from; i < to; i++) if (bytes[i] < 32 && bytes[i] !== 9) return false
  // An error begins with a word.
  if (type === MINUS) return (bytes[from] | 32) >= 97 && (bytes[from] | 32) <= 122
  return type !== 44 || (size > 0 && size <= 32)
}

function isInteger(bytes: Buffer, from: number, to: number): boolean {
  let i = from
  if (bytes[i] === MINUS || bytes[i] === PLUS) i++
  if (i === to) return false
  for (; i < to; i++) if (bytes[i] < 48 || bytes[i] > 57) return false
  return true
}

/** The answers that come all the time cost no string. */
function simpleText(bytes: Buffer, from: number, to: number): string {
  if (to - from === 2 && bytes[from] === 79 && bytes[from + 1] === 75) return 'OK'
  return bytes.toString('latin1', from, Math.min(to, from + VALUE_BYTES_KEPT))
}

const ERROR_WORD = /^[A-Z][A-Z0-9_-]{1,31}(?=[ :]|$)/

/** `WRONGTYPE Operation against a key ...` -> `WRONGTYPE`; an error without such a word is `ERR`. */
function firstWord(bytes: Buffer, from: number, to: number): string {
  const match = ERROR_WORD.exec(bytes.toString('latin1', from, Math.min(to, from + 40)))
  return match === null ? 'ERR' : match[0]
}
