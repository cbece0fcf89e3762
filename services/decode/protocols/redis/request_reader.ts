/**
 * Commands of a client, argument by argument: arrays of bulk strings, or inline lines. Only the first arguments are kept,
 * and of each only its beginning; the rest is counted and passed over by its length.
 */
import type { Cursor } from '../../../core/cursor.js'
import { BAD, MORE } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { utf8, word } from '../../../core/text.js'
import { CR, count, DOLLAR, LF, LINE_BAD, LINE_MORE, readCount, STAR } from './resp.js'

/** Enough for every key position and for a text that shows what was asked. */
const ARGS_KEPT = 16
export const ARG_BYTES_KEPT = 256
/** Shorter arguments are waited for, longer ones are consumed as they come. */
const ARG_WHOLE_BYTES = 2048
/** Redis refuses longer requests (`proto-max-bulk-len`, 1024 * 1024 arguments) and longer inline lines. */
const BULK_BYTES_MAX = 512 * 1024 * 1024
const ARGS_MAX = 1 << 20
const INLINE_BYTES_MAX = 64 * 1024

const NO_ARGS: string[] = []

/** For those who want all arguments that are kept. */
export const ALL_ARGS = (_name: string): number => ARGS_KEPT

export class RequestReader {
  /** What the command under way, or the one just read, says. `args` is made anew for each. */
  args: string[] = NO_ARGS
  argCount = 0
  /** Bytes of all arguments. */
  sizeBytes = 0
  startUs = 0
  endUs = 0
  gaps = 0
  inline = false
  /** The key or another kept argument was cut. */
  cut = false
  /** A command was read; the owner takes it and calls `next`. */
  done = false
  /** Of the command with this name, how many arguments are wanted. */
  readonly #wanted: (name: string) => number
  #wantedNow = ARGS_KEPT
  #left = 0
  /** Bytes of the argument under way still to come, its CRLF included. */
  #skip = 0

  constructor(wanted = ALL_ARGS) {
    this.#wanted = wanted
  }

  get underWay(): boolean {
    return this.#left > 0
  }

  /** More arguments than are kept. */
  get more(): boolean {
    return this.argCount > ARGS_KEPT
  }

  next(): void {
    this.done = false
    this.args = NO_ARGS
    this.argCount = 0
    this.sizeBytes = 0
    this.gaps = 0
    this.cut = false
    this.inline = false
    this.#left = 0
    this.#skip = 0
  }

