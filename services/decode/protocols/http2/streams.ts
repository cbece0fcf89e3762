/**
 * The streams of a connection, paired by their number. A stream is handed over when both directions have ended, or it was
 * reset; an answer whose request has not come waits for it, since a source may hold one direction back, until that cannot
 * come any more: clients number their streams upwards (RFC 9113 section 5.1.1).
 */
import type { Exchange } from '../../../core/exchange.js'
import type { CloseReason, ExchangeSink } from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { applyRequest, applyResponse, applyTrailers, type FieldBlock, finishFields } from './fields.js'
import { errorName } from './frames.js'
import { GrpcMessages } from './grpc.js'
import { Stream } from './stream.js'

/** Open at once; servers allow 100 to 250. Beyond it the oldest is given up. */
const STREAMS_MAX = 512
/** Header fields kept of all open streams. */
const KEPT_BYTES_MAX = 160 * 1024

export class Streams {
  readonly #out: ExchangeSink
  readonly #open = new Map<number, Stream>()
  readonly #resets: Stream[] = []
  #keptBytes = 0
  /** Of the client's streams, the lowest and the highest whose request was seen: one between them that is not open is over. */
  #lowest = Number.POSITIVE_INFINITY
  #highest = 0
  /** Requests may be among what was lost: an answer without one may be alone for good. */
  #requestsLost = false
  /** Bytes were missed: frames may be of streams whose beginning was not seen. */
  #missed = false
  /** The highest stream that the server will answer, once it has said so. */
  #lastAnswered = Number.POSITIVE_INFINITY

  constructor(out: ExchangeSink) {
    this.#out = out
  }

  has(id: number): boolean {
    return this.#open.has(id)
  }

  /** The request that asked for HTTP/2 in HTTP/1.1 is stream 1 (RFC 7540 section 3.2). */
  upgraded(asked: Exchange): void {
    if (asked.method === '') return
    const stream = this.#stream(1)
    const { method, host, resource, reqHeaders, userAgent, traceId, spanId, requestId, principal } = asked
    const { reqStartUs, reqEndUs, reqBytes } = asked
    Object.assign(stream.exchange, {
      method,
      host,
      resource,
      reqHeaders,
      userAgent,
      traceId,
      spanId,
      requestId,
      principal,
      reqStartUs,
      reqEndUs,
      reqBytes,
    })
    const { request } = stream
    stream.hasFields = true
    request.begun = true
    request.headed = true
    request.ended = true
    this.#lowest = 1
    this.#highest = 1
  }

  #stream(id: number): Stream {
    let stream = this.#open.get(id)
    if (stream === undefined) {
      if (this.#open.size >= STREAMS_MAX) this.#giveUpOldest()
      stream = new Stream(id)
      this.#open.set(id, stream)
    }
    return stream
  }

