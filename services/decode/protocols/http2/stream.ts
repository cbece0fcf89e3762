/** One stream of a connection: a request and its answer, each of header fields, data and perhaps trailers. RFC 9113 section 8. */
import { Exchange } from '../../../core/exchange.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { isCallPath, webTrailer } from '../grpc/call.js'
import { GrpcMessages } from '../grpc/messages.js'
import { NO_STATUS } from '../grpc/status.js'
import { note } from '../pairing/pending.js'
import { restoreExchange, saveExchange } from './exchange_state.js'
import { Said } from './said.js'
import type { TextReader, TextWriter } from './texts.js'

/** What the column holds; hostile bytes can be misread more often. */
const GAPS_MAX = 0xffff

/** What is known of one direction of a stream. */
export class Side {
  begun = false
  ended = false
  /** Its (final) header fields have been seen. */
  headed = false
  /** From its header on, where that says gRPC. */
  grpc: GrpcMessages | null = null

  save(out: StateWriter): void {
    out.u8((this.begun ? 1 : 0) | (this.ended ? 2 : 0) | (this.headed ? 4 : 0) | (this.grpc !== null ? 8 : 0))
    this.grpc?.save(out)
  }

  restore(state: StateReader): void {
    const bits = state.u8()
    this.begun = (bits & 1) !== 0
    this.ended = (bits & 2) !== 0
    this.headed = (bits & 4) !== 0
    this.grpc = (bits & 8) !== 0 ? GrpcMessages.restore(state) : null
  }
}

export class Stream {
  readonly id: number
  readonly exchange = new Exchange()
  readonly request = new Side()
  readonly response = new Side()
  /** For the attributes; null = nothing so far. */
  said: Said | null = null
  grpcStatus: number = NO_STATUS
  /** The answer is known not to be gRPC's. */
  isPage = false
  /** When, by whom and why the stream was reset; 0 = it was not. */
  resetUs = 0
  resetBy: Direction = TO_SERVER
  resetCode = 0
  /** A type that the capture has not seen may have said gRPC: messages are counted, and tell at the end. */
  mayBeGrpc = false
  /** The answer ended with header fields. */
  endsInFields = false
  /** Something of a header block of it is known, in either direction. */
  hasFields = false
  /** Of its texts in a saved state, at most. */
  bytes = 0
  /** Bytes of the answer may be among those that were lost. */
  answerMayBeLost = false

  constructor(id: number) {
    this.id = id
    this.exchange.protocol = 'http2'
    this.exchange.l7Version = '2'
  }

  side(direction: Direction): Side {
    return direction === TO_SERVER ? this.request : this.response
  }

  /** The answer is whole, and the request, if any of it was seen. */
  get isOver(): boolean {
    return this.response.ended && (this.request.ended || !this.request.begun)
  }

  /** What was taken for the header of the answer, whose status is not known, was an interim one: this is another. */
  wasInterim(status: string): boolean {
    const { statusCode, respBytes } = this.exchange
    return this.response.headed && status !== '' && statusCode === 0 && respBytes === 0
  }

  forgetInterim(): void {
    this.response.headed = false
    this.exchange.respStartUs = 0
  }

  expectMessages(direction: Direction, asText: boolean): void {
    this.side(direction).grpc ??= new GrpcMessages(asText)
  }

  /**
   * Its types are not known, and yet it can be nothing else: messages with their lengths in front from first byte to last, the
   * answer's with trailers behind them. Of a call that sends nothing back the request's messages have to do. One that was
   * reset has to have messages in both directions. `amongCalls`: whatever else the connection carried were calls; then nothing
   * may speak against it.
   */
  looksLikeGrpc(amongCalls: boolean): boolean {
    const { exchange, request, response } = this
    if (!this.mayBeGrpc || !isCallPath(exchange.resource)) return false
    if (amongCalls) return request.grpc?.isPlausible !== false && response.grpc?.isPlausible !== false
    if (!response.headed) return false
    if (!response.ended) return request.grpc?.isBegun === true && response.grpc?.isBegun === true
    if (request.headed && request.grpc?.isWhole !== true) return false
    const answered = exchange.respBytes > 0
    if (answered && response.grpc?.isWhole !== true) return false
    if (webTrailer(response.grpc?.trailers ?? '', 'grpc-status') !== '') return true
    return this.endsInFields && (answered || request.headed)
  }

