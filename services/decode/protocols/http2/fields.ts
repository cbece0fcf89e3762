/** What the header fields of a block say of their exchange. RFC 9113 section 8.2 and 8.3. */
import type { Direction } from '../../../core/segment.js'
import { TO_SERVER } from '../../../core/segment.js'
import { readCorrelation } from '../http_semantics/correlation.js'
import { principalOf } from '../http_semantics/credentials.js'
import { outcomeOf } from '../http_semantics/outcome.js'
import { grpcOutcome, grpcStatusName, isGrpc, nameCall } from './grpc.js'
import type { FieldSink } from './hpack/decoder.js'
import type { Stream } from './stream.js'

/** Fields and bytes kept of one block; servers refuse more. */
const FIELDS_MAX = 256
const KEPT_BYTES_MAX = 64 * 1024

const CORRELATION = new Set([
  'traceparent',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'uber-trace-id',
  'sw8',
  'x-request-id',
  'x-correlation-id',
  'request-id',
  'x-amzn-trace-id',
])

/** One block: a request's or an answer's header, or trailers. Filled anew for each. */
export class FieldBlock implements FieldSink {
  readonly fields: string[] = []
  method = ''
  path = ''
  authority = ''
  status = ''
  hasUnknown = false
  #keptBytes = 0
  truncated = false

  field(name: string, value: string): void {
    if (name.charCodeAt(0) === 58) return this.#pseudo(name, value)
    if (this.fields.length < FIELDS_MAX * 2 && this.#keptBytes < KEPT_BYTES_MAX) {
      this.fields.push(name, value)
      this.#keptBytes += name.length + value.length
    } else this.truncated = true
  }

  #pseudo(name: string, value: string): void {
    if (name === ':method') this.method = value
    else if (name === ':path') this.path = value
    else if (name === ':authority') this.authority = value
    else if (name === ':status') this.status = value
  }

  unknown(): void {
    this.hasUnknown = true
  }

  /** A request has what an answer never has, and the other way round. */
  get isRequest(): boolean {
    return this.method !== '' || this.path !== '' || this.authority !== ''
  }

  get(name: string): string {
    const { fields } = this
    for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1]
    return ''
  }
}

export function applyRequest(stream: Stream, block: FieldBlock): void {
  const { exchange } = stream
  exchange.method = block.method
  exchange.resource = block.path
  const authority = block.authority !== '' ? block.authority : block.get('host')
  // User information is a credential, which no client should send here (RFC 9113 section 8.3.1).
  const at = authority.lastIndexOf('@')
  exchange.host = authority.slice(at + 1)
  if (at > 0) {
    exchange.principal = authority.slice(0, at).split(':', 1)[0]
    stream.note('http2.user_in_authority')
  }
  exchange.reqHeaders = block.fields
  common(stream, block)
  const { fields } = block
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [fields[i], fields[i + 1]]
    if (name === 'user-agent') exchange.userAgent = value
    else if (name === 'content-type' && exchange.contentType === '') exchange.contentType = value
    else if (name === 'authorization') exchange.principal = principalOf(value)
    else if (name === 'x-forwarded-for') stream.attr('client.address', value.split(',', 1)[0].trim())
    else if (name === 'grpc-timeout') stream.attr('rpc.grpc.timeout', value)
    else if (name === 'grpc-encoding') stream.attr('rpc.grpc.request.encoding', value)
    else if (CORRELATION.has(name)) readCorrelation(exchange, name, value)
  }
  if (isGrpc(block.get('content-type'))) becomeGrpc(stream)
}

export function applyResponse(stream: Stream, block: FieldBlock): void {
  const { exchange } = stream
  const status = Number(block.status)
  exchange.statusCode = Number.isInteger(status) ? status : 0
  exchange.outcome = exchange.statusCode === 0 ? 'unknown' : outcomeOf(exchange.statusCode)
  exchange.respHeaders = block.fields
  common(stream, block)
  const contentType = block.get('content-type')
  if (contentType !== '') exchange.contentType = contentType
  if (exchange.requestId === '') exchange.requestId = block.get('x-request-id')
  if (isGrpc(contentType)) becomeGrpc(stream)
  // Trailers-only: the one block of an answer has the status in it.
  applyGrpcStatus(stream, block.get('grpc-status'), block.get('grpc-message'))
}

/** The call's own status stands in the flow; HTTP's goes to the attributes. */
export function becomeGrpc(stream: Stream): void {
  stream.exchange.protocol = 'grpc'
}

export function applyTrailers(stream: Stream, direction: Direction, block: FieldBlock): void {
  const { exchange } = stream
  if (block.hasUnknown) stream.note('http2.unknown_fields')
  if (direction === TO_SERVER) return
  if (block.fields.length > 0) exchange.respHeaders = [...exchange.respHeaders, ...block.fields]
  applyGrpcStatus(stream, block.get('grpc-status'), block.get('grpc-message'))
}

export function applyGrpcStatus(stream: Stream, status: string, message: string): void {
  if (!/^\d{1,3}$/.test(status)) return
  // Where the header was lost the status alone tells what it is.
  becomeGrpc(stream)
  stream.grpcStatus = Number(status)
  if (message !== '') stream.attr('rpc.grpc.message', message)
}

function common(stream: Stream, block: FieldBlock): void {
  if (block.truncated) stream.exchange.truncated = true
  if (!block.hasUnknown) return
  stream.note('http2.unknown_fields')
  stream.exchange.complete = false
}

/** The last touches before an exchange is handed over. */
export function finishFields(stream: Stream): void {
  const { exchange, request, response } = stream
  if (!stream.isGrpc) return
  if (exchange.statusCode !== 0) stream.attr('http.response.status_code', String(exchange.statusCode))
  nameCall(exchange, exchange.attrs ?? (exchange.attrs = {}))
  exchange.endpoint = exchange.resource
  const sides = [
    ['request', request],
    ['response', response],
  ] as const
  for (const [name, { grpc }] of sides) {
    if (grpc === null) continue
    stream.attr(`rpc.grpc.${name}.messages`, String(grpc.count))
    stream.attr(`rpc.grpc.${name}.bytes`, String(grpc.bytes))
    if (grpc.compressed) stream.attr(`rpc.grpc.${name}.compressed`, 'true')
    if (grpc.trailers !== '') webTrailers(stream, grpc.trailers)
  }
  if (stream.grpcStatus >= 0) {
    exchange.statusCode = stream.grpcStatus
    exchange.outcome = grpcOutcome(stream.grpcStatus)
    if (stream.grpcStatus !== 0) exchange.error = grpcStatusName(stream.grpcStatus)
    stream.attr('rpc.grpc.status_code', String(stream.grpcStatus))
  } else if (exchange.statusCode !== 0) {
    // HTTP's 200 says nothing of the call; another status is a proxy's, and says that it failed.
    exchange.statusCode = 0
    if (exchange.outcome === 'ok') exchange.outcome = 'unknown'
    stream.note('grpc.no_status')
  }
}

function webTrailers(stream: Stream, text: string): void {
  if (stream.grpcStatus >= 0) return
  const value = (name: string) => new RegExp(`(?:^|\\n)${name}: *([^\\r\\n]*)`, 'i').exec(text)?.[1] ?? ''
  applyGrpcStatus(stream, value('grpc-status'), value('grpc-message'))
}
