/** What the header blocks of a stream say in its exchange. */
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import { isGrpc, isText } from '../grpc/call.js'
import { NO_STATUS, readStatus } from '../grpc/status.js'
import { readCorrelation } from '../http_semantics/correlation.js'
import { principalOf } from '../http_semantics/credentials.js'
import { outcomeOf } from '../http_semantics/outcome.js'
import type { FieldBlock } from './field_block.js'
import { FieldKind, kindOf } from './field_kinds.js'
import type { Stream } from './stream.js'

/** Trailers may come in many blocks; so many names and values of a request or an answer are kept, and bytes of a stream. */
const TEXTS_MAX = 512
const STREAM_BYTES_MAX = 256 * 1024

export function applyRequest(stream: Stream, block: FieldBlock): void {
  const { exchange } = stream
  exchange.method = block.method
  exchange.resource = block.path
  const authority = block.authority !== '' ? block.authority : block.host
  // User information is a credential, which no client should send here (RFC 9113 section 8.3.1).
  const at = authority.lastIndexOf('@')
  exchange.host = at < 0 ? authority : authority.slice(at + 1)
  if (at > 0) {
    exchange.principal = authority.slice(0, at).split(':', 1)[0]
    stream.note('http2.user_in_authority')
  }
  exchange.reqHeaders = block.fields
  exchange.userAgent = block.userAgent
  // Where the answer came first its own type stays.
  if (exchange.contentType === '') exchange.contentType = block.contentType
  if (block.authorization !== '') exchange.principal = principalOf(block.authorization)
  if (block.hasCorrelation) correlate(stream, block.fields)
  if (block.connectProtocol !== '') stream.say().connectProtocol = block.connectProtocol
  if (block.forwardedFor !== '') stream.say().forwardedFor = block.forwardedFor
  common(stream, block)
  if (!isGrpc(block.contentType)) return expectGrpc(stream, TO_SERVER, block)
  becomeGrpc(stream, TO_SERVER, block)
  if (block.grpcTimeout !== '') stream.say().grpcTimeout = block.grpcTimeout
  if (block.grpcEncoding !== '') stream.say().requestEncoding = block.grpcEncoding
}

function correlate({ exchange }: Stream, fields: readonly string[]): void {
  for (let i = 0; i < fields.length; i += 2) {
    const kind = kindOf(fields[i])
    if (kind === FieldKind.CORRELATION || kind === FieldKind.REQUEST_ID) {
      readCorrelation(exchange, fields[i], fields[i + 1])
    }
  }
}

export function applyResponse(stream: Stream, block: FieldBlock): void {
  const { exchange } = stream
  const status = /^[1-9]\d\d$/.test(block.status) ? Number(block.status) : 0
  exchange.statusCode = status
  exchange.outcome = outcomeOf(status)
  exchange.respHeaders = block.fields
  common(stream, block)
  if (block.contentType !== '') exchange.contentType = block.contentType
  if (exchange.requestId === '') exchange.requestId = block.requestId
  stream.isPage = block.contentType !== '' ? !isGrpc(block.contentType) : !block.hasUnknown
  if (isGrpc(block.contentType)) {
    becomeGrpc(stream, TO_CLIENT, block)
    if (block.grpcEncoding !== '') stream.say().responseEncoding = block.grpcEncoding
  } else expectGrpc(stream, TO_CLIENT, block)
  // Trailers-only: the one block of an answer has the status in it.
  applyGrpcStatus(stream, block)
}

/** What the type is was said before the capture began, or lost. */
function expectGrpc(stream: Stream, direction: Direction, block: FieldBlock): void {
  const { method } = stream.exchange
  stream.mayBeGrpc = block.contentType === '' && block.hasUnknown && (method === '' || method === 'POST')
  if (stream.mayBeGrpc) stream.expectMessages(direction, false)
}

function becomeGrpc(stream: Stream, direction: Direction, block: FieldBlock): void {
  stream.exchange.protocol = 'grpc'
  stream.expectMessages(direction, isText(block.contentType))
}

export function applyTrailers(stream: Stream, direction: Direction, block: FieldBlock): void {
  const { exchange } = stream
  common(stream, block)
  if (block.fields.length > 0) {
    const before = direction === TO_SERVER ? exchange.reqHeaders : exchange.respHeaders
    const tooMany = before.length + block.fields.length > TEXTS_MAX
    if (tooMany || stream.bytes + block.savedBytesMax > STREAM_BYTES_MAX) exchange.truncated = true
    else if (direction === TO_SERVER) exchange.reqHeaders = [...before, ...block.fields]
    else exchange.respHeaders = [...before, ...block.fields]
  }
  if (direction === TO_CLIENT) applyGrpcStatus(stream, block)
}

function applyGrpcStatus(stream: Stream, block: FieldBlock): void {
  const status = readStatus(block.grpcStatus)
  if (status === NO_STATUS) return
  // Where the header was lost the status alone tells what it is.
  stream.exchange.protocol = 'grpc'
  stream.grpcStatus = status
  if (block.grpcMessage !== '') stream.say().grpcMessage = block.grpcMessage
}

function common(stream: Stream, block: FieldBlock): void {
  const { exchange } = stream
  if (block.truncated || block.isCut) exchange.truncated = true
  if (block.malformed) stream.note('http2.malformed_fields')
  if (block.isCut) stream.note('http2.header_cut')
  if (!block.hasUnknown) return
  if (!block.isCut) stream.note('http2.unknown_fields')
  exchange.complete = false
}
