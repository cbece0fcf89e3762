/** Requests of HTTP/1 (RFC 9112 section 3), with HTTP/0.9 where nothing else fits. */
import type { Cursor } from '../../../core/cursor.js'
import type { Exchange } from '../../../core/exchange.js'
import { MORE } from '../../../core/protocol.js'
import { TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { isGrpc } from '../grpc/call.js'
import { webRequestBegins, webRequestEnds } from '../grpc/web.js'
import type { PairingByOrder } from '../pairing/by_order.js'
import { note, type Pending } from '../pairing/pending.js'
import { type Head, text } from './head.js'
import { RecentBlock } from './head_reader.js'
import { MessageSide } from './message_side.js'
import {
  FIELD,
  fieldFollows,
  isKnownMethod,
  LINE_ALONE,
  LINE_BAD,
  LINE_MORE,
  LINE_OK,
  methodText,
  NO_FIELD,
  RequestLine,
  readRequestLine,
  startsLikeRequest,
  UNSURE,
} from './start_line.js'

/** The answer began while the request was still coming. */
export const EARLY_RESPONSE = 'http1.early_response'

/** Attribute that says which protocol a request asked for. */
export const UPGRADE = 'http.request.header.upgrade'

/** So many bytes wait for the other direction at most. */
export const WAITING_BYTES_MAX = 16 * 1024
const TARGET_BYTES_MAX = 8 * 1024
const SLASH = 47

const line = new RequestLine()
const recent = new RecentBlock()

export class RequestSide extends MessageSide {
  readonly #pairing: PairingByOrder
  /** A request without a version, so far without fields. */
  #bare: Pending | null = null
  /** It asked for another protocol, or waits for a go-ahead before it sends its body. */
  #asksTunnel: Pending | null = null
  #waitsForContinue: Pending | null = null

  constructor(pairing: PairingByOrder) {
    super(recent)
    this.#pairing = pairing
  }

  /** A request that asked for another protocol, unanswered so far, with nothing behind it. */
  get asksUpgrade(): Exchange | null {
    return this.#asksTunnel === null || this.#asksTunnel.hasAnswer || !this.idle ? null : this.#asksTunnel.exchange
  }

  override parse(input: Cursor): number {
    if (this.#asksTunnel !== null && this.current === null && !this.inFields) {
      if (this.#asksTunnel.hasAnswer) this.#asksTunnel = null
      else if (!input.ended) {
        // Whether the next bytes are HTTP is for the answer to say, unless they plainly are.
        if (startsLikeRequest(input.bytes, input.pos, input.end) !== LINE_OK) {
          input.waits = true
          return MORE
        }
        this.#asksTunnel = null
      }
    }
    if (this.#bare !== null) {
      const follows = this.#bare.hasAnswer ? NO_FIELD : fieldFollows(input.bytes, input.pos, input.end)
      if (follows === UNSURE && !input.ended) return MORE
      const bare = this.#bare
      this.#bare = null
      if (follows === FIELD) {
        bare.requestDone = false
        bare.exchange.l7Version = ''
        this.readFieldsOf(bare)
      }
    }
    return super.parse(input)
  }

  /** The request that waits for its answer to an upgrade to `protocol`. */
  askedFor(protocol: string): Exchange | null {
    const exchange = this.#asksTunnel?.exchange
    return exchange?.attrs?.['http.request.header.upgrade'] === protocol ? exchange : null
  }

  protected override startLine(input: Cursor, from: number, to: number, next: number): number {
    const { bytes, end } = input
    if (!readRequestLine(bytes, from, to, line)) return LINE_BAD
    const { methodEnd, targetFrom, targetTo, version } = line
    if (next < 0) {
      // Cut in its target, or behind it in the version: known to be a request by its method only.
      line.targetTo = wordEnd(bytes, targetFrom, targetTo)
      if (startsVersion(bytes, targetFrom, line.targetTo)) return LINE_BAD
      return methodEnd < targetFrom && targetFrom < line.targetTo && isKnownMethod(bytes, from, methodEnd)
        ? LINE_OK
        : LINE_BAD
    }
    if (version !== '') return LINE_OK
    const follows = fieldFollows(bytes, next, end)
    if (follows === FIELD) return LINE_OK
    const plausible =
      isKnownMethod(bytes, from, methodEnd) && targetFrom < targetTo && isPath(bytes, targetFrom, targetTo)
    if (follows === UNSURE && !(plausible && next === end)) return LINE_MORE
    return plausible ? LINE_ALONE : LINE_BAD
  }

  protected override begin(input: Cursor, from: number): Pending {
    const { bytes } = input
    const { methodEnd, targetFrom, targetTo, version } = line
    const startUs = input.timeUs(from)
    const pending = this.#pairing.request(startUs)
    const { exchange } = pending
    exchange.l7Version = version
    exchange.method = methodText(bytes, from, methodEnd)
    exchange.resource = text(bytes, targetFrom, Math.min(targetTo, targetFrom + TARGET_BYTES_MAX))
    if (targetTo - targetFrom > TARGET_BYTES_MAX) exchange.truncated = true
    exchange.reqStartUs = startUs
    exchange.reqEndUs = startUs
    return pending
  }

  protected override headDone(pending: Pending, head: Head | null, endUs: number): void {
    const { exchange } = pending
    if (endUs > exchange.reqEndUs) exchange.reqEndUs = endUs
    if (head === null) {
      exchange.l7Version = '0.9'
      this.#bare = pending
      this.body.none()
    } else this.#describe(pending, head)
    // A Host field may have been in what is missing.
    if (exchange.host === '' && !head?.cut) exchange.host = authorityOf(exchange)
    if (this.body.open) this.current = pending
    else this.done(pending)
  }

  #describe(pending: Pending, head: Head): void {
    const { exchange } = pending
    exchange.host = head.host
    exchange.userAgent = head.userAgent
    // Where the answer came first its own type stays.
    if (!pending.answered) exchange.contentType = head.contentType
    exchange.traceId = head.traceId
    exchange.spanId = head.spanId
    exchange.requestId = head.requestId
    exchange.principal = head.principal
    exchange.reqHeaders = head.fields
    if (head.truncated) exchange.truncated = true
    if (head.anomalies.length > 0) for (const anomaly of head.anomalies) note(exchange, anomaly)
    if (head.forwardedFor !== '') exchange.attrs = { ...exchange.attrs, 'client.address': head.forwardedFor }
    if (exchange.method === 'CONNECT') this.#asksTunnel = pending
    else if (head.upgrade !== '' && head.connectionUpgrade) {
      exchange.attrs = { ...exchange.attrs, [UPGRADE]: head.upgrade }
      this.#asksTunnel = pending
    }
    // CONNECT has no content (RFC 9110 section 9.3.6): what follows belongs to the tunnel.
    if (exchange.method === 'CONNECT') this.body.none()
    else if (head.chunked) this.body.chunks()
    else this.body.length(Math.max(0, head.contentLength))
    this.messages = isGrpc(head.contentType) ? webRequestBegins(exchange, head.contentType) : null
    this.#waitsForContinue = head.expectsContinue && this.body.open ? pending : null
  }

  /** A client that was refused before it got the go-ahead may leave its body away (RFC 9110 section 10.1.1). */
  protected override bodyComes(pending: Pending, input: Cursor): boolean | typeof MORE {
    if (this.#waitsForContinue !== pending) return true
    if (!pending.hasAnswer) {
      // The answer decides. One that does not come in time leaves the body to come, as does the go-ahead.
      input.waits = pending.exchange.statusCode === 0 && !input.ended && input.length < WAITING_BYTES_MAX
      return input.waits ? MORE : true
    }
    const looks = startsLikeRequest(input.bytes, input.pos, input.end)
    if (looks === LINE_MORE && !input.ended) return MORE
    this.#waitsForContinue = null
    return looks !== LINE_OK
  }

  protected override bodyMoved(pending: Pending, bodyBytes: number, timeUs: number): void {
    pending.exchange.reqBytes = bodyBytes
    pending.exchange.reqEndUs = timeUs
  }

  protected override done(pending: Pending): void {
    const { exchange } = pending
    if (pending.answered && exchange.respStartUs < exchange.reqEndUs) note(exchange, EARLY_RESPONSE)
    if (this.messages !== null) {
      webRequestEnds(exchange, this.messages)
      this.messages = null
    }
    this.#pairing.requestDone(pending)
  }

  override cut(): void {
    const pending = this.underWay
    if (pending?.answered) note(pending.exchange, EARLY_RESPONSE)
    super.cut()
  }

  protected override lost(timeUs: number): void {
    this.#bare = null
    this.#asksTunnel = null
    this.#pairing.lost(TO_SERVER, timeUs)
  }

  /** What these name is the newest request, or one that is over: then they mean nothing any more. */
  override save(out: StateWriter): void {
    super.save(out)
    out.bool(this.#bare !== null && this.#bare === this.#pairing.newest)
    const { newest } = this.#pairing
    out.bool(this.#asksTunnel !== null && this.#asksTunnel === newest)
    out.bool(this.#waitsForContinue !== null && this.#waitsForContinue === newest)
  }

  override restore(state: StateReader, underWay: Pending | null): void {
    super.restore(state, underWay)
    const newest = this.#pairing.newest
    this.#bare = state.bool() ? newest : null
    this.#asksTunnel = state.bool() ? newest : null
    this.#waitsForContinue = state.bool() ? newest : null
  }
}

/** `HTTP/1.` or a part of it: of a request without a target. */
function startsVersion(bytes: Buffer, from: number, to: number): boolean {
  return VERSION.startsWith(bytes.toString('latin1', from, Math.min(to, from + VERSION.length)))
}

const VERSION = 'HTTP/1.'

function wordEnd(bytes: Buffer, from: number, to: number): number {
  let at = from
  while (at < to && bytes[at] !== 32 && bytes[at] !== 9) at++
  return at
}

function isPath(bytes: Buffer, from: number, to: number): boolean {
  if (bytes[from] === SLASH) return true
  return to - from > 7 && bytes.toString('latin1', from, from + 4).toLowerCase() === 'http'
}

/** CONNECT names the authority itself; an absolute target carries it (RFC 9112 section 3.2). */
function authorityOf({ method, resource: target, truncated }: Exchange): string {
  if (method === 'CONNECT') return truncated ? '' : target
  const scheme = target.indexOf('://')
  if (scheme < 0 || scheme > 10) return ''
  const from = scheme + 3
  const slash = target.indexOf('/', from)
  if (slash < 0 && truncated) return ''
  return target.slice(from, slash < 0 ? undefined : slash)
}
