/** gRPC-Web in the bodies of HTTP/1 (doc/PROTOCOL-WEB.md of the gRPC project). */
import type { Exchange, HeaderList } from '../../../core/exchange.js'
import {
  attr,
  describeCall,
  describeMessage,
  describeRequests,
  describeResponses,
  describeStatus,
  isText,
  webTrailer,
} from './call.js'
import { GrpcMessages } from './messages.js'
import { NO_STATUS, readStatus } from './status.js'

/** The head of a request is known. */
export function webRequestBegins(exchange: Exchange, contentType: string): GrpcMessages {
  exchange.protocol = 'grpc'
  const timeout = field(exchange.reqHeaders, 'grpc-timeout')
  if (timeout !== '') attr(exchange, 'rpc.grpc.timeout', timeout)
  const encoding = field(exchange.reqHeaders, 'grpc-encoding')
  if (encoding !== '') attr(exchange, 'rpc.grpc.request.encoding', encoding)
  return new GrpcMessages(isText(contentType))
}

export function webRequestEnds(exchange: Exchange, messages: GrpcMessages): void {
  describeCall(exchange)
  describeRequests(exchange, messages)
}

export function webResponseBegins(exchange: Exchange, contentType: string): GrpcMessages {
  exchange.protocol = 'grpc'
  const encoding = field(exchange.respHeaders, 'grpc-encoding')
  if (encoding !== '') attr(exchange, 'rpc.grpc.response.encoding', encoding)
  return new GrpcMessages(isText(contentType))
}

/** `messages` is null where the answer is none of gRPC; `isWhole`: all of its header is known. */
export function webResponseEnds(exchange: Exchange, messages: GrpcMessages | null, isWhole: boolean): void {
  exchange.protocol = 'grpc'
  describeResponses(exchange, messages)
  // An error before any message may come in the header.
  let status = readStatus(field(exchange.respHeaders, 'grpc-status'))
  let message = field(exchange.respHeaders, 'grpc-message')
  if (status === NO_STATUS && messages !== null) {
    status = readStatus(webTrailer(messages.trailers, 'grpc-status'))
    message = webTrailer(messages.trailers, 'grpc-message')
  }
  if (status !== NO_STATUS) describeMessage(exchange, message)
  describeStatus(exchange, status, messages === null && (isWhole || field(exchange.respHeaders, 'content-type') !== ''))
}

function field(fields: HeaderList, name: string): string {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1]
  return ''
}
