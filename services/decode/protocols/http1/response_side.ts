/** Responses of HTTP/1 (RFC 9112 section 4 and 6.3), with HTTP/0.9's bare bodies. */
import type { Cursor } from '../../../core/cursor.js'
import { Exchange } from '../../../core/exchange.js'
import { type Handover, MORE } from '../../../core/protocol.js'
import { TO_CLIENT } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { isGrpc } from '../grpc/call.js'
import { webResponseBegins, webResponseEnds } from '../grpc/web.js'
import { outcomeOf } from '../http_semantics/outcome.js'
import type { PairingByOrder } from '../pairing/by_order.js'
import { note, type Pending } from '../pairing/pending.js'
import { type Head, NO_LENGTH } from './head.js'
import { RecentBlock } from './head_reader.js'
import { HEAD_CUT, MessageSide } from './message_side.js'
import { EARLY_RESPONSE, UPGRADE, WAITING_BYTES_MAX } from './request_side.js'
import { LINE_BAD, LINE_MORE, LINE_OK, readStatusLine, StatusLine, startsLikeStatus } from './start_line.js'

const line = new StatusLine()
const recent = new RecentBlock()
/** Servers send it on idle connections, unasked. */
const REQUEST_TIMEOUT = 408

export class ResponseSide extends MessageSide {
  readonly #pairing: PairingByOrder
  /** Another protocol follows in both directions. */
  switching: Handover | null = null

  constructor(pairing: PairingByOrder) {
    super(recent)
    this.#pairing = pairing
  }

  /** `''` = nobody said to which. */
  switchesTo(protocol: string, exchange: Exchange): void {
    this.switching = { protocol, exchange }
  }

  override parse(input: Cursor): number {
    if (this.current !== null || this.inFields) return super.parse(input)
    if (this.#requestMayCome(input)) {
      input.waits = true
      return MORE
    }
    if (this.#answersOldRequest(input)) {
      const startUs = input.timeUs(input.pos)
      const pending = this.#pairing.response(startUs)
      pending.exchange.respStartUs = startUs
      pending.exchange.outcome = 'ok'
      this.body.toEnd()
      this.current = pending
    }
    return super.parse(input)
  }