  /** Its request, all of it, came otherwise. */
  ask(asked: Exchange): void {
    const { exchange } = this
    const { method, host, resource, reqHeaders, userAgent, traceId, spanId, requestId, principal } = asked
    const { reqStartUs, reqEndUs, reqBytes } = asked
    Object.assign(exchange, {
      method,
      host,
      resource,
      reqHeaders,
      userAgent,
      traceId,
      spanId,
      requestId,
      principal,
    })
    Object.assign(exchange, { reqStartUs, reqEndUs, reqBytes })
    // A part of its body may have been lost. Whether it was answered is told of this stream, not of that exchange.
    exchange.gaps = asked.gaps
    exchange.complete = asked.gaps === 0 && hasWholeBody(asked)
    exchange.truncated = asked.truncated
    this.hasFields = true
    this.request.begun = true
    this.request.headed = true
    this.request.ended = true
  }

  say(): Said {
    this.said ??= new Said()
    return this.said
  }

  /** A frame of this direction at `timeUs`. */
  touch(direction: Direction, timeUs: number): void {
    const { exchange } = this
    this.side(direction).begun = true
    if (direction === TO_SERVER) {
      if (exchange.reqStartUs === 0) exchange.reqStartUs = timeUs
    } else if (exchange.respStartUs === 0) exchange.respStartUs = timeUs
    this.moved(direction, timeUs)
  }

  moved(direction: Direction, timeUs: number): void {
    const { exchange } = this
    if (direction === TO_SERVER) {
      if (timeUs > exchange.reqEndUs) exchange.reqEndUs = timeUs
    } else if (timeUs > exchange.respEndUs) exchange.respEndUs = timeUs
  }

  /** Bytes of this direction were lost that may have been this stream's. */
  damage(direction: Direction): void {
    const side = this.side(direction)
    if (side.ended) return
    if (direction === TO_CLIENT) this.answerMayBeLost = true
    if (!side.begun) return
    this.gap()
    side.grpc?.lose(0)
  }

  gap(): void {
    if (this.exchange.gaps < GAPS_MAX) this.exchange.gaps += 1
    this.exchange.complete = false
  }

  note(anomaly: string): void {
    note(this.exchange, anomaly)
  }

  save(out: StateWriter, texts: TextWriter): void {
    out.u32(this.id)
    out.u8(
      (this.hasFields ? 1 : 0) |
        (this.answerMayBeLost ? 2 : 0) |
        (this.resetUs !== 0 ? 4 : 0) |
        (this.said !== null ? 16 : 0) |
        (this.isPage ? 32 : 0) |
        (this.mayBeGrpc ? 64 : 0) |
        (this.endsInFields ? 128 : 0) |
        (this.resetBy << 3),
    )
    out.u32(Math.min(this.bytes, 0xffff_ffff))
    out.u32(this.grpcStatus + 1)
    if (this.resetUs !== 0) {
      out.number(this.resetUs)
      out.u32(this.resetCode)
    }
    this.said?.save(out, texts)
    this.request.save(out)
    this.response.save(out)
    saveExchange(this.exchange, out, texts)
  }

  static restore(state: StateReader, texts: TextReader): Stream {
    const stream = new Stream(state.u32())
    const bits = state.u8()
    stream.hasFields = (bits & 1) !== 0
    stream.answerMayBeLost = (bits & 2) !== 0
    stream.isPage = (bits & 32) !== 0
    stream.mayBeGrpc = (bits & 64) !== 0
    stream.endsInFields = (bits & 128) !== 0
    stream.resetBy = (bits & 8) !== 0 ? TO_CLIENT : TO_SERVER
    stream.bytes = state.u32()
    stream.grpcStatus = state.u32() - 1
    if ((bits & 4) !== 0) {
      stream.resetUs = state.number()
      stream.resetCode = state.u32()
    }
    if ((bits & 16) !== 0) stream.say().restore(state, texts)
    stream.request.restore(state)
    stream.response.restore(state)
    restoreExchange(stream.exchange, state, texts)
    return stream
  }
}

/** As far as its length was said. */
function hasWholeBody({ reqHeaders, reqBytes }: Exchange): boolean {
  for (let i = 0; i < reqHeaders.length; i += 2) {
    if (reqHeaders[i] === 'content-length') return Number(reqHeaders[i + 1]) === reqBytes
  }
  return true
}
