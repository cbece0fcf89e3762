/**
 * The streams of a connection, paired by their number. A stream is handed over when both directions have ended, or it was
 * reset; an answer whose request has not come waits for it, since a source may hold one direction back, until that cannot
 * come any more: clients number their streams upwards (RFC 9113 section 5.1.1).
 */
import type { Exchange } from '../../../core/exchange.js'
import type { CloseReason, ExchangeSink } from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { type FieldBlock, TEXT_HEAD_BYTES } from './field_block.js'
import { applyRequest, applyResponse, applyTrailers } from './fields.js'
import { finishExchange } from './finish.js'
import { GoAway } from './goaway.js'
import { ResetStreams } from './reset_streams.js'
import { Stream } from './stream.js'
import type { TextReader, TextWriter } from './texts.js'

/**
 * All that the decoder of a connection holds, as it is saved: streams, HPACK tables, blocks in parts. Beyond it the oldest
 * stream is given up.
 */
export const STATE_BYTES_MAX = 896 * 1024
/** Of one stream without its texts: about a thousand with a usual header may be open at once. */
const STREAM_BYTES = 480
/** Answers that wait for their requests: as many as may be in the segments that the host holds back behind a loss. */
const WAITING_MAX = 512

export class Streams {
  readonly #out: ExchangeSink
  readonly #open = new Map<number, Stream>()
  readonly #resets = new ResetStreams()
  /** Of the texts of all open streams, as they are saved. */
  #textBytes = 0
  /** Of what else is saved of the connection. */
  otherBytes = 0
  /** Whole answers whose requests have not been seen. */
  #waiting = 0
  /** Of the client's streams, the lowest and the highest whose request was seen: one between them that is not open is over. */
  #lowest = Number.POSITIVE_INFINITY
  #highest = 0
  /** The highest of either side; 0 = none. */
  newest = 0
  /** Counts up whenever other streams are known than before. */
  changes = 0
  #hinted = 0
  /** Bytes were missed: frames may be of streams whose beginning was not seen. */
  #missed = false
  /** A request whose end was not seen is not waited for any more: its trailers may still come. */
  #leftOpen = false
  readonly #goAway = new GoAway()
  /** Calls of gRPC were among the exchanges so far; and others, that certainly were none. */
  #hadCalls = false
  #hadOthers = false

  constructor(out: ExchangeSink) {
    this.#out = out
  }

  isKnown(id: number): boolean {
    return id === this.#hinted || this.#open.has(id)
  }

