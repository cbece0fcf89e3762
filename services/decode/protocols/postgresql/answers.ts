/** What the server says is given to the operations it answers. */
import type { Conversation } from './conversation.js'
import * as m from './messages.js'
import { notification, readAuthentication, readParameter } from './notices.js'
import * as ops from './op.js'
import { ALONE, TAKE, TOUCHED, WAIT } from './place.js'
import { readTypes } from './request_body.js'

export const NOTHING: Buffer = Buffer.alloc(0)

/** A message of the server. One object serves for all of a connection. */
export class ServerMessage {
  type = 0
  /** Its body, as far as it is here and looked at, lies in [from, to). */
  bytes = NOTHING
  from = 0
  to = 0
  /** As it stands in the message: of the whole body, and 4. */
  length = 0
  /** Part of what is looked at is missing. */
  cut = false
  startUs = 0
  endUs = 0
}

export class Answers {
  readonly #conversation: Conversation

  constructor(conversation: Conversation) {
    this.#conversation = conversation
  }

  /** False if the client's direction must go first. `ended`: nothing more comes that could be waited for. */
  take(message: ServerMessage, ended: boolean): boolean {
    const { type, bytes, from, to, startUs } = message
    const conversation = this.#conversation
    const { operations } = conversation
    switch (type) {
      case m.NOTIFICATION:
        operations.hand(notification(operations.newExchange(), message))
        return true
      case m.PARAMETER_STATUS:
        readParameter(bytes, from, to, operations.session)
        return true
      case m.NOTICE:
        conversation.reply.notices += 1
        return true
      case m.BACKEND_KEY:
      case m.NEGOTIATE:
        return true
    }
    let place = conversation.place(startUs)
    if (place === WAIT) {
      if (!ended) return false
      place = ALONE
    }
    if (place === TAKE) {
      const taken = this.#next(message, ended)
      if (taken === WAIT && !ended) return false
      if (taken === true) return true
      place = conversation.mismatch(startUs)
    }
    this.#apart(message, place === TOUCHED)
    return true
  }

  /** It answers the first operation; false if that cannot have such an answer. */
  #next(message: ServerMessage, ended: boolean): boolean | typeof WAIT {
    const { type, bytes, from, to, startUs, endUs } = message
    const conversation = this.#conversation
    switch (type) {
      case m.PARSE_COMPLETE:
        return conversation.completes(ops.PARSE)
      case m.BIND_COMPLETE:
        return conversation.completes(ops.BIND)
      case m.CLOSE_COMPLETE:
        return conversation.completes(ops.CLOSE)
      case m.PARAMETER_DESCRIPTION:
        return conversation.describes(readTypes(bytes, from, to))
      case m.READY:
        conversation.reply.endUs = endUs
        return conversation.ready(endUs)
      case m.AUTHENTICATION:
        if (conversation.first?.kind !== ops.STARTUP) return false
        this.start(startUs)
        readAuthentication(bytes, from, to, conversation.reply)
        return true
      case m.NO_DATA:
        return conversation.described()
      case m.ROW_DESCRIPTION:
        if (conversation.first?.kind === ops.QUERY) this.start(startUs)
        return conversation.described()
      case m.ERROR:
        if (conversation.first === null) return false
        this.start(startUs)
        conversation.reply.readError(bytes, from, to)
        conversation.reply.cut ||= message.cut
        conversation.reply.endUs = endUs
        return conversation.failed()
      case m.FUNCTION_RESPONSE:
        if (conversation.first?.kind !== ops.FUNCTION) return false
        this.start(startUs)
        this.#result(message)
        return true
    }
    if (!conversation.answers) return false
    // The server says that a copy is over once the client has said so.
    if (type === m.COMMAND_COMPLETE && conversation.operations.copying) {
      if (!ended) return WAIT
      conversation.reply.dataOpen = true
    }
    this.start(startUs)
    this.#result(message)
    if (type === m.COPY_IN || type === m.COPY_BOTH) conversation.operations.copiesIn()
    if (type === m.COMMAND_COMPLETE || type === m.SUSPENDED || type === m.EMPTY_QUERY) conversation.executed()
    return true
  }

  start(timeUs: number): void {
    const { reply } = this.#conversation
    if (reply.startUs === 0) reply.startUs = timeUs
  }

  /** Rows, copied data, and how a statement ended. */
  #result({ type, bytes, from, to, length, cut, endUs }: ServerMessage): void {
    const { reply } = this.#conversation
    switch (type) {
      case m.DATA_ROW:
        reply.rows += 1
        reply.bytes += rowBytes(length, to - from >= 2 ? m.int16(bytes, from) : 0)
        break
      case m.COMMAND_COMPLETE:
        if (cut) reply.completed += 1
        else reply.readComplete(bytes, from, to)
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
  #apart(message: ServerMessage, touched: boolean): void {
    const { type, bytes, from, to, startUs, endUs } = message
    const conversation = this.#conversation
    if (type === m.READY) {
      conversation.reply.endUs = endUs
      if (touched) conversation.readyTouched(endUs)
      else conversation.readyAlone(endUs)
      return
    }
    this.start(startUs)
    if (type === m.ERROR) {
      conversation.errs(startUs)
      conversation.reply.readError(bytes, from, to)
      conversation.reply.endUs = endUs
    } else if (type === m.AUTHENTICATION) {
      readAuthentication(bytes, from, to, conversation.reply)
      conversation.reply.endUs = endUs
    } else this.#result(message)
    if (touched && (type === m.COPY_IN || type === m.COPY_BOTH)) conversation.operations.copiesIn()
    if (!conversation.reply.ended) return
    if (touched) conversation.endsTouched()
    else conversation.operations.standAlone()
  }
}

/** What the values of a row take, by its length and their number. */
export function rowBytes(length: number, columns: number): number {
  return Math.max(0, length - 6 - 4 * columns)
}
