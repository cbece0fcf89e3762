/** The client's direction: what it asks for becomes operations. */
import type { Cursor } from '../../../core/cursor.js'
import { BAD, MORE } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { word } from '../../../core/text.js'
import type { Conversation } from './conversation.js'
import * as m from './messages.js'
import * as ops from './op.js'
import { Op } from './op.js'
import { readBind, readParse, statementText, TEXT_BYTES_MAX } from './request_body.js'
import { NO_PACKET, PART, readStartup, startupPacket } from './startup.js'

/** Of a longer message so many bytes are read and the rest is passed over: names, then text or values. */
const WINDOW_BYTES = m.HEADER_BYTES + TEXT_BYTES_MAX + 1024

export class ClientSide {
  readonly #conversation: Conversation
  /** Bytes of the message under way that are passed over, and whether they count for the last operation. */
  #skip = 0
  #skipCounts = false
  /** Since the last Sync: where a Parse and a Bind began that an Execute may follow. */
  #parseName = ''
  #parseUs = 0
  #parseBytes = 0
  #bindPortal = ''
  #bindUs = 0
  #bindBytes = 0

  constructor(conversation: Conversation) {
    this.#conversation = conversation
  }

  parse(input: Cursor): number {
    const { bytes, pos, end } = input
    const conversation = this.#conversation
    if (conversation.encryption.opaque) return end - pos
    if (this.#skip > 0) return this.#pass(input)
    if (bytes[pos] === 0) return this.#startup(input)
    if (conversation.encryption.asked && !input.ended) {
      input.waits = true
      return MORE
    }
    if (end - pos < m.HEADER_BYTES) return MORE
    const type = bytes[pos]
    const length = m.int32(bytes, pos + 1)
    if (!m.lengthFits(false, type, length)) return this.#bad(input)
    const total = 1 + length
    const here = end - pos
    const needed = Math.min(total, windowOf(type))
    if (here < needed && !input.ended) {
      input.neededBytes = needed
      return MORE
    }
    const shown = Math.min(total, here)
    const cut = here < needed
    this.#skip = total - shown
    this.#skipCounts = false
    conversation.spoke(input.timeUs(pos))
    const op = this.#message(type, input, pos + m.HEADER_BYTES, pos + Math.min(needed, here), length - 4, cut)
    if (op !== null) {
      op.endUs = input.timeUs(pos + shown - 1)
      if (cut) op.unknown = true
      if (total > needed && needed > m.HEADER_BYTES) op.truncated = true
      this.#skipCounts = this.#skip > 0
      conversation.push(op)
    }
    return shown
  }

  #bad(input: Cursor): number {
    this.#lost(input.timeUs(input.pos))
    return BAD
  }

  #pass(input: Cursor): number {
    const size = Math.min(this.#skip, input.end - input.pos)
    this.#skip -= size
    const last = this.#conversation.operations.queue.last
    if (this.#skipCounts && last !== null) last.endUs = input.timeUs(input.pos + size - 1)
    return size
  }

  #startup(input: Cursor): number {
    const { bytes, pos, end } = input
    const length = startupPacket(bytes, pos, end)
    if (length === NO_PACKET) return this.#bad(input)
    if (length === PART || end - pos < length) {
      if (length > 0) input.neededBytes = length
      return MORE
    }
    const startUs = input.timeUs(pos)
    const code = m.int32(bytes, pos + 4)
    const conversation = this.#conversation
    if (code === m.CANCEL_REQUEST) {
      const exchange = conversation.operations.newExchange()
      exchange.method = 'CANCEL'
      exchange.endpoint = 'CANCEL'
      exchange.reqStartUs = startUs
      exchange.reqEndUs = input.timeUs(pos + length - 1)
      // The server never answers it: whether it worked shows on the other connection.
      exchange.outcome = 'ok'
      if (exchange.attrs !== null) exchange.attrs['postgresql.cancel.pid'] = String(m.int32(bytes, pos + 8))
      conversation.operations.hand(exchange)
      return length
    }
    if (code !== m.SSL_REQUEST && code !== m.GSSENC_REQUEST)
      readStartup(bytes, pos, pos + length, conversation.operations.session)
    const kind = code === m.SSL_REQUEST ? ops.SSL : code === m.GSSENC_REQUEST ? ops.GSSENC : ops.STARTUP
    const op = new Op(kind, startUs)
    op.endUs = input.timeUs(pos + length - 1)
    op.bytes = length - 4
    conversation.push(op)
    return length
  }

