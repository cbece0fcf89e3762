/** The server's direction: what it answers is given to the operations it answers. */
import type { Cursor } from '../../../core/cursor.js'
import { BAD, MORE } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import type { Conversation } from './conversation.js'
import * as m from './messages.js'
import { notification, readAuthentication, readParameter } from './notices.js'
import * as ops from './op.js'
import { ALONE, TAKE, TOUCHED, WAIT } from './place.js'
import { readTypes } from './request_body.js'

/** Of a longer message so many bytes are read and the rest is passed over. */
const WINDOW_BYTES = 8192
/** A row is counted and passed over: type, length, and the number of its values. */
const ROW_HEAD_BYTES = m.HEADER_BYTES + 2

export class ServerSide {
  readonly #conversation: Conversation
  /** Bytes of the message under way that are passed over. */
  #skip = 0
  /** Nothing more comes that could be waited for. */
  #ended = false

  constructor(conversation: Conversation) {
    this.#conversation = conversation
  }

  parse(input: Cursor): number {
    const { bytes, pos, end } = input
    const conversation = this.#conversation
    if (conversation.encryption.opaque) return end - pos
    if (this.#skip > 0) {
      const size = Math.min(this.#skip, end - pos)
      this.#skip -= size
      return size + this.#rows(input, pos + size)
    }
    const rows = this.#rows(input, pos)
    if (rows > 0) return rows
    this.#ended = input.ended
    const first = conversation.first
    if (first !== null && conversation.counted && (first.kind === ops.SSL || first.kind === ops.GSSENC)) {
      const letter = bytes[pos]
      const yes = first.kind === ops.SSL ? 0x53 : 0x47
      if (letter === yes || letter === 0x4e) return this.#encryption(letter, input)
    }
    const here = end - pos
    if (here < m.HEADER_BYTES) return this.#short(input)
    const type = bytes[pos]
    const length = m.int32(bytes, pos + 1)
    if (!m.lengthFits(true, type, length)) {
      this.#lost(input.timeUs(pos))
      return BAD
    }
    const total = 1 + length
    const needed = Math.min(total, windowOf(type))
    if (here < needed && !input.ended) {
      input.neededBytes = needed
      return MORE
    }
    const shown = Math.min(total, here)
    const endUs = input.timeUs(pos + shown - 1)
    if (!this.#message(type, input, pos, pos + Math.min(needed, here), length, here < needed, endUs)) {
      input.waits = true
      return MORE
    }
    this.#skip = total - shown
    return shown
  }

  /**
   * Rows, or copied data, as they follow each other from `from` on: most of what a large result is, and nothing of it but its
   * size is told. Answers their bytes; of the last one what is not here yet is passed over.
   */
  #rows(input: Cursor, from: number): number {
    const { bytes, end } = input
    const type = from < end ? bytes[from] : 0
    if ((type !== m.DATA_ROW && type !== m.COPY_DATA) || !this.#conversation.awaitsRows) return 0
    const head = windowOf(type)
    let at = from
    let last = from
    let count = 0
    let sizes = 0
    while (at + head <= end && bytes[at] === type) {
      const length = m.int32(bytes, at + 1)
      if (!m.lengthFits(true, type, length)) break
      sizes += type === m.DATA_ROW ? rowBytes(length, m.int16(bytes, at + m.HEADER_BYTES)) : length - 4
      count += 1
      last = at
      at += 1 + length
    }
    if (count === 0) return 0
    const { reply } = this.#conversation
    const to = Math.min(at, end)
    this.#starts(input.timeUs(from))
    this.#conversation.answeredAt(input.timeUs(last))
    if (type === m.DATA_ROW) reply.rows += count
    else reply.copyRows = Math.max(reply.copyRows, 0) + count
    reply.bytes += sizes
    reply.endUs = input.timeUs(to - 1)
    this.#skip = at - to
    return to - from
  }

  /** One byte may be the answer to a request for encryption that is still to come. */
  #short(input: Cursor): number {
    if (this.#conversation.first === null) input.waits = true
    return MORE
  }

  #encryption(letter: number, input: Cursor): number {
    this.#conversation.encryption.answered(String.fromCharCode(letter), input.timeUs(input.pos))
    return 1
  }

