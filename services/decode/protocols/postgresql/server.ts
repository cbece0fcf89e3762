/** The server's direction: what it says is cut into messages. */
import type { Cursor } from '../../../core/cursor.js'
import { BAD, MORE } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { Answers, NOTHING, rowBytes, ServerMessage } from './answers.js'
import type { Conversation } from './conversation.js'
import * as m from './messages.js'
import * as ops from './op.js'

/** Of a longer message so many bytes are read and the rest is passed over. */
const WINDOW_BYTES = 8192
/** A row is counted and passed over: type, length, and the number of its values. */
const ROW_HEAD_BYTES = m.HEADER_BYTES + 2

export class ServerSide {
  readonly #conversation: Conversation
  readonly #answers: Answers
  readonly #message = new ServerMessage()
  /** Bytes of the message under way that are passed over. */
  #skip = 0

  constructor(conversation: Conversation) {
    this.#conversation = conversation
    this.#answers = new Answers(conversation)
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
    const message = this.#message
    message.type = type
    message.bytes = bytes
    message.from = pos + m.HEADER_BYTES
    message.to = pos + Math.min(needed, here)
    message.length = length
    message.cut = here < needed
    message.startUs = input.timeUs(pos)
    message.endUs = input.timeUs(pos + shown - 1)
    const taken = this.#answers.take(message, input.ended)
    message.bytes = NOTHING
    if (!taken) {
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
    this.#answers.start(input.timeUs(from))
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
