/** HTTP/1.0 and 1.1 (RFC 9110, RFC 9112), and 0.9 where nothing else fits. */
import type { Cursor } from '../../../core/cursor.js'
import { Exchange, NO_STRINGS, type Outcome } from '../../../core/exchange.js'
import {
  BAD,
  type CloseReason,
  type Decoder,
  type ExchangeSink,
  MORE,
  type Protocol,
  SWITCH,
  type Verdict,
} from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { Body } from './body.js'
import { type Head, type Http1Anomaly, NO_LENGTH, readHead, text } from './head.js'
import { findMessage, isResponse, probeHead } from './probe.js'
import {
  fieldFollows,
  lineEnd,
  methodText,
  RequestLine,
  readRequestLine,
  readStatusLine,
  StatusLine,
  withoutCr,
} from './start_line.js'

/** Requests without an answer on one connection: a one-sided capture must not grow. Browsers pipeline a handful at most. */
const PENDING_MAX = 1024
/** A head longer than this is cut: what was read counts, the rest is passed over. Servers allow 8 to 64 KiB. */
const HEAD_BYTES_MAX = 64 * 1024
const TARGET_BYTES_MAX = 16 * 1024
/** After this silence answers of requests that were lost are no longer expected. */
const QUIET_US = 1_000_000
const STATE_VERSION = 1

export const http1: Protocol = {
  name: 'http1',
  transport: 'tcp',
  probe: (head: Cursor): Verdict => probeHead(head),
  turned: (head: Cursor, direction: Direction) => isResponse(head) === (direction === TO_SERVER),
  open: (out: ExchangeSink): Decoder => new Http1Decoder(out),
}

/** A request under way or waiting for its answer. */
class Pending {
  readonly exchange = new Exchange()
  requestDone = false
  responseDone = false
  /** Another request had begun before this one's answer did. */
  overtaken = false
}

/** The header block of the last message of a direction: keep-alive peers repeat it byte for byte. */
class LastHead {
  bytes: Buffer = Buffer.alloc(0)
  head: Head | null = null
}

const requestLine = new RequestLine()
const statusLine = new StatusLine()

class Http1Decoder implements Decoder {
  readonly #out: ExchangeSink
  #pending: Pending[] = []
  /** The request whose body is being read. */
  #request: Pending | null = null
  readonly #requestBody = new Body()
  /** The exchange whose response body is being read. */
  #response: Pending | null = null
  readonly #responseBody = new Body()
  /** Passing over the rest of a head that was too long, per direction. */
  readonly #inLongHead: [boolean, boolean] = [false, false]
  #switching = false
  /** Responses of unknown number were lost since the last one. */
  #responsesLost = false
  /** Requests of unknown number were lost: until it has been quiet, order says nothing about who belongs to whom. */
  #requestsLost = false
  /** This client sends before the answer is there: seen without doubt. */
  #pipelines = false
  #lastResponseUs = 0
  readonly #lastHeads: [LastHead, LastHead] = [new LastHead(), new LastHead()]

  constructor(out: ExchangeSink) {
    this.#out = out
  }