  /** False if the client's direction must go first. `from` to `to` is what is here of the message. */
  #message(
    type: number,
    input: Cursor,
    from: number,
    to: number,
    length: number,
    cut: boolean,
    endUs: number,
  ): boolean {
    const { bytes } = input
    const body = from + m.HEADER_BYTES
    const conversation = this.#conversation
    const timeUs = input.timeUs(from)
    switch (type) {
      case m.NOTIFICATION:
        this.#notified(bytes, body, to, length, timeUs, endUs)
        return true
      case m.PARAMETER_STATUS:
        readParameter(bytes, body, to, conversation.operations.session)
        return true
      case m.NOTICE:
        conversation.reply.notices += 1
        return true
      case m.BACKEND_KEY:
      case m.NEGOTIATE:
        return true
    }
    let place = conversation.place(timeUs)
    if (place === WAIT) {
      if (!input.ended) return false
      place = ALONE
    }
    if (place === TAKE) {
      const taken = this.#take(type, bytes, body, to, length, cut, timeUs, endUs)
      if (taken === WAIT && !input.ended) return false
      if (taken === true) return true
      place = conversation.mismatch(timeUs)
    }
    this.#apart(type, bytes, body, to, length, cut, timeUs, endUs, place === TOUCHED)
    return true
  }

  /** False if the operation cannot have such an answer. */
  #take(
    type: number,
    bytes: Buffer,
    body: number,
    to: number,
    length: number,
    cut: boolean,
    timeUs: number,
    endUs: number,
  ): boolean | typeof WAIT {
    const conversation = this.#conversation
    switch (type) {
      case m.PARSE_COMPLETE:
        return conversation.completes(ops.PARSE)
      case m.BIND_COMPLETE:
        return conversation.completes(ops.BIND)
      case m.CLOSE_COMPLETE:
        return conversation.completes(ops.CLOSE)
      case m.PARAMETER_DESCRIPTION:
        return conversation.describes(readTypes(bytes, body, to))
      case m.READY: {
        const reply = conversation.reply
        reply.endUs = endUs
        return conversation.ready(endUs)
      }
      case m.AUTHENTICATION:
        if (conversation.first?.kind !== ops.STARTUP) return false
        this.#starts(timeUs)
        readAuthentication(bytes, body, to, conversation.reply)
        return true
      case m.NO_DATA:
        return conversation.described()
      case m.ROW_DESCRIPTION:
        if (conversation.first?.kind === ops.QUERY) this.#starts(timeUs)
        return conversation.described()
      case m.ERROR:
        if (conversation.first === null) return false
        this.#starts(timeUs)
        conversation.reply.readError(bytes, body, to)
        conversation.reply.cut ||= cut
        conversation.reply.endUs = endUs
        return conversation.failed()
      case m.FUNCTION_RESPONSE:
        if (conversation.first?.kind !== ops.FUNCTION) return false
        this.#starts(timeUs)
        this.#result(type, bytes, body, to, length, cut, endUs)
        return true
    }
    if (!conversation.answers) return false
    // The server says that a copy is over once the client has said so.
    if (type === m.COMMAND_COMPLETE && conversation.operations.copying) {
      if (!this.#ended) return WAIT
      conversation.reply.dataOpen = true
    }
    this.#starts(timeUs)
    this.#result(type, bytes, body, to, length, cut, endUs)
    if (type === m.COPY_IN || type === m.COPY_BOTH) conversation.operations.copiesIn()
    if (type === m.COMMAND_COMPLETE || type === m.SUSPENDED || type === m.EMPTY_QUERY) conversation.executed()
    return true
  }

  #starts(timeUs: number): void {
    const { reply } = this.#conversation
    if (reply.startUs === 0) reply.startUs = timeUs
  }

  /** Rows, copied data, and how a statement ended. */
  #result(type: number, bytes: Buffer, body: number, to: number, length: number, cut: boolean, endUs: number): void {
    const { reply } = this.#conversation
    switch (type) {
      case m.DATA_ROW:
        reply.rows += 1
        reply.bytes += rowBytes(length, to - body >= 2 ? m.int16(bytes, body) : 0)
        break
      case m.COMMAND_COMPLETE:
        if (cut) reply.completed += 1
        else reply.readComplete(bytes, body, to)
        break
      case m.EMPTY_QUERY:
        reply.completed += 1
        break
      case m.FUNCTION_RESPONSE:
        reply.completed += 1
        reply.bytes += Math.max(0, length - 8)
        break
      case m.SUSPENDED:
        reply.suspended = true
        break
      case m.COPY_OUT:
      case m.COPY_BOTH:
        reply.copyRows = Math.max(reply.copyRows, 0)
        break
      case m.COPY_DATA:
        reply.copyRows = Math.max(reply.copyRows, 0) + 1
        reply.bytes += length - 4
    }
    reply.cut ||= cut
    reply.endUs = endUs
  }

  /** An answer that a loss stands beside. */
  #apart(
    type: number,
    bytes: Buffer,
    body: number,
    to: number,
    length: number,
    cut: boolean,
    timeUs: number,
    endUs: number,
    touched: boolean,
  ): void {
    const conversation = this.#conversation
    if (type === m.READY) {
      conversation.reply.endUs = endUs
      if (touched) conversation.readyTouched(endUs)
      else conversation.readyAlone(endUs)
      return
    }
    this.#starts(timeUs)
    if (type === m.ERROR) {
      conversation.errs(timeUs)
      conversation.reply.readError(bytes, body, to)
      conversation.reply.endUs = endUs
    } else if (type === m.AUTHENTICATION) {
      readAuthentication(bytes, body, to, conversation.reply)
      conversation.reply.endUs = endUs
    } else this.#result(type, bytes, body, to, length, cut, endUs)
    if (touched && (type === m.COPY_IN || type === m.COPY_BOTH)) conversation.operations.copiesIn()
    if (!conversation.reply.ended) return
    if (touched) conversation.endsTouched()
    else conversation.operations.standAlone()
  }

  #notified(bytes: Buffer, body: number, to: number, length: number, timeUs: number, endUs: number): void {
    const { operations } = this.#conversation
    operations.hand(notification(operations.newExchange(), bytes, body, to, length, timeUs, endUs))
  }

  gap(sizeBytes: number, timeUs: number): boolean {
    if (this.#conversation.encryption.opaque) return true
    if (sizeBytes > 0 && sizeBytes <= this.#skip) {
      this.#skip -= sizeBytes
      this.#conversation.reply.gaps += 1
      return true
    }
    this.#lost(timeUs)
    return false
  }

  #lost(timeUs: number): void {
    this.#skip = 0
    this.#conversation.repliesLost(timeUs)
  }

  save(out: StateWriter): void {
    out.number(this.#skip)
  }

  restore(state: StateReader): void {
    this.#skip = state.number()
  }
}

/** What the values of a row take, by its length and their number. */
function rowBytes(length: number, columns: number): number {
  return Math.max(0, length - 6 - 4 * columns)
}

function windowOf(type: number): number {
  switch (type) {
    case m.DATA_ROW:
      return ROW_HEAD_BYTES
    case m.COPY_DATA:
    case m.FUNCTION_RESPONSE:
      return m.HEADER_BYTES
  }
  return WINDOW_BYTES
}
