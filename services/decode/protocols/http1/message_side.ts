/**
 * What requests and responses have in common: a start line, header fields, a body. A head is read in one piece when all of
 * it is here; one that is too long, or cut, is read field by field, so that its framing counts whatever its size.
 */
import type { Cursor } from '../../../core/cursor.js'
import { BAD, MORE } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { GrpcMessages } from '../grpc/messages.js'
import { note, type Pending } from '../pairing/pending.js'
import { Body } from './body.js'
import { foldField, Head, noteHead, readField } from './head.js'
import { HeadReader, type RecentBlock } from './head_reader.js'
import { LINE_ALONE, LINE_BAD, LINE_MORE, lineEnd, withoutCr } from './start_line.js'

/** A head that is not whole within so many bytes is read field by field; also the longest line that is read at all. */
const HEAD_WINDOW_BYTES = 16 * 1024

/** Its head has no end. */
export const HEAD_CUT = 'http1.head_cut'

export abstract class MessageSide {
  /** The message whose body is being read. */
  current: Pending | null = null
  readonly body = new Body()
  /** Of gRPC-Web, in the body under way. */
  messages: GrpcMessages | null = null
  readonly #heads: HeadReader
  /** The message whose fields are being read one by one, and what they said so far. */
  #fieldsOf: Pending | null = null
  #fields: Head | null = null
  /** Inside a line that is too long: the rest of it is passed over. */
  #inLine = false

  constructor(recent: RecentBlock) {
    this.#heads = new HeadReader(recent)
  }

  /**
   * Judges the line `from` to `to` (without line end) and keeps what it says; `next` is the offset behind it, or -1 if the
   * line is longer than what is here.
   */
  protected abstract startLine(input: Cursor, from: number, to: number, next: number): number
  /** The line judged last begins a message: the exchange to fill, or null for one that has none (interim answers). */
  protected abstract begin(input: Cursor, from: number): Pending | null
  /** The head is known: describe the exchange and set up the body. `endUs` is the time of its last byte. */
  protected abstract headDone(pending: Pending | null, head: Head | null, endUs: number): void
  /** The body is about to be read. False if it is not coming after all: what is here is the next message; MORE to wait. */
  protected abstract bodyComes(pending: Pending, input: Cursor): boolean | typeof MORE
  protected abstract bodyMoved(pending: Pending, bodyBytes: number, timeUs: number): void
  protected abstract done(pending: Pending): void
  /** What was lost here is of unknown content. */
  protected abstract lost(timeUs: number): void

  parse(input: Cursor): number {
    if (this.current !== null) return this.#parseBody(this.current, input)
    if (this.#fields !== null) return this.#parseFields(this.#fields, input)
    return this.#parseHead(input)
  }

  #parseHead(input: Cursor): number {
    const { bytes, pos, end } = input
    let from = pos
    while (from < end && (bytes[from] === 13 || bytes[from] === 10)) from++
    if (from === end) return from - pos
    // Seen before and not whole: look for what was missing before reading it all again.
    if (input.searchedBytes > 0 && !input.ended && end - from <= HEAD_WINDOW_BYTES) {
      if (!headEnds(bytes, Math.max(from, pos + input.searchedBytes - 3), end)) return this.#wait(input)
    }
    const lf = lineEnd(bytes, from, end)
    const cut = input.ended || end - from > HEAD_WINDOW_BYTES
    if (lf < 0 && !cut) return this.#wait(input)
    const to = lf < 0 ? end : withoutCr(bytes, from, lf)
    const verdict = this.startLine(input, from, to, lf < 0 ? -1 : lf + 1)
    if (verdict === LINE_BAD) return this.#bad(input)
    if (verdict === LINE_MORE) return input.ended ? this.#bad(input) : MORE
    if (verdict === LINE_ALONE) {
      const pending = this.begin(input, from)
      this.headDone(pending, null, input.timeUs(lf))
      return lf + 1 - pos
    }
    if (lf < 0) {
      this.#openFields(this.begin(input, from))
      this.#inLine = true
      return end - pos
    }
    const head = this.#heads.read(bytes, lf + 1, end)
    if (head !== null) {
      const size = lf + 1 + this.#heads.size - pos
      const pending = this.begin(input, from)
      this.headDone(pending, head, input.timeUs(pos + size - 1))
      return size
    }
    if (!cut) return this.#wait(input)
    this.#openFields(this.begin(input, from))
    return lf + 1 - pos
  }