  parse(direction: Direction, input: Cursor): number {
    if (this.#switching) return SWITCH
    if (this.#inLongHead[direction]) return this.#passLongHead(direction, input)
    if (direction === TO_SERVER) {
      return this.#request !== null ? this.#parseRequestBody(this.#request, input) : this.#parseRequestHead(input)
    }
    return this.#response !== null ? this.#parseResponseBody(this.#response, input) : this.#parseResponseHead(input)
  }

  // ---- requests

  #parseRequestHead(input: Cursor): number {
    const { bytes, pos, end } = input
    const from = skipEmptyLines(bytes, pos, end)
    if (from === end) return from - pos
    const lf = lineEnd(bytes, Math.max(from, pos + input.searchedBytes), end)
    if (lf < 0) return this.#noLine(input, from)
    const lineTo = withoutCr(bytes, from, lf)
    if (!readRequestLine(bytes, from, lineTo, requestLine)) return BAD
    const { methodEnd, targetFrom, targetTo, version } = requestLine
    if (version === '' && targetFrom === targetTo && !fieldFollows(bytes, lf + 1, end)) return BAD
    let size = lf + 1 - pos
    let head: Head | null = null
    if (version !== '' || fieldFollows(bytes, lf + 1, end)) {
      const blockEnd = this.#headEnd(TO_SERVER, bytes, lf + 1, end)
      if (blockEnd < 0 && !this.#tooLong(input, from)) return MORE
      head = this.#head(TO_SERVER, bytes, lf + 1, blockEnd < 0 ? end : blockEnd, blockEnd >= 0)
      size = this.#headSize(TO_SERVER, bytes, blockEnd, end) - pos
    }

    const pending = new Pending()
    const exchange = pending.exchange
    exchange.protocol = 'http1'
    exchange.l7Version = version === '' && head === null ? '0.9' : version
    exchange.method = methodText(bytes, from, methodEnd)
    exchange.resource = text(bytes, targetFrom, Math.min(targetTo, targetFrom + TARGET_BYTES_MAX))
    if (targetTo - targetFrom > TARGET_BYTES_MAX) exchange.truncated = true
    exchange.reqStartUs = input.timeUs(from)
    exchange.reqEndUs = input.timeUs(pos + size - 1)
    if (head !== null) this.#describeRequest(exchange, head)
    // Lost requests have had their answers by now: order counts again.
    if (this.#requestsLost && this.#pending.length === 0 && exchange.reqStartUs - this.#lastResponseUs > QUIET_US) {
      this.#requestsLost = false
    }
    if (exchange.host === '') exchange.host = authorityOf(exchange.method, exchange.resource)
    this.#enqueue(pending)

    const body = this.#requestBody
    if (head === null) body.none()
    else if (head.chunked) body.chunks()
    else body.length(Math.max(0, head.contentLength))
    if (body.open) this.#request = pending
    else this.#requestFinished(pending)
    return size
  }

  #describeRequest(exchange: Exchange, head: Head): void {
    exchange.host = head.host
    exchange.userAgent = head.userAgent
    exchange.contentType = head.contentType
    exchange.traceId = head.traceId
    exchange.spanId = head.spanId
    exchange.requestId = head.requestId
    exchange.principal = head.principal
    exchange.reqHeaders = head.fields
    if (head.truncated) exchange.truncated = true
    if (head.anomalies.length > 0) for (const anomaly of head.anomalies) note(exchange, anomaly)
    if (head.upgrade !== '') exchange.attrs = { 'http.request.upgrade': head.upgrade }
  }

  #enqueue(pending: Pending): void {
    const open = this.#pending
    if (open.length > 0) open[open.length - 1].overtaken = true
    if (open.length >= PENDING_MAX) {
      const oldest = open.shift() as Pending
      note(oldest.exchange, 'http1.too_many_pending')
      this.#emitUnanswered(oldest, 'no_response')
    }
    open.push(pending)
  }

  #parseRequestBody(pending: Pending, input: Cursor): number {
    const consumed = this.#requestBody.parse(input)
    if (consumed === MORE) return MORE
    if (consumed === BAD) {
      note(pending.exchange, 'http1.bad_chunk')
      this.#cutRequest(pending)
      return BAD
    }
    pending.exchange.reqBytes = this.#requestBody.bytes
    pending.exchange.reqEndUs = input.timeUs(input.pos + consumed - 1)
    if (!this.#requestBody.open) this.#requestFinished(pending)
    return consumed
  }