  /** What an answer means is for its request to say, which a source may hand over a little later. */
  #requestMayCome(input: Cursor): boolean {
    return !input.ended && input.length < WAITING_BYTES_MAX && this.#pairing.awaitsRequest
  }

  /** HTTP/0.9 answers with the bare body. */
  #answersOldRequest(input: Cursor): boolean {
    const next = this.#pairing.nextUnanswered
    if (next === null || next.exchange.l7Version !== '0.9') return false
    return startsLikeStatus(input.bytes, input.pos, input.end) === LINE_BAD
  }

  protected override startLine(input: Cursor, from: number, to: number, next: number): number {
    const { bytes } = input
    if (!readStatusLine(bytes, from, to, line)) return LINE_BAD
    return next >= 0 || (line.wellFormed && line.certain) ? LINE_OK : LINE_BAD
  }

  protected override begin(input: Cursor, from: number): Pending | null {
    const { status, version } = line
    const startUs = input.timeUs(from)
    if (status >= 100 && status < 200 && status !== 101) {
      this.#interim(status)
      return null
    }
    const pending = this.#pairing.response(startUs, status === REQUEST_TIMEOUT)
    const { exchange } = pending
    if (exchange.l7Version === '') exchange.l7Version = version
    exchange.statusCode = status
    exchange.outcome = outcomeOf(status)
    exchange.respStartUs = startUs
    exchange.respEndUs = startUs
    if (!line.wellFormed) note(exchange, 'http1.bad_status')
    return pending
  }

  /** Kept as the status in case nothing better comes. */
  #interim(status: number): void {
    const waiting = this.#pairing.nextUnanswered
    if (waiting === null) return
    const { exchange } = waiting
    const before = exchange.attrs?.[INTERIM]
    if (before !== undefined && before.length >= INTERIM_CHARS_MAX) return
    exchange.statusCode = status
    exchange.attrs = { ...exchange.attrs, [INTERIM]: before === undefined ? String(status) : `${before},${status}` }
  }

  protected override headDone(pending: Pending | null, head: Head | null, endUs: number): void {
    if (pending === null || head === null) return
    const { exchange } = pending
    const { request } = pending
    if (endUs > exchange.respEndUs) exchange.respEndUs = endUs
    exchange.respHeaders = head.fields
    if (head.contentType !== '') exchange.contentType = head.contentType
    if (exchange.requestId === '') exchange.requestId = head.requestId
    if (head.truncated) exchange.truncated = true
    if (head.anomalies.length > 0) for (const anomaly of head.anomalies) note(exchange, anomaly)
    this.messages = isGrpc(head.contentType) ? webResponseBegins(exchange, head.contentType) : null
    const status = exchange.statusCode
    const { method } = request
    // 101 to a request that asked for nothing changes nothing. What one asked for whose head is cut is not known.
    const asked = request.attrs?.[UPGRADE]
    const unknown = pending.alone || request.reqHeaders.length === 0 || request.anomalies.includes(HEAD_CUT)
    const upgrade = status === 101 && (unknown || asked !== undefined)
    const body = this.body
    if (upgrade || (method === 'CONNECT' && status >= 200 && status < 300)) {
      body.none()
      this.switchesTo(
        status === 101 ? followsUpgrade(head.upgrade || (asked ?? ''), asked === undefined) : '',
        this.#pairing.switches(pending),
      )
    } else if (method === 'HEAD' || status === 101 || status === 204 || status === 304) body.none()
    else if (head.chunked) body.chunks()
    else if (head.otherCoding || head.contentLength === NO_LENGTH) body.toEnd()
    else body.length(head.contentLength)
    if (body.open) this.current = pending
    else this.done(pending)
  }

  /** Of an answer alone nobody knows whether it answers HEAD: then the next answer comes where the body would. */
  protected override bodyComes(pending: Pending, input: Cursor): boolean | typeof MORE {
    if (pending.request.method !== '') return true
    const looks = startsLikeStatus(input.bytes, input.pos, input.end)
    if (looks === LINE_MORE && !input.ended) return MORE
    return looks !== LINE_OK
  }

  protected override bodyMoved(pending: Pending, bodyBytes: number, timeUs: number): void {
    pending.exchange.respBytes = bodyBytes
    pending.exchange.respEndUs = timeUs
  }

  protected override done(pending: Pending): void {
    const { exchange } = pending
    if (pending.requestDone && exchange.respStartUs < exchange.reqEndUs) note(exchange, EARLY_RESPONSE)
    if (exchange.protocol === 'grpc' || pending.request.protocol === 'grpc') {
      webResponseEnds(exchange, this.messages, !exchange.anomalies.includes('http1.head_cut'))
    }
    this.messages = null
    this.#pairing.responseDone(pending)
  }

  protected override lost(timeUs: number): void {
    this.#pairing.lost(TO_CLIENT, timeUs)
  }

  override save(out: StateWriter): void {
    super.save(out)
    out.string(this.switching === null ? '' : JSON.stringify(this.switching))
  }

  override restore(state: StateReader, underWay: Pending | null): void {
    super.restore(state, underWay)
    this.switching = restoreHandover(state)
  }
}

/** Interim statuses before the final one, in order. */
const INTERIM = 'http.response.interim_status_codes'
const INTERIM_CHARS_MAX = 64

/** Tokens of the Upgrade field (IANA registry) and the names of our protocols. */
const UPGRADES: Readonly<Record<string, string>> = { websocket: 'websocket', h2c: 'http2' }

/** HTTP/2 shows by itself what it is; where nobody was seen to ask for it, it has to. */
function followsUpgrade(token: string, alone: boolean): string {
  const protocol = UPGRADES[token] ?? ''
  return alone && protocol === 'http2' ? '' : protocol
}

function restoreHandover(state: StateReader): Handover | null {
  const text = state.string()
  if (text === '') return null
  try {
    const { protocol, exchange } = JSON.parse(text) as Handover
    return { protocol, exchange: Object.assign(new Exchange(), exchange) }
  } catch {
    state.failed = true
    return null
  }
}