  #wait(input: Cursor): number {
    input.searchedBytes = input.length
    return MORE
  }

  #bad(input: Cursor): number {
    this.lost(input.timeUs(input.pos))
    return BAD
  }

  /** Whole field lines, as many as are here. */
  #parseFields(head: Head, input: Cursor): number {
    const { bytes, pos, end } = input
    let at = pos
    for (;;) {
      const lf = lineEnd(bytes, at === pos ? at + input.searchedBytes : at, end)
      if (lf < 0) break
      const to = withoutCr(bytes, at, lf)
      if (this.#inLine) this.#inLine = false
      else if (to === at) {
        this.#fieldsDone(head, input.timeUs(lf))
        return lf + 1 - pos
      } else if (bytes[at] === 32 || bytes[at] === 9) foldField(head, bytes, at, lf)
      else readField(head, bytes, at, to, '')
      at = lf + 1
    }
    if (at < end && bytes[at] !== 32 && bytes[at] !== 9) head.folds = false
    // What is left of a last line says nothing for certain. `gap`, `end` or `close` follows.
    if (input.ended) return end - pos
    if (at > pos) return at - pos
    if (!this.#inLine && end - pos <= HEAD_WINDOW_BYTES) return this.#wait(input)
    if (!this.#inLine) {
      noteHead(head, 'http1.head_too_long')
      readField(head, bytes, pos, end, '')
      this.#inLine = true
    }
    return end - pos
  }

  #openFields(pending: Pending | null): void {
    this.#fieldsOf = pending
    this.#fields = new Head()
  }

  #fieldsDone(head: Head, endUs: number): void {
    const pending = this.#fieldsOf
    this.#fieldsOf = null
    this.#fields = null
    this.#inLine = false
    this.headDone(pending, head, endUs)
  }

  /** The rest of the head is missing, and with it what it may have said of the body. */
  #cutFields(head: Head): void {
    const pending = this.#fieldsOf
    noteHead(head, HEAD_CUT)
    head.cut = true
    // The last field may go on in what is missing.
    if (head.folds) head.fields.length -= 2
    head.contentLength = 0
    head.chunked = false
    head.otherCoding = false
    if (pending !== null) {
      pending.exchange.complete = false
      if (this.#inLine) pending.exchange.truncated = true
    }
    this.#fieldsDone(head, 0)
  }

  /** The fields that follow belong to a message that seemed to be its start line only. */
  protected readFieldsOf(pending: Pending): void {
    this.#openFields(pending)
  }

  /** Between two messages. */
  get idle(): boolean {
    return this.current === null && this.#fields === null
  }

  get inFields(): boolean {
    return this.#fields !== null
  }

  #parseBody(pending: Pending, input: Cursor): number {
    if (this.body.untouched) {
      const comes = this.bodyComes(pending, input)
      if (comes === MORE) return MORE
      if (comes === false) {
        note(pending.exchange, 'http1.body_not_sent')
        this.body.none()
        this.#bodyEnds(pending)
        return this.parse(input)
      }
    }
    const before = this.body.bytes
    const consumed = this.body.parse(input)
    if (consumed === MORE) return MORE
    if (consumed === BAD) {
      note(pending.exchange, 'http1.bad_chunk')
      this.cut()
      return this.#bad(input)
    }
    if (this.messages !== null && this.body.bytes > before) {
      this.messages.data(input.bytes, input.pos, input.pos + consumed)
    }
    this.bodyMoved(pending, this.body.bytes, input.timeUs(input.pos + consumed - 1))
    if (!this.body.open) this.#bodyEnds(pending)
    return consumed
  }

  #bodyEnds(pending: Pending): void {
    this.current = null
    this.done(pending)
  }

  /** The message under way cannot be finished. */
  cut(): void {
    if (this.#fields !== null) this.#cutFields(this.#fields)
    const pending = this.current
    if (pending === null) return
    pending.exchange.complete = false
    this.messages?.lose(0)
    this.body.none()
    this.#bodyEnds(pending)
  }

  gap(sizeBytes: number, timeUs: number): boolean {
    const pending = this.underWay
    if (pending !== null) {
      pending.exchange.gaps += 1
      pending.exchange.complete = false
    }
    if (this.current !== null && this.body.gap(sizeBytes)) {
      this.messages?.lose(sizeBytes)
      this.bodyMoved(this.current, this.body.bytes, timeUs)
      if (!this.body.open) this.#bodyEnds(this.current)
      return true
    }
    this.cut()
    this.lost(timeUs)
    return false
  }

  end(): void {
    const pending = this.current
    if (pending !== null && this.body.untilEnd) {
      this.body.none()
      this.#bodyEnds(pending)
    } else this.cut()
  }

  /** Message under way, whichever part of it. */
  get underWay(): Pending | null {
    return this.current ?? this.#fieldsOf
  }

  save(out: StateWriter): void {
    this.body.save(out)
    out.bool(this.current !== null)
    out.bool(this.#inLine)
    out.bool(this.messages !== null)
    this.messages?.save(out)
    out.string(this.#fields === null ? '' : JSON.stringify(this.#fields))
  }

  restore(state: StateReader, underWay: Pending | null): void {
    this.body.restore(state)
    const inBody = state.bool()
    this.#inLine = state.bool()
    this.messages = state.bool() ? GrpcMessages.restore(state) : null
    const fields = state.string()
    this.current = inBody ? underWay : null
    this.#fieldsOf = inBody ? null : underWay
    this.#fields = null
    try {
      if (fields !== '') this.#fields = Object.assign(new Head(), JSON.parse(fields))
    } catch {
      state.failed = true
    }
  }
}

/** Is there an empty line behind a line end? */
function headEnds(bytes: Buffer, from: number, end: number): boolean {
  for (let i = from; i < end; i++) {
    if (bytes[i] !== 10) continue
    const next = bytes[i + 1]
    if (i + 1 < end && (next === 10 || (next === 13 && i + 2 < end && bytes[i + 2] === 10))) return true
  }
  return false
}