  #requestFinished(pending: Pending): void {
    this.#request = null
    pending.requestDone = true
    if (pending.responseDone) this.#emit(pending)
  }

  /** The body's end is not known any more. */
  #cutRequest(pending: Pending): void {
    pending.exchange.complete = false
    pending.exchange.reqBytes = this.#requestBody.bytes
    this.#requestBody.none()
    this.#requestFinished(pending)
  }

  // ---- responses

  #parseResponseHead(input: Cursor): number {
    const { bytes, pos, end } = input
    const from = skipEmptyLines(bytes, pos, end)
    if (from === end) return from - pos
    const lf = lineEnd(bytes, Math.max(from, pos + input.searchedBytes), end)
    if (lf < 0) return this.#noLine(input, from)
    if (!readStatusLine(bytes, from, withoutCr(bytes, from, lf), statusLine)) {
      return this.#isOldResponse() ? this.#oldResponse(input, from) : BAD
    }
    const { status, version } = statusLine
    const blockEnd = this.#headEnd(TO_CLIENT, bytes, lf + 1, end)
    if (blockEnd < 0 && !this.#tooLong(input, from) && !input.ended) return MORE
    const head = this.#head(TO_CLIENT, bytes, lf + 1, blockEnd < 0 ? end : blockEnd, blockEnd >= 0)
    const size = (blockEnd < 0 && input.ended ? end : this.#headSize(TO_CLIENT, bytes, blockEnd, end)) - pos

    const startUs = input.timeUs(from)
    if (status >= 100 && status < 200 && status !== 101) {
      this.#interim(status)
      return size
    }
    const pending = this.#pair(startUs)
    const exchange = pending.exchange
    if (exchange.l7Version === '') exchange.l7Version = version
    exchange.statusCode = status
    exchange.outcome = outcomeOf(status)
    exchange.respStartUs = startUs
    exchange.respEndUs = input.timeUs(pos + size - 1)
    exchange.respHeaders = head.fields
    if (head.contentType !== '') exchange.contentType = head.contentType
    if (head.requestId !== '' && exchange.requestId === '') exchange.requestId = head.requestId
    if (head.truncated) exchange.truncated = true
    if (head.anomalies.length > 0) for (const anomaly of head.anomalies) note(exchange, anomaly)
    if (!pending.requestDone && this.#request === pending) note(exchange, 'http1.early_response')

    const body = this.#responseBody
    const tunnel = status === 101 || (exchange.method === 'CONNECT' && status >= 200 && status < 300)
    if (tunnel || exchange.method === 'HEAD' || status === 204 || status === 304) body.none()
    else if (head.chunked) body.chunks()
    else if (head.otherCoding) body.toEnd()
    else if (head.contentLength !== NO_LENGTH) body.length(head.contentLength)
    else body.toEnd()
    if (body.open) this.#response = pending
    else this.#responseFinished(pending)
    if (tunnel) this.#switching = true
    return size
  }

  /** HTTP/0.9 answers with the bare body. */
  #isOldResponse(): boolean {
    return this.#pending.length === 1 && this.#pending[0].exchange.l7Version === '0.9'
  }

  #oldResponse(input: Cursor, from: number): number {
    const pending = this.#pair(input.timeUs(from))
    pending.exchange.respStartUs = input.timeUs(from)
    pending.exchange.outcome = 'ok'
    this.#response = pending
    this.#responseBody.toEnd()
    return this.#parseResponseBody(pending, input)
  }

  #interim(status: number): void {
    const waiting = this.#pending.find((pending) => pending.exchange.respStartUs === 0)
    if (waiting === undefined) return
    const { exchange } = waiting
    exchange.attrs = { ...exchange.attrs, 'http.response.interim': String(status) }
  }

  /**
   * Whose response begins at `startUs`. By order; after responses were lost, the request that a client which waits for
   * answers can have had outstanding then. Where neither says it, the response stands alone.
   */
  #pair(startUs: number): Pending {
    const open = this.#pending
    if (this.#requestsLost && this.#pipelines) return this.#alone(startUs)
    if (this.#responsesLost) {
      this.#responsesLost = false
      let sent = 0
      while (sent < open.length && open[sent].exchange.reqStartUs <= startUs) sent++
      // A client that pipelines may have had any of them outstanding.
      const lost = open.splice(0, this.#pipelines ? sent : Math.max(0, sent - 1))
      for (const pending of lost) {
        note(pending.exchange, 'http1.response_lost')
        this.#emitUnanswered(pending, 'unknown')
      }
      if (this.#pipelines && sent > 0) return this.#alone(startUs)
    }
    const first = open.find((pending) => pending.exchange.respStartUs === 0)
    // A request sent after the response began cannot have caused it.
    if (first === undefined || first.exchange.reqStartUs > startUs) return this.#alone(startUs)
    if (first.overtaken) this.#pipelines = true
    return first
  }

  #alone(startUs: number): Pending {
    const pending = new Pending()
    pending.requestDone = true
    const { exchange } = pending
    exchange.protocol = 'http1'
    exchange.complete = false
    exchange.respStartUs = startUs
    note(exchange, 'http1.response_without_request')
    return pending
  }

  #parseResponseBody(pending: Pending, input: Cursor): number {
    const consumed = this.#responseBody.parse(input)
    if (consumed === MORE) return MORE
    if (consumed === BAD) {
      note(pending.exchange, 'http1.bad_chunk')
      this.#cutResponse(pending)
      return BAD
    }
    pending.exchange.respBytes = this.#responseBody.bytes
    pending.exchange.respEndUs = input.timeUs(input.pos + consumed - 1)
    if (!this.#responseBody.open) this.#responseFinished(pending)
    return consumed
  }

  #responseFinished(pending: Pending): void {
    this.#response = null
    this.#lastResponseUs = pending.exchange.respEndUs
    pending.responseDone = true
    if (pending.requestDone) this.#emit(pending)
  }

  #cutResponse(pending: Pending): void {
    pending.exchange.complete = false
    pending.exchange.respBytes = this.#responseBody.bytes
    this.#responseBody.none()
    this.#responseFinished(pending)
  }

  #emit(pending: Pending): void {
    const open = this.#pending
    if (open[0] === pending) open.shift()
    else {
      const at = open.indexOf(pending)
      if (at >= 0) open.splice(at, 1)
    }
    this.#out.exchange(pending.exchange)
  }

  #emitUnanswered(pending: Pending, outcome: Outcome): void {
    const { exchange } = pending
    exchange.complete = false
    if (exchange.outcome === 'unknown') exchange.outcome = outcome
    this.#out.exchange(exchange)
  }

  // ---- heads

  #noLine(input: Cursor, from: number): number {
    if (input.end - from > HEAD_BYTES_MAX) return BAD
    input.searchedBytes = input.end - input.pos
    return MORE
  }

  #tooLong(input: Cursor, from: number): boolean {
    return input.end - from > HEAD_BYTES_MAX
  }

  /** Offset of the empty line that ends the fields beginning at `from`; -1 if it is not here. */
  #headEnd(direction: Direction, bytes: Buffer, from: number, end: number): number {
    const last = this.#lastHeads[direction].bytes
    const size = last.length
    // The same block as last time, empty line included: one comparison instead of a walk.
    if (size > 0 && size <= end - from && bytes.compare(last, 0, size, from, from + size) === 0) {
      return from + size - (size > 1 && last[size - 2] === 13 ? 2 : 1)
    }
    let at = from
    while (at < end) {
      const byte = bytes[at]
      if (byte === 10) return at
      if (byte === 13 && at + 1 < end && bytes[at + 1] === 10) return at
      const lf = lineEnd(bytes, at, end)
      if (lf < 0) return -1
      at = lf + 1
    }
    return -1
  }

  #head(direction: Direction, bytes: Buffer, from: number, to: number, whole: boolean): Head {
    const last = this.#lastHeads[direction]
    if (!whole) return readHead(bytes, from, to)
    const blockTo = bytes[to] === 13 ? to + 2 : to + 1
    const size = blockTo - from
    if (last.head !== null && last.bytes.length === size && bytes.compare(last.bytes, 0, size, from, blockTo) === 0) {
      return last.head
    }
    const head = readHead(bytes, from, to)
    if (size <= LAST_HEAD_BYTES_MAX) {
      last.bytes = Buffer.from(bytes.subarray(from, blockTo))
      last.head = head
    }
    return head
  }

  #headSize(direction: Direction, bytes: Buffer, blockEnd: number, end: number): number {
    if (blockEnd >= 0) return bytes[blockEnd] === 13 ? blockEnd + 2 : blockEnd + 1
    this.#inLongHead[direction] = true
    return end
  }

  #passLongHead(direction: Direction, input: Cursor): number {
    const { bytes, pos, end } = input
    const lf = lineEnd(bytes, pos, end)
    if (lf < 0) return end - pos
    if (withoutCr(bytes, pos, lf) === pos) this.#inLongHead[direction] = false
    return lf + 1 - pos
  }

  // ---- what the host tells

  resync(direction: Direction, input: Cursor): number {
    return findMessage(input, direction === TO_CLIENT)
  }

  gap(direction: Direction, sizeBytes: number, timeUs: number): boolean {
    this.#inLongHead[direction] = false
    if (direction === TO_SERVER) {
      const pending = this.#request
      if (pending !== null) {
        pending.exchange.gaps += 1
        pending.exchange.complete = false
        if (this.#requestBody.gap(sizeBytes)) {
          pending.exchange.reqBytes = this.#requestBody.bytes
          pending.exchange.reqEndUs = timeUs
          if (!this.#requestBody.open) this.#requestFinished(pending)
          return true
        }
        this.#cutRequest(pending)
      }
      this.#requestsLost = true
      return false
    }
    const pending = this.#response
    if (pending !== null) {
      pending.exchange.gaps += 1
      pending.exchange.complete = false
      if (this.#responseBody.gap(sizeBytes)) {
        pending.exchange.respBytes = this.#responseBody.bytes
        pending.exchange.respEndUs = timeUs
        if (!this.#responseBody.open) this.#responseFinished(pending)
        return true
      }
      this.#cutResponse(pending)
    }
    this.#responsesLost = true
    return false
  }

  end(direction: Direction): void {
    if (direction === TO_SERVER) {
      if (this.#request !== null) this.#cutRequest(this.#request)
      return
    }
    const pending = this.#response
    if (pending === null) return
    if (this.#responseBody.untilEnd) {
      this.#responseBody.none()
      this.#responseFinished(pending)
    } else this.#cutResponse(pending)
  }

  close(reason: CloseReason): void {
    if (this.#response !== null) this.#cutResponse(this.#response)
    if (this.#request !== null) this.#cutRequest(this.#request)
    const outcome: Outcome =
      reason === 'reset' ? 'reset' : this.#responsesLost || reason === 'evicted' ? 'unknown' : 'no_response'
    for (const pending of this.#pending.splice(0)) this.#emitUnanswered(pending, outcome)
  }

  save(out: StateWriter): void {
    out.u8(STATE_VERSION)
    out.bool(this.#switching)
    out.bool(this.#responsesLost)
    out.bool(this.#requestsLost)
    out.bool(this.#pipelines)
    out.number(this.#lastResponseUs)
    out.bool(this.#inLongHead[0])
    out.bool(this.#inLongHead[1])
    this.#requestBody.save(out)
    this.#responseBody.save(out)
    const open = [...this.#pending]
    // An answer that stands alone is not among the pending ones, but its body may be under way.
    if (this.#response !== null && !open.includes(this.#response)) open.push(this.#response)
    out.number(this.#pending.length)
    out.number(open.length)
    out.number(this.#request === null ? -1 : open.indexOf(this.#request))
    out.number(this.#response === null ? -1 : open.indexOf(this.#response))
    for (const pending of open) savePending(pending, out)
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    this.#switching = state.bool()
    this.#responsesLost = state.bool()
    this.#requestsLost = state.bool()
    this.#pipelines = state.bool()
    this.#lastResponseUs = state.number()
    this.#inLongHead[0] = state.bool()
    this.#inLongHead[1] = state.bool()
    this.#requestBody.restore(state)
    this.#responseBody.restore(state)
    const pendingCount = state.number()
    const count = state.number()
    const request = state.number()
    const response = state.number()
    const open: Pending[] = []
    for (let i = 0; i < count && !state.failed; i++) open.push(restorePending(state))
    if (!state.finished) return false
    this.#request = request < 0 ? null : open[request]
    this.#response = response < 0 ? null : open[response]
    this.#pending = open.slice(0, pendingCount)
    return true
  }
}

const LAST_HEAD_BYTES_MAX = 4096

function savePending(pending: Pending, out: StateWriter): void {
  out.bool(pending.requestDone)
  out.bool(pending.responseDone)
  out.bool(pending.overtaken)
  out.string(JSON.stringify(pending.exchange))
}

function restorePending(state: StateReader): Pending {
  const pending = new Pending()
  pending.requestDone = state.bool()
  pending.responseDone = state.bool()
  pending.overtaken = state.bool()
  try {
    Object.assign(pending.exchange, JSON.parse(state.string()))
  } catch {
    state.failed = true
  }
  return pending
}

function note(exchange: Exchange, anomaly: Http1Anomaly): void {
  if (exchange.anomalies === NO_STRINGS) exchange.anomalies = [anomaly]
  else if (!exchange.anomalies.includes(anomaly)) exchange.anomalies.push(anomaly)
}

function outcomeOf(status: number): Outcome {
  if (status < 400) return 'ok'
  return status < 500 ? 'client_error' : 'server_error'
}

/** CONNECT names the authority itself; an absolute target carries it (RFC 9112 section 3.2). */
function authorityOf(method: string, target: string): string {
  if (method === 'CONNECT') return target
  const scheme = target.indexOf('://')
  if (scheme < 0 || scheme > 10) return ''
  const from = scheme + 3
  const slash = target.indexOf('/', from)
  return target.slice(from, slash < 0 ? undefined : slash)
}

function skipEmptyLines(bytes: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && (bytes[at] === 13 || bytes[at] === 10)) at++
  return at
}
