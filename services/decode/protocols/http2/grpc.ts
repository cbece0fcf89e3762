/** gRPC over HTTP/2 (doc/PROTOCOL-HTTP2.md of the gRPC project) and gRPC-Web (PROTOCOL-WEB.md): messages, status, names. */
import type { Exchange, Outcome } from '../../../core/exchange.js'
import type { StateReader, StateWriter } from '../../../core/state.js'

/** Compressed flag and length in front of each message. */
const PREFIX_BYTES = 5
/** gRPC-Web sends its trailers as a last "message" with this bit. */
const TRAILER_FLAG = 0x80
/** Trailers of gRPC-Web that are kept. */
const TRAILER_BYTES_MAX = 4096

/** The messages of one direction of a call, as their bytes come by. */
export class GrpcMessages {
  count = 0
  bytes = 0
  compressed = false
  /** Bytes of the prefix that are here, and its value so far. */
  #prefixBytes = 0
  #flags = 0
  #length = 0
  /** Bytes of the message under way that are still to come. */
  #left = 0
  /** Bytes were lost: where messages begin is not known any more. */
  #lost = false
  trailers = ''

  data(bytes: Buffer, from: number, to: number): void {
    let at = from
    while (at < to && !this.#lost) {
      if (this.#left > 0) {
        const size = Math.min(this.#left, to - at)
        if ((this.#flags & TRAILER_FLAG) !== 0) this.#trailer(bytes, at, at + size)
        this.#left -= size
        at += size
        if (this.#left === 0) this.#prefixBytes = 0
        continue
      }
      const byte = bytes[at++]
      if (this.#prefixBytes === 0) {
        this.#flags = byte
        this.#length = 0
      } else this.#length = this.#length * 256 + byte
      this.#prefixBytes += 1
      if (this.#prefixBytes === PREFIX_BYTES) this.#begin()
    }
  }

  #begin(): void {
    this.#left = this.#length
    if (this.#left === 0) this.#prefixBytes = 0
    if ((this.#flags & TRAILER_FLAG) !== 0) return
    this.count += 1
    this.bytes += this.#length
    if ((this.#flags & 1) !== 0) this.compressed = true
  }

  #trailer(bytes: Buffer, from: number, to: number): void {
    if (this.trailers.length < TRAILER_BYTES_MAX) this.trailers += bytes.toString('latin1', from, to)
  }

  /** Bytes of the stream are missing. */
  lose(sizeBytes: number): void {
    if (sizeBytes > 0 && this.#left >= sizeBytes) {
      this.#left -= sizeBytes
      if (this.#left === 0) this.#prefixBytes = 0
    } else this.#lost = true
  }

  save(out: StateWriter): void {
    for (const value of [this.count, this.bytes, this.#prefixBytes, this.#flags, this.#length, this.#left]) {
      out.number(value)
    }
    out.bool(this.compressed)
    out.bool(this.#lost)
    out.string(this.trailers)
  }

  restore(state: StateReader): void {
    this.count = state.number()
    this.bytes = state.number()
    this.#prefixBytes = state.number()
    this.#flags = state.number()
    this.#length = state.number()
    this.#left = state.number()
    this.compressed = state.bool()
    this.#lost = state.bool()
    this.trailers = state.string()
  }
}

export function isGrpc(contentType: string): boolean {
  if (!contentType.startsWith('application/grpc')) return false
  const next = contentType.charCodeAt('application/grpc'.length)
  // `+proto`, `;charset`, `-web`, or nothing.
  return Number.isNaN(next) || next === 43 || next === 59 || next === 45
}

const OK = 0
const DEADLINE_EXCEEDED = 4
/** CANCELLED, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE, UNAUTHENTICATED. */
const CLIENT_ERRORS = new Set([1, 3, 5, 6, 7, 9, 11, 16])
const STATUS_NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]

export function grpcOutcome(status: number): Outcome {
  if (status === OK) return 'ok'
  if (status === DEADLINE_EXCEEDED) return 'timeout'
  return CLIENT_ERRORS.has(status) ? 'client_error' : 'server_error'
}

export function grpcStatusName(status: number): string {
  return STATUS_NAMES[status] ?? `STATUS_${status}`
}

/** `/pkg.Service/Method` into attributes. */
export function nameCall(exchange: Exchange, attrs: Record<string, string>): void {
  const match = /^\/([^/]+)\/([^/]+)$/.exec(exchange.resource)
  attrs['rpc.system'] = 'grpc'
  if (match === null) return
  attrs['rpc.service'] = match[1]
  attrs['rpc.method'] = match[2]
}
