/** HTTP/1.0 and 1.1 (RFC 9110, RFC 9112), and 0.9 where nothing else fits; gRPC-Web in it. */
import type { Cursor } from '../../../core/cursor.js'
import { Exchange } from '../../../core/exchange.js'
import {
  type CloseReason,
  type Decoder,
  type ExchangeSink,
  type Handover,
  type Protocol,
  SWITCH,
  type Verdict,
} from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { GRPC_PRIVACY } from '../grpc/privacy.js'
import { HTTP_PRIVACY } from '../http_semantics/privacy.js'
import { PairingByOrder } from '../pairing/by_order.js'
import { findMessage, isHttp2Preface, isResponse, mayBeRequest, probeHead } from './probe.js'
import { EARLY_RESPONSE, RequestSide, UPGRADE } from './request_side.js'
import { ResponseSide } from './response_side.js'

export const http1: Protocol = {
  name: 'http1',
  transports: ['tcp', 'unix'],
  privacy: { http1: HTTP_PRIVACY, grpc: GRPC_PRIVACY },
  probe: (head: Cursor): Verdict => probeHead(head),
  turned: (head: Cursor, direction: Direction) => isResponse(head) === (direction === TO_SERVER),
  open: (out: ExchangeSink): Decoder => new Http1Decoder(out),
}

const NAMES = {
  protocol: 'http1',
  responseLost: 'http1.response_lost',
  responseAlone: 'http1.response_without_request',
  inferred: 'http1.paired_after_loss',
  tooMany: 'http1.too_many_pending',
  headCut: 'http1.head_cut',
  early: EARLY_RESPONSE,
} as const

const STATE_VERSION = 7

class Http1Decoder implements Decoder {
  readonly #pairing: PairingByOrder
  readonly #requests: RequestSide
  readonly #responses: ResponseSide

  constructor(out: ExchangeSink) {
    this.#pairing = new PairingByOrder(out, NAMES)
    this.#requests = new RequestSide(this.#pairing)
    this.#responses = new ResponseSide(this.#pairing)
  }

  parse(direction: Direction, input: Cursor): number {
    if (this.#responses.switching !== null) return SWITCH
    if (direction === TO_SERVER && this.#requests.idle && isHttp2Preface(input)) {
      // A client that asked for it says so only once it was told yes, whether or not that answer was captured.
      this.#responses.switching = { protocol: 'http2', exchange: this.#requests.askedFor('h2c') ?? new Exchange() }
      return SWITCH
    }
    if (direction === TO_CLIENT) {
      const consumed = this.#responses.parse(input)
      // Of a head that is not whole no more will be read.
      if (this.#responses.switching !== null) this.#requests.cut()
      return consumed
    }
    const asking = this.#requests.asksUpgrade
    // No answer was seen, and none will be: for these bytes HTTP was at its end.
    if (input.ended && asking?.attrs?.[UPGRADE] === 'websocket' && !mayBeRequest(input)) {
      this.#responses.switchesTo('websocket', asking)
      return SWITCH
    }
    return this.#requests.parse(input)
  }

  resync(direction: Direction, input: Cursor): number {
    return findMessage(input, direction === TO_CLIENT)
  }

  gap(direction: Direction, sizeBytes: number, timeUs: number): boolean {
    if (direction === TO_SERVER) return this.#requests.gap(sizeBytes, timeUs)
    const known = this.#responses.gap(sizeBytes, timeUs)
    const asking = this.#requests.asksUpgrade
    // Its frames can be told from everything else, so that it does no harm to look for them.
    if (!known && asking?.attrs?.[UPGRADE] === 'websocket') this.#responses.switchesTo('websocket', asking)
    return known
  }

  end(direction: Direction): void {
    if (direction === TO_CLIENT) this.#responses.end()
    else {
      this.#requests.end()
      this.#pairing.requestsEnded()
    }
  }

  close(reason: CloseReason): void {
    const answering = this.#responses.underWay
    if (reason === 'reset' && answering !== null) answering.exchange.outcome = 'reset'
    this.#responses.cut()
    this.#requests.cut()
    this.#pairing.close(reason)
  }

  handover(): Handover | null {
    return this.#responses.switching
  }

  save(out: StateWriter): void {
    out.u8(STATE_VERSION)
    this.#pairing.save(out, this.#requests.underWay, this.#responses.underWay)
    this.#requests.save(out)
    this.#responses.save(out)
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    const underWay = this.#pairing.restore(state)
    if (underWay === null) return false
    this.#requests.restore(state, underWay.request)
    this.#responses.restore(state, underWay.response)
    return state.finished
  }
}