  /** Somebody takes in data of this stream, whose header may have been missed. */
  hint(id: number): void {
    if (id === 0 || (id === this.#hinted && id <= this.newest)) return
    this.#hinted = id
    this.changes += 1
    if (id > this.newest) this.newest = id
  }

  get highest(): number {
    return this.#highest
  }

  /** Every request so far was seen from its first to its last byte: header fields from the client can only be a new one's. */
  get requestsWhole(): boolean {
    if (this.#missed || this.#leftOpen) return false
    for (const { request } of this.#open.values()) if (request.begun && !request.ended) return false
    return true
  }

  /** The request that asked for HTTP/2 in HTTP/1.1 is stream 1 (RFC 7540 section 3.2). */
  upgraded(asked: Exchange): void {
    if (asked.method === '') return
    const stream = this.#stream(1)
    stream.ask(asked)
    this.#lowest = 1
    this.#highest = 1
    let bytes = 0
    for (const text of [asked.method, asked.host, asked.resource, asked.principal, ...asked.reqHeaders]) {
      bytes += TEXT_HEAD_BYTES + Buffer.byteLength(text)
    }
    this.#keep(stream, bytes)
  }

  #stream(id: number): Stream {
    let stream = this.#open.get(id)
    if (stream === undefined) {
      stream = new Stream(id)
      this.#open.set(id, stream)
      this.changes += 1
      if (id > this.newest) this.newest = id
      this.#makeRoom()
    }
    return stream
  }

  /** Not open any more: what comes of it was sent before its end was known. */
  #isOver(id: number): boolean {
    if (id > this.#highest || this.#open.has(id)) return false
    return this.#resets.wasReset(id) || (!this.#missed && id >= this.#lowest)
  }

  #isBetween(id: number): boolean {
    return id >= this.#lowest && id <= this.#highest
  }

  /** A frame of this direction; the request of an answer that waits may come so. */
  #touch(stream: Stream, direction: Direction, timeUs: number): void {
    if (this.#waiting > 0 && direction === TO_SERVER && isWaiting(stream)) this.#waiting -= 1
    stream.touch(direction, timeUs)
  }

  /** Time has come to `timeUs` in this direction: what the other end reset before then gets nothing more from here. */
  passed(direction: Direction, timeUs: number): void {
    let stream = this.#resets.due(direction, timeUs)
    while (stream !== null) {
      this.#finish(stream)
      stream = this.#resets.due(direction, timeUs)
    }
  }

  headers(id: number, direction: Direction, block: FieldBlock, ends: boolean, timeUs: number, endUs: number): void {
    if (this.#isOver(id)) return
    const stream = this.#stream(id)
    if (direction === TO_CLIENT && !stream.response.headed && isInterim(block.status)) {
      return interim(stream, block.status)
    }
    if (!block.isEmpty) stream.hasFields = true
    if (direction === TO_CLIENT && stream.wasInterim(block.status)) stream.forgetInterim()
    this.#touch(stream, direction, timeUs)
    stream.moved(direction, endUs)
    if (direction === TO_SERVER) this.#requestFields(stream, block)
    else this.#responseFields(stream, block)
    this.#keep(stream, block.savedBytesMax)
    // It may have been given up for want of room.
    if (ends && direction === TO_CLIENT) stream.endsInFields = true
    if (ends && this.#open.get(id) === stream) this.#sideEnded(stream, direction)
  }

  #requestFields(stream: Stream, block: FieldBlock): void {
    const { request } = stream
    if (stream.id > this.#highest) this.#requestOf(stream.id)
    if (request.headed || (!block.isRequest && !block.hasUnknown)) return applyTrailers(stream, TO_SERVER, block)
    request.headed = true
    applyRequest(stream, block)
  }

  /** Requests of lower streams cannot come any more: their answers are alone. */
  #requestOf(id: number): void {
    this.#highest = id
    if (id < this.#lowest) this.#lowest = id
    if (this.#waiting === 0) return
    for (const stream of [...this.#open.values()]) if (stream.id < id && isWaiting(stream)) this.#finish(stream)
  }

  #responseFields(stream: Stream, block: FieldBlock): void {
    const { response } = stream
    if (response.headed || (block.status === '' && !block.hasUnknown)) return applyTrailers(stream, TO_CLIENT, block)
    response.headed = true
    applyResponse(stream, block)
  }

  /** A server tells what it is going to send: as if it had been asked for (RFC 9113 section 8.4). */
  promised(id: number, block: FieldBlock, timeUs: number, endUs: number): void {
    // That the client cancelled it may be here before.
    if (id % 2 !== 0 || this.#open.get(id)?.hasFields === true || this.#resets.wasReset(id)) return
    const stream = this.#stream(id)
    const { request, exchange } = stream
    exchange.reqStartUs = timeUs
    exchange.reqEndUs = endUs
    request.begun = true
    request.headed = true
    request.ended = true
    stream.hasFields = true
    applyRequest(stream, block)
    stream.say().pushed = 'true'
    this.#keep(stream, block.savedBytesMax)
  }

  /** A frame longer than its receiver allowed (RFC 9113 section 4.2). */
  tooLong(id: number): void {
    this.#open.get(id)?.note('http2.frame_too_long')
  }

  dataBegins(id: number, direction: Direction, timeUs: number): void {
    if (!this.#open.has(id) && (!this.#missed || this.#isBetween(id))) return
    const stream = this.#stream(id)
    this.#touch(stream, direction, timeUs)
    // Its header was not seen: joined in the middle of it, or lost.
    if (!stream.side(direction).headed) stream.exchange.complete = false
  }

  data(id: number, direction: Direction, bytes: Buffer, from: number, to: number, timeUs: number): void {
    const stream = this.#open.get(id)
    if (stream === undefined) return
    count(stream, direction, to - from, timeUs)
    const { grpc } = stream.side(direction)
    if (grpc === null) return
    const before = grpc.trailers.length
    grpc.data(bytes, from, to)
    if (grpc.trailers.length > before) this.#keep(stream, LATIN1_BYTES_MAX * (grpc.trailers.length - before))
  }

  /** As much is missing of a frame, and more behind it: `damaged` follows. */
  dataPassed(id: number, direction: Direction, size: number, timeUs: number): void {
    const stream = this.#open.get(id)
    if (stream !== undefined) count(stream, direction, size, timeUs)
  }

  /** Bytes of a known length that are missing. */
  dataLost(id: number, direction: Direction, size: number, timeUs: number): void {
    const stream = this.#open.get(id)
    if (stream === undefined) return
    count(stream, direction, size, timeUs)
    stream.gap()
    stream.side(direction).grpc?.lose(size)
  }

  ended(id: number, direction: Direction, timeUs: number): void {
    const stream = this.#open.get(id)
    if (stream === undefined) return
    stream.moved(direction, timeUs)
    this.#sideEnded(stream, direction)
  }

  #sideEnded(stream: Stream, direction: Direction): void {
    const side = stream.side(direction)
    if (!side.ended && direction === TO_CLIENT && !stream.request.begun) this.#waiting += 1
    side.ended = true
    this.#settle(stream)
  }

  reset(direction: Direction, id: number, code: number, timeUs: number): void {
    // Of a stream that is over; or its request is still to come.
    if (!this.#open.has(id) && this.#isBetween(id)) return
    const stream = this.#stream(id)
    if (stream.resetUs !== 0) return
    stream.moved(direction, timeUs)
    stream.resetUs = timeUs
    stream.resetBy = direction
    stream.resetCode = code
    this.#resets.add(stream)
  }

  /** Streams above `last` were not looked at. */
  goAway(direction: Direction, last: number, code: number, timeUs: number): void {
    // Clients say so when they leave, with any code: that says nothing of an answer whose end was not captured.
    if (direction === TO_CLIENT) this.#goAway.said(last, code, timeUs)
  }

  #settle(stream: Stream): void {
    const { request, response, exchange } = stream
    if (!response.ended) return
    if (request.ended || (request.begun && exchange.gaps > 0)) return this.#finish(stream)
    if (request.begun) return
    // Servers' own streams have no request: the promise was missed.
    if (stream.id % 2 === 0 || stream.id < this.#highest) return this.#finish(stream)
    if (this.#waiting > WAITING_MAX)
      for (const each of this.#open.values()) if (isWaiting(each)) return this.#finish(each)
  }

  /** Bytes of unknown content are missing from this direction: they may have been of any stream that is not over. */
  damaged(direction: Direction): void {
    for (const stream of [...this.#open.values()]) {
      stream.damage(direction)
      this.#settle(stream)
    }
  }

  /** Header fields may have been among them: streams may have begun that are not known. */
  missed(): void {
    this.#missed = true
  }

  /** It has turned out that the bytes lost last from the client had no header fields and no data of a request in them. */
  requestsNotLost(): void {
    this.#missed = false
  }

  #keep(stream: Stream, bytes: number): void {
    stream.bytes += bytes
    this.#textBytes += bytes
    this.#makeRoom()
  }

  #makeRoom(): void {
    while (
      this.#open.size > 1 &&
      this.#open.size * STREAM_BYTES + this.#textBytes + this.otherBytes > STATE_BYTES_MAX
    ) {
      const oldest = this.#open.values().next().value as Stream
      oldest.note('http2.too_many_streams')
      this.#unfinished(oldest, 'evicted')
    }
  }

  #finish(stream: Stream): void {
    const broken = stream.resetUs !== 0 && !stream.isOver
    this.#handOver(stream, broken ? stream.resetCode : NOT_BROKEN)
  }

  #handOver(stream: Stream, brokenBy: number): void {
    const { exchange, request, id } = stream
    this.#open.delete(id)
    this.changes += 1
    this.#textBytes -= stream.bytes
    if (stream.resetUs !== 0) this.#resets.remove(stream)
    if (isWaiting(stream)) this.#waiting -= 1
    const clientIsDone = request.ended || (stream.resetUs !== 0 && stream.resetBy === TO_SERVER)
    if (request.begun && !clientIsDone) this.#leftOpen = true
    // Data alone, of a stream whose every header was missed: nothing to tell, and after a loss it may be chance.
    if (!stream.hasFields) return
    if (!request.begun) stream.note('http2.response_without_request')
    if (this.#goAway.refuses(stream)) {
      stream.note('http2.refused_by_goaway')
      stream.moved(TO_CLIENT, this.#goAway.lastUs)
    }
    finishExchange(stream, brokenBy, this.#hadCalls && !this.#hadOthers)
    if (exchange.protocol === 'grpc') this.#hadCalls = true
    else if (!stream.mayBeGrpc) this.#hadOthers = true
    this.#out.exchange(exchange)
  }

  #unfinished(stream: Stream, reason: CloseReason): void {
    const { exchange, response } = stream
    if (stream.resetUs !== 0 || stream.isOver) return this.#finish(stream)
    exchange.complete = false
    const isOpen = !response.ended && !stream.answerMayBeLost && reason !== 'evicted'
    const broken = isOpen && this.#goAway.code !== 0
    if (broken) stream.moved(TO_CLIENT, this.#goAway.codeUs)
    if (reason === 'reset' && !response.ended) exchange.outcome = 'reset'
    else if (!response.begun) {
      const unknown = (stream.answerMayBeLost && !this.#goAway.refuses(stream)) || reason === 'evicted'
      exchange.outcome = unknown ? 'unknown' : 'no_response'
    }
    this.#handOver(stream, broken ? this.#goAway.code : NOT_BROKEN)
  }

  close(reason: CloseReason): void {
    for (const stream of [...this.#open.values()].sort((a, b) => a.id - b.id)) this.#unfinished(stream, reason)
  }

  save(out: StateWriter, texts: TextWriter): void {
    for (const value of [this.#lowest, this.#highest, this.newest, this.#hinted]) out.number(value)
    this.#goAway.save(out)
    out.u8((this.#missed ? 1 : 0) | (this.#leftOpen ? 2 : 0) | (this.#hadCalls ? 4 : 0) | (this.#hadOthers ? 8 : 0))
    out.u32(this.#open.size)
    for (const stream of this.#open.values()) stream.save(out, texts)
    this.#resets.save(out)
  }

  restore(state: StateReader, texts: TextReader): void {
    this.#lowest = state.number()
    this.#highest = state.number()
    this.newest = state.number()
    this.#hinted = state.number()
    this.#goAway.restore(state)
    const bits = state.u8()
    this.#missed = (bits & 1) !== 0
    this.#leftOpen = (bits & 2) !== 0
    this.#hadCalls = (bits & 4) !== 0
    this.#hadOthers = (bits & 8) !== 0
    this.#open.clear()
    this.#textBytes = 0
    this.#waiting = 0
    for (let left = state.u32(); left > 0 && !state.failed; left--) {
      const stream = Stream.restore(state, texts)
      this.#open.set(stream.id, stream)
      this.#textBytes += stream.bytes
      if (isWaiting(stream)) this.#waiting += 1
    }
    this.#resets.restore(state, this.#open)
  }
}

const NOT_BROKEN = -1
/** Of one of its characters in UTF-8. */
const LATIN1_BYTES_MAX = 2

/** All of an answer is here, and nothing of its request. */
function isWaiting({ request, response }: Stream): boolean {
  return response.ended && !request.begun
}

function count(stream: Stream, direction: Direction, size: number, timeUs: number): void {
  if (direction === TO_SERVER) stream.exchange.reqBytes += size
  else stream.exchange.respBytes += size
  stream.moved(direction, timeUs)
}

const INTERIM_CHARS_MAX = 64

const isInterim = (status: string): boolean => status.length === 3 && status.startsWith('1') && status !== '101'

function interim(stream: Stream, status: string): void {
  const said = stream.say()
  const before = said.interimCodes
  if (before.length < INTERIM_CHARS_MAX) said.interimCodes = before === '' ? status : `${before},${status}`
}