  /** Time has come to `timeUs` in this direction: what the other end reset before then gets nothing more from here. */
  passed(direction: Direction, timeUs: number): void {
    if (this.#resets.length === 0) return
    for (const stream of [...this.#resets]) {
      if (stream.resetBy !== direction && stream.resetUs < timeUs) this.#finish(stream)
    }
  }

  headers(id: number, direction: Direction, block: FieldBlock, ends: boolean, timeUs: number, endUs: number): void {
    const stream = this.#stream(id)
    if (direction === TO_CLIENT && !stream.response.headed && isInterim(block.status))
      return interim(stream, block.status)
    stream.hasFields = true
    stream.touch(direction, timeUs)
    stream.moved(direction, endUs)
    if (direction === TO_SERVER) this.#requestFields(stream, block)
    else this.#responseFields(stream, block)
    this.#keep(stream, block)
    if (ends) this.ended(id, direction, endUs)
    else this.#settle(stream)
  }

  #requestFields(stream: Stream, block: FieldBlock): void {
    const { request } = stream
    if (stream.id > this.#highest) this.#requestOf(stream.id)
    if (request.headed || (!block.isRequest && !block.hasUnknown)) return applyTrailers(stream, TO_SERVER, block)
    request.headed = true
    applyRequest(stream, block)
    if (stream.id > this.#lastAnswered) this.#refuse(stream)
  }

  /** Requests of lower streams cannot come any more: their answers are alone. */
  #requestOf(id: number): void {
    this.#highest = id
    this.#lowest = Math.min(this.#lowest, id)
    for (const stream of this.#open.values()) {
      if (stream.id < id && !stream.request.begun && stream.response.ended) this.#finish(stream)
    }
  }

  #responseFields(stream: Stream, block: FieldBlock): void {
    const { response } = stream
    if (response.headed || (block.status === '' && !block.hasUnknown)) return applyTrailers(stream, TO_CLIENT, block)
    response.headed = true
    applyResponse(stream, block)
  }

  /** A server tells what it is going to send: as if it had been asked for (RFC 9113 section 8.4). */
  promised(id: number, block: FieldBlock, timeUs: number, endUs: number): void {
    const stream = this.#stream(id)
    const { request, exchange } = stream
    exchange.reqStartUs = timeUs
    exchange.reqEndUs = endUs
    request.begun = true
    request.headed = true
    request.ended = true
    stream.hasFields = true
    applyRequest(stream, block)
    stream.attr('http2.pushed', 'true')
    this.#keep(stream, block)
  }

  /** A block that was not read: what it said is unknown. */
  unreadable(id: number, direction: Direction, ends: boolean, timeUs: number): void {
    const stream = this.#stream(id)
    stream.touch(direction, timeUs)
    stream.hasFields = true
    stream.note('http2.unknown_fields')
    stream.exchange.complete = false
    stream.exchange.truncated = true
    stream.side(direction).headed = true
    if (ends) this.ended(id, direction, timeUs)
  }

  dataBegins(id: number, direction: Direction, timeUs: number): void {
    // Sent before it was known that the stream is over.
    if (!this.#open.has(id) && (!this.#missed || (id >= this.#lowest && id <= this.#highest))) return
    const stream = this.#stream(id)
    stream.touch(direction, timeUs)
    // Its header was not seen: joined in the middle of it, or lost.
    if (!stream.side(direction).headed) stream.exchange.complete = false
  }

  data(id: number, direction: Direction, bytes: Buffer, from: number, to: number, timeUs: number): void {
    const stream = this.#open.get(id)
    if (stream === undefined) return
    this.#count(stream, direction, to - from, timeUs)
    if (!stream.isGrpc) return
    const side = stream.side(direction)
    side.grpc ??= new GrpcMessages()
    side.grpc.data(bytes, from, to)
  }

  /** Bytes of a known length that are missing. */
  dataLost(id: number, direction: Direction, size: number, timeUs: number): void {
    const stream = this.#open.get(id)
    if (stream === undefined) return
    this.#count(stream, direction, size, timeUs)
    stream.exchange.gaps += 1
    stream.exchange.complete = false
    stream.side(direction).grpc?.lose(size)
  }

  #count(stream: Stream, direction: Direction, size: number, timeUs: number): void {
    if (direction === TO_SERVER) stream.exchange.reqBytes += size
    else stream.exchange.respBytes += size
    stream.moved(direction, timeUs)
  }

  ended(id: number, direction: Direction, timeUs: number): void {
    const stream = this.#open.get(id)
    if (stream === undefined) return
    stream.side(direction).ended = true
    stream.moved(direction, timeUs)
    this.#settle(stream)
  }

  reset(direction: Direction, id: number, code: number, timeUs: number): void {
    // Of a stream that is over; or its request is still to come.
    if (!this.#open.has(id) && id <= this.#highest && id >= this.#lowest) return
    const stream = this.#stream(id)
    if (stream.resetUs !== 0) return
    stream.moved(direction, timeUs)
    stream.resetUs = timeUs
    stream.resetBy = direction
    stream.resetCode = code
    this.#resets.push(stream)
  }

  /** Streams above `last` were not looked at. */
  goAway(direction: Direction, last: number, timeUs: number): void {
    if (direction !== TO_CLIENT) return
    this.#lastAnswered = last
    for (const stream of this.#open.values()) {
      if (stream.id <= last) continue
      this.#refuse(stream)
      stream.moved(TO_CLIENT, timeUs)
    }
  }

  #refuse(stream: Stream): void {
    stream.note('http2.refused_by_goaway')
  }

  #settle(stream: Stream): void {
    const { request, response, exchange } = stream
    if (!response.ended) return
    const alone = !request.begun && (this.#requestsLost || stream.id < this.#highest)
    if (request.ended || alone || (request.begun && exchange.gaps > 0)) this.#finish(stream)
  }

  /** Bytes of unknown content are missing from this direction: they may have been of any stream that is not over. */
  lost(direction: Direction, _timeUs: number): void {
    this.#missed = true
    if (direction === TO_SERVER) this.#requestsLost = true
    for (const stream of [...this.#open.values()]) {
      stream.damage(direction)
      this.#settle(stream)
    }
  }

  #keep(stream: Stream, block: FieldBlock): void {
    for (const text of block.fields) {
      stream.keptBytes += text.length
      this.#keptBytes += text.length
    }
    while (this.#keptBytes > KEPT_BYTES_MAX && this.#open.size > 1) this.#giveUpOldest()
  }

  #giveUpOldest(): void {
    for (const stream of this.#open.values()) {
      stream.note('http2.too_many_streams')
      this.#unfinished(stream, 'evicted')
      return
    }
  }

  #finish(stream: Stream): void {
    const { exchange, request, response, resetUs } = stream
    if (resetUs !== 0 && !(request.ended && response.ended)) {
      exchange.complete = false
      // NO_ERROR: the server has answered and wants no more of the request (RFC 9113 section 8.1).
      if (stream.resetCode !== 0 || !response.ended) {
        exchange.outcome = 'reset'
        exchange.error = errorName(stream.resetCode)
      }
    }
    if (!request.headed || !response.headed) exchange.complete = false
    if (!request.begun) {
      stream.note('http2.response_without_request')
    }
    this.#handOver(stream)
  }

