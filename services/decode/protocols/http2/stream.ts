/** One stream of a connection: a request and its answer, each of header fields, data and perhaps trailers. RFC 9113 section 8. */
import { Exchange, NO_STRINGS } from '../../../core/exchange.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { note } from '../pairing/pending.js'
import { GrpcMessages } from './grpc.js'

/** What is known of one direction of a stream. */
export class Side {
  begun = false
  ended = false
  /** Its (final) header fields have been seen. */
  headed = false
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
    this.grpc = null
    if ((bits & 8) === 0) return
    this.grpc = new GrpcMessages()
    this.grpc.restore(state)
  }
}

export class Stream {
  readonly id: number
  readonly exchange = new Exchange()
  readonly request = new Side()
  readonly response = new Side()
  /** -1 = none seen. */
  grpcStatus = -1
  /** When, by whom and why the stream was reset; 0 = it was not. */
  resetUs = 0
  resetBy: Direction = TO_SERVER
  resetCode = 0
  /** A header block of it was seen, in either direction. */
  hasFields = false
  /** Of its header fields; counted by the table of streams. */
  keptBytes = 0
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

  get isGrpc(): boolean {
    return this.exchange.protocol === 'grpc'
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
    if (direction === TO_SERVER) exchange.reqEndUs = Math.max(exchange.reqEndUs, timeUs)
    else exchange.respEndUs = Math.max(exchange.respEndUs, timeUs)
  }

  /** Bytes of this direction were lost that may have been this stream's. */
  damage(direction: Direction): void {
    const side = this.side(direction)
    if (side.ended) return
    if (direction !== TO_SERVER) this.answerMayBeLost = true
    if (!side.begun) return
    this.exchange.gaps += 1
    this.exchange.complete = false
    side.grpc?.lose(0)
  }

  note(anomaly: string): void {
    note(this.exchange, anomaly)
  }

  attr(name: string, value: string): void {
    const { exchange } = this
    if (exchange.attrs === null) exchange.attrs = {}
    exchange.attrs[name] = value
  }

  save(out: StateWriter): void {
    out.number(this.id)
    out.string(JSON.stringify(this.exchange))
    this.request.save(out)
    this.response.save(out)
    for (const value of [this.grpcStatus, this.resetUs, this.resetBy, this.resetCode, this.keptBytes]) out.number(value)
    out.bool(this.hasFields)
    out.bool(this.answerMayBeLost)
  }

  static restore(state: StateReader): Stream {
    const stream = new Stream(state.number())
    try {
      Object.assign(stream.exchange, JSON.parse(state.string()))
      if (stream.exchange.anomalies.length === 0) stream.exchange.anomalies = NO_STRINGS
    } catch {
      state.failed = true
    }
    stream.request.restore(state)
    stream.response.restore(state)
    stream.grpcStatus = state.number()
    stream.resetUs = state.number()
    stream.resetBy = state.number() === TO_SERVER ? TO_SERVER : TO_CLIENT
    stream.resetCode = state.number()
    stream.keptBytes = state.number()
    stream.hasFields = state.bool()
    stream.answerMayBeLost = state.bool()
    return stream
  }
}