  /** The operation that a message asks for; null if it is none. `from` to `to` is what is here of its body. */
  #message(type: number, input: Cursor, from: number, to: number, bodyBytes: number, cut: boolean): Op | null {
    const { bytes } = input
    const startUs = input.timeUs(from - m.HEADER_BYTES)
    switch (type) {
      case m.QUERY: {
        const op = new Op(ops.QUERY, startUs)
        op.bytes = Math.max(0, bodyBytes - 1)
        if (!cut) op.text = statementText(bytes, from, to)
        if (op.bytes > TEXT_BYTES_MAX) op.truncated = true
        return op
      }
      case m.PARSE: {
        const op = new Op(ops.PARSE, startUs)
        op.bytes = readParse(bytes, from, to, bodyBytes, op)
        this.#parseName = op.name
        this.#parseUs = startUs
        this.#parseBytes = op.bytes
        return op
      }
      case m.BIND:
        return this.#bind(bytes, from, to, bodyBytes, startUs)
      case m.EXECUTE:
        return this.#execute(bytes, from, to, startUs)
      case m.DESCRIBE:
        // A portal that is described is executed next.
        if (bytes[from] !== 0x53) return null
        return named(ops.DESCRIBE, startUs, bytes, from + 1, to)
      case m.CLOSE: {
        const op = named(ops.CLOSE, startUs, bytes, from + 1, to)
        if (bytes[from] === 0x50) op.portal = 'P'
        return op
      }
      case m.SYNC:
        this.#parseUs = 0
        this.#bindUs = 0
        // The server passes over a Sync while it takes copied data.
        return this.#conversation.operations.copying ? null : new Op(ops.SYNC, startUs)
      case m.FUNCTION_CALL: {
        const op = new Op(ops.FUNCTION, startUs)
        op.bytes = Math.max(0, bodyBytes - 4)
        return op
      }
      case m.COPY_DATA:
        return this.#copyData(startUs, bodyBytes)
      case m.COPY_DONE:
      case m.COPY_FAIL:
        return this.#copyEnds(startUs, input.timeUs(to - 1), type === m.COPY_FAIL)
    }
    return null
  }

  #bind(bytes: Buffer, from: number, to: number, bodyBytes: number, startUs: number): Op {
    const op = new Op(ops.BIND, startUs)
    op.bytes = readBind(bytes, from, to, bodyBytes, op, this.#conversation.operations.withAttrs)
    const parsed = this.#parseUs !== 0 && this.#parseName === op.name
    this.#bindPortal = op.portal
    this.#bindUs = parsed ? this.#parseUs : startUs
    this.#bindBytes = op.bytes + (parsed ? this.#parseBytes : 0)
    if (parsed) this.#parseUs = 0
    return op
  }

  /** It began with its Parse or Bind where these came just before it. */
  #execute(bytes: Buffer, from: number, to: number, startUs: number): Op {
    const portal = stringAt(bytes, from, to)
    const bound = this.#bindUs !== 0 && this.#bindPortal === portal
    const op = new Op(ops.EXECUTE, bound ? this.#bindUs : startUs)
    op.name = portal
    if (bound) op.bytes = this.#bindBytes
    this.#bindUs = 0
    return op
  }

  #copyData(startUs: number, size: number): Op | null {
    const { copying, taker, queue } = this.#conversation.operations
    const last = copying ? taker : queue.last
    const open = last !== null && (copying || (last.kind === ops.COPY && !last.copyEnded))
    const op = open ? last : new Op(ops.COPY, startUs)
    op.copyRows += 1
    op.bytes += size
    op.endUs = startUs
    return open ? null : op
  }

  #copyEnds(startUs: number, endUs: number, failed: boolean): Op | null {
    const { operations } = this.#conversation
    if (operations.copying) {
      operations.copying = false
      const { taker } = operations
      if (taker !== null) {
        taker.endUs = endUs
        taker.copyFailed = failed
      }
      return null
    }
    const { last } = operations.queue
    const op = last !== null && last.kind === ops.COPY && !last.copyEnded ? last : new Op(ops.COPY, startUs)
    op.copyEnded = true
    op.copyFailed = failed
    op.endUs = endUs
    return op === last ? null : op
  }

  gap(sizeBytes: number, timeUs: number): boolean {
    if (this.#conversation.encryption.opaque) return true
    const inside = sizeBytes > 0 && sizeBytes <= this.#skip
    if (!inside) {
      this.#lost(timeUs)
      return false
    }
    this.#skip -= sizeBytes
    const { last } = this.#conversation.operations.queue
    if (last !== null && (this.#skipCounts || last.kind === ops.COPY)) last.gaps += 1
    return true
  }

  #lost(timeUs: number): void {
    this.#skip = 0
    this.#parseUs = 0
    this.#bindUs = 0
    this.#conversation.requestsLost(timeUs)
  }

  save(out: StateWriter): void {
    out.number(this.#skip)
    out.bool(this.#skipCounts)
    out.string(this.#parseName)
    out.number(this.#parseUs)
    out.number(this.#parseBytes)
    out.string(this.#bindPortal)
    out.number(this.#bindUs)
    out.number(this.#bindBytes)
  }

  restore(state: StateReader): void {
    this.#skip = state.number()
    this.#skipCounts = state.bool()
    this.#parseName = state.string()
    this.#parseUs = state.number()
    this.#parseBytes = state.number()
    this.#bindPortal = state.string()
    this.#bindUs = state.number()
    this.#bindBytes = state.number()
  }
}

/** How much of a message is looked at. Passwords and copied data are not. */
function windowOf(type: number): number {
  return type === m.COPY_DATA || type === m.PASSWORD || type === m.FUNCTION_CALL ? m.HEADER_BYTES : WINDOW_BYTES
}

const NAME_BYTES_MAX = 256

function stringAt(bytes: Buffer, from: number, to: number): string {
  const end = m.nul(bytes, from, to)
  return word(bytes, from, Math.min(end < 0 ? to : end, from + NAME_BYTES_MAX))
}

function named(kind: number, startUs: number, bytes: Buffer, from: number, to: number): Op {
  const op = new Op(kind, startUs)
  op.name = stringAt(bytes, from, to)
  return op
}
