/** What a call of gRPC or gRPC-Web says in its exchange. */
import type { Exchange } from '../../../core/exchange.js'
import { note } from '../pairing/pending.js'
import type { GrpcMessages } from './messages.js'
import { NO_STATUS, outcomeOfStatus, readMessage, statusName } from './status.js'

const TYPE = 'application/grpc'
const WEB_TEXT = 'application/grpc-web-text'

export function isGrpc(contentType: string): boolean {
  if (!contentType.startsWith(TYPE)) return false
  const next = contentType.charCodeAt(TYPE.length)
  // `+proto`, `;charset`, `-web`, or nothing.
  return Number.isNaN(next) || next === 43 || next === 59 || next === 45
}

/** Its messages are in base64. */
export function isText(contentType: string): boolean {
  return contentType.startsWith(WEB_TEXT)
}

export function attr(exchange: Exchange, name: string, value: string): void {
  if (exchange.attrs === null) exchange.attrs = {}
  exchange.attrs[name] = value
}

/** Two parts, or not known. */
export const isCallPath = (path: string): boolean => path === '' || /^\/[^/?]+\/[^/?]+$/.test(path)

/** `/pkg.Service/Method` into attributes. */
export function describeCall(exchange: Exchange): void {
  const { resource } = exchange
  exchange.endpoint = resource
  attr(exchange, 'rpc.system', 'grpc')
  const slash = resource.indexOf('/', 1)
  if (slash < 2 || slash === resource.length - 1 || resource.indexOf('/', slash + 1) >= 0) return
  attr(exchange, 'rpc.service', resource.slice(1, slash))
  attr(exchange, 'rpc.method', resource.slice(slash + 1))
}

/** Counts of what was lost in part would be too low: there are none then. */
export function describeRequests(exchange: Exchange, messages: GrpcMessages | null): void {
  if (messages === null) return
  if (!messages.lost) {
    attr(exchange, 'rpc.grpc.request.messages', String(messages.count))
    attr(exchange, 'rpc.grpc.request.bytes', String(messages.bytes))
  }
  if (messages.compressed) attr(exchange, 'rpc.grpc.request.compressed', 'true')
}

export function describeResponses(exchange: Exchange, messages: GrpcMessages | null): void {
  if (messages === null) return
  if (!messages.lost) {
    attr(exchange, 'rpc.grpc.response.messages', String(messages.count))
    attr(exchange, 'rpc.grpc.response.bytes', String(messages.bytes))
  }
  if (messages.compressed) attr(exchange, 'rpc.grpc.response.compressed', 'true')
}

/** A field in the trailers of gRPC-Web. */
export const webTrailer = (trailers: string, name: string): string =>
  new RegExp(`(?:^|\\n)${name}: *([^\\r\\n]*)`, 'i').exec(trailers)?.[1].trim() ?? ''

export function describeMessage(exchange: Exchange, message: string): void {
  if (message !== '') attr(exchange, 'rpc.grpc.message', readMessage(message))
}

/**
 * The call's own status stands in the flow; HTTP's goes to the attributes. `isPage`: not gRPC answered but a proxy with a
 * page of its own, whose HTTP status is all there is.
 */
export function describeStatus(exchange: Exchange, status: number, isPage: boolean): void {
  const http = exchange.statusCode
  if (http !== 0) attr(exchange, 'http.response.status_code', String(http))
  if (status !== NO_STATUS) {
    exchange.statusCode = status
    exchange.outcome = outcomeOfStatus(status)
    if (status !== 0) exchange.error = statusName(status)
    attr(exchange, 'rpc.grpc.status_code', String(status))
  } else if (http !== 0) {
    // HTTP's 200 says nothing of the call.
    if (!isPage) exchange.statusCode = 0
    if (exchange.outcome === 'ok') exchange.outcome = 'unknown'
    note(exchange, 'grpc.no_status')
  }
}
