/** One header block of a stream: its fields, and what those that mean something say. RFC 9113 section 8.2 and 8.3. */
import { NO_STRINGS } from '../../../core/exchange.js'
import { FieldKind } from './field_kinds.js'
import type { FieldSink } from './hpack/decoder.js'
import type { Entry } from './hpack/entry.js'

/** Names and values kept of one block, and their bytes. Servers refuse more. */
const TEXTS_MAX = 512
const BYTES_MAX = 64 * 1024
/** Number and length of a text in a saved state. */
export const TEXT_HEAD_BYTES = 8

/** Filled anew for each block; only `fields` goes on to live. */
export class FieldBlock implements FieldSink {
  /** Names and values in turn, without pseudo-header fields. */
  fields: string[] = NO_STRINGS
  /** Of all that is kept, in UTF-8. */
  #bytes = 0
  method = ''
  path = ''
  authority = ''
  status = ''
  connectProtocol = ''
  host = ''
  userAgent = ''
  contentType = ''
  authorization = ''
  forwardedFor = ''
  requestId = ''
  grpcStatus = ''
  grpcMessage = ''
  grpcTimeout = ''
  grpcEncoding = ''
  /** Some of the fields name a trace or a request. */
  hasCorrelation = false
  /** Some fields are of older entries than the capture has, or the block was not seen to its end. */
  hasUnknown = false
  /** The block was not seen to its end. */
  isCut = false
  /** Some fields were left out or cut. */
  truncated = false
  /** A pseudo-header field that came again, or behind others: no peer accepts that. */
  malformed = false
  #pseudo = 0

  clear(): void {
    this.fields = NO_STRINGS
    this.#bytes = 0
    this.method = ''
    this.path = ''
    this.authority = ''
    this.status = ''
    this.connectProtocol = ''
    this.host = ''
    this.userAgent = ''
    this.contentType = ''
    this.authorization = ''
    this.forwardedFor = ''
    this.requestId = ''
    this.grpcStatus = ''
    this.grpcMessage = ''
    this.grpcTimeout = ''
    this.grpcEncoding = ''
    this.hasCorrelation = false
    this.hasUnknown = false
    this.isCut = false
    this.truncated = false
    this.malformed = false
    this.#pseudo = 0
  }

  field(entry: Entry): void {
    const { name, value, kind } = entry
    if (name === null || value === null) {
      this.hasUnknown = true
      return
    }
    if (entry.cut) this.truncated = true
    if (kind !== FieldKind.OTHER) {
      if (kind <= FieldKind.CONNECT_PROTOCOL) return this.#pseudoField(kind, value, entry.textBytes)
      this.#known(kind, value, entry.textBytes)
    }
    if (this.fields === NO_STRINGS) this.fields = []
    if (this.fields.length < TEXTS_MAX && this.#bytes < BYTES_MAX) {
      this.fields.push(name, value)
      this.#bytes += entry.textBytes
    } else this.truncated = true
  }

  #pseudoField(kind: number, value: string, bytes: number): void {
    const bit = 1 << kind
    if (this.fields.length > 0) this.malformed = true
    if ((this.#pseudo & bit) !== 0) {
      this.malformed = true
      return
    }
    this.#pseudo |= bit
    this.#bytes += bytes
    switch (kind) {
      case FieldKind.METHOD:
        this.method = value
        break
      case FieldKind.PATH:
        this.path = value
        break
      case FieldKind.AUTHORITY:
        this.authority = value
        break
      case FieldKind.STATUS:
        this.status = value
        break
      case FieldKind.CONNECT_PROTOCOL:
        this.connectProtocol = value
        break
      default:
    }
  }

  /** What goes into texts of its own beside the fields counts twice. */
  #known(kind: number, value: string, bytes: number): void {
    switch (kind) {
      case FieldKind.HOST:
        this.host = value
        this.#bytes += bytes
        break
      case FieldKind.USER_AGENT:
        this.userAgent = value
        break
      case FieldKind.CONTENT_TYPE:
        if (this.contentType === '') this.contentType = value
        break
      case FieldKind.AUTHORIZATION:
        this.authorization = value
        this.#bytes += bytes
        break
      case FieldKind.FORWARDED_FOR:
        if (this.forwardedFor === '') this.forwardedFor = value
        this.#bytes += bytes
        break
      case FieldKind.REQUEST_ID:
        this.requestId = value
        this.hasCorrelation = true
        break
      case FieldKind.CORRELATION:
        this.hasCorrelation = true
        this.#bytes += bytes
        break
      case FieldKind.GRPC_STATUS:
        this.grpcStatus = value
        break
      case FieldKind.GRPC_MESSAGE:
        this.grpcMessage = value
        this.#bytes += bytes
        break
      case FieldKind.GRPC_TIMEOUT:
        this.grpcTimeout = value
        break
      case FieldKind.GRPC_ENCODING:
        this.grpcEncoding = value
        break
      default:
    }
  }

  /** A request has what an answer never has, and the other way round. */
  get isRequest(): boolean {
    return this.method !== '' || this.path !== '' || this.authority !== ''
  }

  /** What it adds to a saved state, at most: texts that several streams have are saved once. */
  get savedBytesMax(): number {
    return this.#bytes + this.fields.length * TEXT_HEAD_BYTES
  }

  /** Nothing of it is known. */
  get isEmpty(): boolean {
    return this.#bytes === 0
  }
}