  /** Bytes consumed, MORE or BAD; at most one command. */
  parse(input: Cursor): number {
    const { bytes, pos, end } = input
    let at = pos
    if (this.#left === 0) {
      if (bytes[at] !== STAR) return this.#inline(input)
      const line = readCount(bytes, at, end)
      if (line === LINE_MORE) return MORE
      if (line === LINE_BAD || count.value > ARGS_MAX) return BAD
      // Redis passes over empty and null arrays.
      if (count.value <= 0) return count.next - pos
      this.startUs = input.timeUs(pos)
      this.endUs = this.startUs
      this.argCount = count.value
      this.#left = count.value
      this.args = []
      at = count.next
    }
    while (this.#left > 0) {
      if (this.#skip > 0) {
        const size = Math.min(this.#skip, end - at)
        this.#skip -= size
        at += size
        this.endUs = input.timeUs(at - 1)
        if (this.#skip > 0) return at - pos
        this.#left -= 1
        continue
      }
      const next = this.#argument(input, at)
      if (next === BAD) return BAD
      if (next === MORE) return at - pos
      at = next
    }
    this.endUs = input.timeUs(at - 1)
    this.done = true
    return at - pos
  }

  /** One argument, or its beginning: the offset behind, MORE or BAD. */
  #argument(input: Cursor, at: number): number {
    const { bytes, end } = input
    if (at === end) return MORE
    if (bytes[at] !== DOLLAR) return BAD
    const line = readCount(bytes, at, end)
    if (line === LINE_MORE) return MORE
    if (line === LINE_BAD || count.value < 0 || count.value > BULK_BYTES_MAX) return BAD
    const { value: size, next: from } = count
    if (from + size + 2 <= end) {
      if (bytes[from + size] !== CR || bytes[from + size + 1] !== LF) return BAD
      this.sizeBytes += size
      this.#keep(bytes, from, from + size)
      this.#left -= 1
      return from + size + 2
    }
    const here = end - from
    if (!input.ended && here < Math.min(size + 2, ARG_WHOLE_BYTES)) {
      input.neededBytes = from - input.pos + Math.min(size + 2, ARG_WHOLE_BYTES)
      // What stands before this argument is consumed, so that only it is waited for.
      if (at > input.pos) input.neededBytes = 0
      return MORE
    }
    this.sizeBytes += size
    // The beginning of an argument is not its value: a name or key that was cut stays unknown.
    if (here < Math.min(size, ARG_BYTES_KEPT)) this.#keep(bytes, from, from)
    else this.#keep(bytes, from, Math.min(from + size, end))
    this.#skip = size + 2 - here
    return end
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const { args } = this
    const index = this.argCount - this.#left
    if (index >= ARGS_KEPT) return
    let until = to
    if (to - from > ARG_BYTES_KEPT) {
      until = from + ARG_BYTES_KEPT
      this.cut = true
    }
    if (index > 0) {
      if (index < this.#wantedNow) args.push(utf8(bytes, from, until))
    } else {
      const name = word(bytes, from, until)
      args.push(name)
      this.#wantedNow = Math.min(this.#wanted(name), ARGS_KEPT)
    }
  }

  /** `SET key "a value"\r\n`; words as redis-cli would split them (sdssplitargs). Blank lines are nothing. */
  #inline(input: Cursor): number {
    const { bytes, pos, end } = input
    if (bytes[pos] === CR || bytes[pos] === LF) return 1
    const lf = bytes.indexOf(LF, pos + input.searchedBytes)
    if (lf < 0 || lf >= end) {
      if (end - pos > INLINE_BYTES_MAX || !printable(bytes, pos + input.searchedBytes, end)) return BAD
      input.searchedBytes = end - pos
      return MORE
    }
    const to = lf > pos && bytes[lf - 1] === CR ? lf - 1 : lf
    if (!printable(bytes, pos, to)) return BAD
    const words = splitWords(bytes.toString('utf8', pos, to))
    if (words === null) return BAD
    if (words.length === 0) return lf + 1 - pos
    this.inline = true
    this.startUs = input.timeUs(pos)
    this.endUs = input.timeUs(lf)
    this.argCount = words.length
    this.sizeBytes = words.reduce((sum, word) => sum + Buffer.byteLength(word), 0)
    this.args = words.slice(0, ARGS_KEPT).map((word) => word.slice(0, ARG_BYTES_KEPT))
    this.done = true
    return lf + 1 - pos
  }

  /** True if the missing bytes lie inside an argument, so that its end is still known. */
  gap(sizeBytes: number): boolean {
    if (this.#skip === 0 || sizeBytes === 0 || sizeBytes > this.#skip) return false
    this.gaps += 1
    this.#skip -= sizeBytes
    if (this.#skip > 0) return true
    // Its last argument: nothing else will come that finishes the command.
    this.#left -= 1
    this.done = this.#left === 0
    return true
  }

  save(out: StateWriter): void {
    out.strings(this.args)
    out.number(this.argCount)
    out.number(this.sizeBytes)
    out.number(this.startUs)
    out.number(this.endUs)
    out.number(this.gaps)
    out.bool(this.cut)
    out.number(this.#left)
    out.number(this.#skip)
  }

  restore(state: StateReader): void {
    this.args = state.strings()
    this.argCount = state.number()
    this.sizeBytes = state.number()
    this.startUs = state.number()
    this.endUs = state.number()
    this.gaps = state.number()
    this.cut = state.bool()
    this.#left = state.number()
    this.#skip = state.number()
  }
}

function printable(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const byte = bytes[i]
    if (byte === 127 || (byte < 32 && byte !== 9 && byte !== CR)) return false
  }
  return true
}

const WORD = /\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"']+))(?=\s|$)/y

/** Null where quotes do not match: Redis answers with a protocol error. */
export function splitWords(line: string): string[] | null {
  const words: string[] = []
  WORD.lastIndex = 0
  let at = 0
  const size = line.trimEnd().length
  while (at < size) {
    const match = WORD.exec(line)
    if (match === null) return null
    words.push(match[1] ?? match[2] ?? match[3])
    at = WORD.lastIndex
  }
  return words
}
