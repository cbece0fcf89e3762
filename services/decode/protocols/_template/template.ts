/**
 * TEMPLATE: what this protocol is, in a sentence, and where it is written down. This skeleton decodes lines:
 *
 *     request  = "TEMPLATE " verb " " key LF
 *     response = "TEMPLATE OK " digits LF / "TEMPLATE ERR " reason LF
 *
 * Answers come in the order of requests.
 */
import type { Cursor } from '../../../core/cursor.js'
import {
  BAD,
  type CloseReason,
  type Decoder,
  type ExchangeSink,
  MORE,
  type Protocol,
  type Verdict,
} from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { PairingByOrder } from '../pairing/by_order.js'
import { LINE_BYTES_MAX, lineSize, wordsOf } from './lines.js'
import { findLine, isAnswer, probeHead } from './probe.js'

export const template: Protocol = {
  name: 'template',
  transports: ['tcp', 'unix'],
  privacy: {
    template: {
      // A key may name a person: of `user:17` the shape stays.
      maskResource: (resource) => resource.replace(/[0-9]+/g, '?'),
      attrsKept: new Set(),
    },
  },
  probe: (head: Cursor): Verdict => probeHead(head),
  turned: (head: Cursor, direction: Direction) => isAnswer(head) === (direction === TO_SERVER),
  open: (out: ExchangeSink): Decoder => new TemplateDecoder(out),
}

const NAMES = {
  protocol: 'template',
  responseLost: 'template.response_lost',
  responseAlone: 'template.response_without_request',
  inferred: 'template.paired_after_loss',
  tooMany: 'template.too_many_pending',
  headCut: 'template.line_cut',
  early: 'template.early_response',
} as const

const STATE_VERSION = 1

class TemplateDecoder implements Decoder {
  readonly #pairing: PairingByOrder

  constructor(out: ExchangeSink) {
    this.#pairing = new PairingByOrder(out, NAMES)
  }

  parse(direction: Direction, input: Cursor): number {
    if (direction === TO_CLIENT && this.#requestMayCome(input)) {
      input.waits = true
      return MORE
    }
    const size = lineSize(input)
    if (size === MORE && !input.ended && input.length <= LINE_BYTES_MAX) {
      // Known not to be here yet: the host asks again with more, and the search goes on from there.
      input.searchedBytes = input.length
      return MORE
    }
    const words = size === MORE ? null : wordsOf(input.bytes, input.pos, input.pos + size - 1)
    const understood =
      words !== null && (direction === TO_SERVER ? this.#request(words, input) : this.#answer(words, input))
    if (understood) return size
    this.#pairing.lost(direction, input.timeUs(input.pos))
    return BAD
  }

  /** An answer that is here before its request: a source may hand that over a little later. */
  #requestMayCome(input: Cursor): boolean {
    return !input.ended && input.length < LINE_BYTES_MAX && this.#pairing.awaitsRequest
  }

  #request(words: readonly string[], input: Cursor): boolean {
    if (words.length !== 2) return false
    const timeUs = input.timeUs(input.pos)
    const pending = this.#pairing.request(timeUs)
    const { exchange } = pending
    exchange.method = words[0]
    exchange.resource = words[1]
    exchange.endpoint = words[0]
    exchange.reqStartUs = timeUs
    exchange.reqEndUs = timeUs
    this.#pairing.requestDone(pending)
    return true
  }

  #answer(words: readonly string[], input: Cursor): boolean {
    const failed = words[0] === 'ERR'
    if (words.length !== 2 || (!failed && words[0] !== 'OK')) return false
    const timeUs = input.timeUs(input.pos)
    const pending = this.#pairing.response(timeUs)
    const { exchange } = pending
    exchange.statusCode = failed ? 1 : 0
    exchange.outcome = failed ? 'server_error' : 'ok'
    if (failed) exchange.error = words[1]
    exchange.respStartUs = timeUs
    exchange.respEndUs = timeUs
    this.#pairing.responseDone(pending)
    return true
  }

  resync(direction: Direction, input: Cursor): number {
    return findLine(input, direction === TO_CLIENT)
  }

  gap(direction: Direction, _sizeBytes: number, timeUs: number): boolean {
    this.#pairing.lost(direction, timeUs)
    return false
  }

  end(direction: Direction): void {
    if (direction === TO_SERVER) this.#pairing.requestsEnded()
  }

  close(reason: CloseReason): void {
    this.#pairing.close(reason)
  }

  save(out: StateWriter): void {
    out.u8(STATE_VERSION)
    this.#pairing.save(out, null, null)
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    return this.#pairing.restore(state) !== null && state.finished
  }
}
