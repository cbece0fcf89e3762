/** A request under way or waiting for its answer, or an answer whose request is not known (yet). */
import { Exchange, NO_STRINGS } from '../../../core/exchange.js'
import type { StateReader, StateWriter } from '../../../core/state.js'

export class Pending {
  readonly exchange = new Exchange()
  requestDone = false
  responseDone = false
  /** No request was lost between this one and those before it: answers may be counted off against requests. */
  counted = true
  /** An answer without a request. */
  alone = false
  /** The request that an answer probably belongs to. They become one exchange once that is certain. */
  partner: Pending | null = null
  /** It is certain. */
  confirmed = false
  /** Of both partners: the answer was captured before the request, and by count is its own unless another one comes. */
  crossing = false

  get answered(): boolean {
    return this.exchange.respStartUs !== 0
  }

  /** An answer was seen, which may still stand beside it. */
  get hasAnswer(): boolean {
    return this.answered || this.crossing
  }

  /** The exchange that knows the request: the partner's while an answer stands beside it. */
  get request(): Exchange {
    return this.partner === null ? this.exchange : this.partner.exchange
  }
}

export function note(exchange: Exchange, anomaly: string): void {
  if (exchange.anomalies === NO_STRINGS) exchange.anomalies = [anomaly]
  else if (!exchange.anomalies.includes(anomaly)) exchange.anomalies.push(anomaly)
}

/** What an answer says goes into the exchange of its request. */
export function joinResponse(request: Exchange, response: Exchange): void {
  // gRPC-Web in HTTP/1 shows at either end.
  request.protocol = response.protocol
  request.statusCode = response.statusCode
  request.outcome = response.outcome
  if (response.error !== '') request.error = response.error
  request.respBytes = response.respBytes
  request.respStartUs = response.respStartUs
  request.respEndUs = response.respEndUs
  request.respHeaders = response.respHeaders
  if (response.contentType !== '') request.contentType = response.contentType
  if (request.requestId === '') request.requestId = response.requestId
  if (request.l7Version === '') request.l7Version = response.l7Version
  if (!response.complete) request.complete = false
  request.gaps += response.gaps
  if (response.truncated) request.truncated = true
  for (const anomaly of response.anomalies) note(request, anomaly)
  if (response.attrs !== null) request.attrs = { ...request.attrs, ...response.attrs }
}

export function savePending(pending: Pending, out: StateWriter): void {
  out.u8(
    (pending.requestDone ? 1 : 0) |
      (pending.responseDone ? 2 : 0) |
      (pending.counted ? 4 : 0) |
      (pending.alone ? 8 : 0) |
      (pending.confirmed ? 16 : 0) |
      (pending.crossing ? 32 : 0),
  )
  out.string(JSON.stringify(pending.exchange))
  out.bool(pending.partner !== null)
  if (pending.partner !== null) savePending(pending.partner, out)
}

export function restorePending(state: StateReader): Pending {
  const pending = new Pending()
  const bits = state.u8()
  pending.requestDone = (bits & 1) !== 0
  pending.responseDone = (bits & 2) !== 0
  pending.counted = (bits & 4) !== 0
  pending.alone = (bits & 8) !== 0
  pending.confirmed = (bits & 16) !== 0
  pending.crossing = (bits & 32) !== 0
  try {
    Object.assign(pending.exchange, JSON.parse(state.string()))
  } catch {
    state.failed = true
  }
  if (state.bool() && !state.failed) pending.partner = restorePending(state)
  return pending
}