  #handOver(stream: Stream): void {
    this.#open.delete(stream.id)
    this.#keptBytes -= stream.keptBytes
    const at = this.#resets.indexOf(stream)
    if (at >= 0) this.#resets.splice(at, 1)
    // Data alone, of a stream whose every header was missed: nothing to tell, and after a loss it may be chance.
    if (!stream.hasFields) return
    const { outcome, error } = stream.exchange
    finishFields(stream)
    if (outcome === 'reset') {
      stream.exchange.outcome = outcome
      stream.exchange.error = error
    }
    this.#out.exchange(stream.exchange)
  }

  #unfinished(stream: Stream, reason: CloseReason): void {
    const { exchange, response } = stream
    if (stream.resetUs !== 0 || (response.ended && stream.request.ended)) return this.#finish(stream)
    exchange.complete = false
    if (reason === 'reset') exchange.outcome = 'reset'
    else if (!response.begun) {
      exchange.outcome = stream.answerMayBeLost || reason === 'evicted' ? 'unknown' : 'no_response'
    }
    if (!stream.request.begun) stream.note('http2.response_without_request')
    this.#handOver(stream)
  }

  close(reason: CloseReason): void {
    for (const stream of [...this.#open.values()].sort((a, b) => a.id - b.id)) this.#unfinished(stream, reason)
  }

  save(out: StateWriter): void {
    out.number(this.#lowest)
    out.number(this.#highest)
    out.number(this.#lastAnswered)
    out.bool(this.#requestsLost)
    out.bool(this.#missed)
    out.number(this.#open.size)
    for (const stream of this.#open.values()) stream.save(out)
    out.number(this.#resets.length)
    for (const { id } of this.#resets) out.number(id)
  }

  restore(state: StateReader): void {
    this.#lowest = state.number()
    this.#highest = state.number()
    this.#lastAnswered = state.number()
    this.#requestsLost = state.bool()
    this.#missed = state.bool()
    this.#open.clear()
    this.#resets.length = 0
    this.#keptBytes = 0
    for (let left = state.number(); left > 0 && !state.failed; left--) {
      const stream = Stream.restore(state)
      this.#open.set(stream.id, stream)
      this.#keptBytes += stream.keptBytes
    }
    for (let left = state.number(); left > 0 && !state.failed; left--) {
      const stream = this.#open.get(state.number())
      if (stream !== undefined) this.#resets.push(stream)
    }
  }
}

const INTERIM = 'http.response.interim_status_codes'
const INTERIM_CHARS_MAX = 64

const isInterim = (status: string): boolean => status.length === 3 && status.startsWith('1') && status !== '101'

function interim(stream: Stream, status: string): void {
  const before = stream.exchange.attrs?.[INTERIM] ?? ''
  if (before.length < INTERIM_CHARS_MAX) stream.attr(INTERIM, before === '' ? status : `${before},${status}`)
}
