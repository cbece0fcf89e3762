/** The last touches before the exchange of a stream is handed over. */
import { TO_SERVER } from '../../../core/segment.js'
import {
  attr,
  describeCall,
  describeMessage,
  describeRequests,
  describeResponses,
  describeStatus,
  webTrailer,
} from '../grpc/call.js'
import { NO_STATUS, readStatus, readTimeoutUs } from '../grpc/status.js'
import type { Stream } from './stream.js'

const NO_ERROR = 0
const CANCEL = 8
/** A client that gives up at its deadline does so then; what it sent of the time is what was left of it when it sent it. */
const DEADLINE_SHARE = 0.98

/**
 * `brokenBy`: the code that a stream or its connection was broken off with; -1 = it was not. `amongCalls`: the connection
 * carried nothing but calls so far.
 */
export function finishExchange(stream: Stream, brokenBy: number, amongCalls: boolean): void {
  const { exchange, request, response, said } = stream
  if (!request.headed || !response.headed) exchange.complete = false
  attr(exchange, 'http2.stream_id', String(stream.id))
  if (said !== null) {
    if (said.forwardedFor !== '') attr(exchange, 'client.address', said.forwardedFor.split(',', 1)[0].trim())
    if (said.connectProtocol !== '') attr(exchange, 'http2.connect_protocol', said.connectProtocol)
    if (said.pushed !== '') attr(exchange, 'http2.pushed', said.pushed)
    if (said.interimCodes !== '') attr(exchange, 'http.response.interim_status_codes', said.interimCodes)
  }
  if (exchange.protocol !== 'grpc' && stream.looksLikeGrpc(amongCalls)) exchange.protocol = 'grpc'
  if (exchange.protocol === 'grpc') finishCall(stream)
  if (brokenBy < 0) return
  exchange.complete = false
  // The server has answered and wants no more of the request (RFC 9113 section 8.1).
  if (brokenBy === NO_ERROR && response.ended) return
  exchange.outcome = isDeadline(stream, brokenBy) ? 'timeout' : 'reset'
  exchange.error = errorName(brokenBy)
}

function finishCall({ exchange, request, response, said, grpcStatus, isPage }: Stream): void {
  describeCall(exchange)
  if (said !== null) {
    if (said.grpcTimeout !== '') attr(exchange, 'rpc.grpc.timeout', said.grpcTimeout)
    if (said.requestEncoding !== '') attr(exchange, 'rpc.grpc.request.encoding', said.requestEncoding)
    if (said.responseEncoding !== '') attr(exchange, 'rpc.grpc.response.encoding', said.responseEncoding)
  }
  describeRequests(exchange, request.grpc)
  describeResponses(exchange, response.grpc)
  let status = grpcStatus
  let message = said?.grpcMessage ?? ''
  if (status === NO_STATUS && response.grpc !== null && response.grpc.trailers !== '') {
    status = readStatus(webTrailer(response.grpc.trailers, 'grpc-status'))
    message = webTrailer(response.grpc.trailers, 'grpc-message')
  }
  if (status !== NO_STATUS) describeMessage(exchange, message)
  describeStatus(exchange, status, isPage)
}

function isDeadline({ exchange, resetUs, resetBy, said }: Stream, brokenBy: number): boolean {
  if (brokenBy !== CANCEL || resetBy !== TO_SERVER || exchange.reqStartUs === 0) return false
  const timeoutUs = readTimeoutUs(said?.grpcTimeout ?? '')
  return timeoutUs > 0 && resetUs - exchange.reqStartUs >= timeoutUs * DEADLINE_SHARE
}

/** RFC 9113 section 7. */
const ERRORS = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
]

function errorName(code: number): string {
  return ERRORS[code] ?? `0x${code.toString(16)}`
}
