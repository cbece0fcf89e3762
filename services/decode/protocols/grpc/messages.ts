/** Messages of gRPC (doc/PROTOCOL-HTTP2.md of the gRPC project) and gRPC-Web (PROTOCOL-WEB.md), as their bytes come by. */
import type { StateReader, StateWriter } from '../../../core/state.js'
import { Base64Reader } from './base64.js'

/** Compressed flag and length in front of each message. */
const PREFIX_BYTES = 5
const COMPRESSED = 1
/** gRPC-Web sends its trailers as a last "message" with this bit. */
const TRAILERS = 0x80
/** Bits that no message has. */
const UNUSED = 0x7e
/** Trailers of gRPC-Web that are kept. */
const TRAILER_BYTES_MAX = 4096

/** Of one direction of a call. */
export class GrpcMessages {
  /** Whole messages, and their sizes without prefixes. */
  count = 0
  bytes = 0
  /** One of them was. */
  compressed = false
  /** Bytes were lost: where messages begin is not known any more, nor how many there are. */
  lost = false
  /** Prefixes were such as gRPC has them. */
  isPlausible = true
  /** The text that gRPC-Web's trailers came as. */
  trailers = ''
  readonly #base64: Base64Reader | null
  /** Bytes of the prefix that are here, and its value so far. */
  #prefixBytes = 0
  #flags = 0
  #length = 0
  /** Bytes of the message under way that are still to come. */
  #left = 0

  /** `asText`: in base64, as browsers stream them. */
  constructor(asText: boolean) {
    this.#base64 = asText ? new Base64Reader() : null
  }

  data(bytes: Buffer, from: number, to: number): void {
    if (this.lost) return
    if (this.#base64 === null) return this.#data(bytes, from, to)
    const decoded = this.#base64.read(bytes, from, to)
    if (decoded === null) this.lost = true
    else this.#data(decoded, 0, decoded.length)
  }

  #data(bytes: Buffer, from: number, to: number): void {
    let at = from
    while (at < to) {
      if (this.#left > 0) {
        const size = Math.min(this.#left, to - at)
        if ((this.#flags & TRAILERS) !== 0) this.#trailer(bytes, at, at + size)
        at += size
        this.#pass(size)
        continue
      }
      const byte = bytes[at++]
      if (this.#prefixBytes === 0) {
        this.#flags = byte
        this.#length = 0
        if ((byte & UNUSED) !== 0) this.isPlausible = false
      } else this.#length = this.#length * 256 + byte
      this.#prefixBytes += 1
      if (this.#prefixBytes < PREFIX_BYTES) continue
      this.#left = this.#length
      if (this.#left === 0) this.#ends()
    }
  }

  #pass(size: number): void {
    this.#left -= size
    if (this.#left === 0) this.#ends()
  }

  #ends(): void {
    this.#prefixBytes = 0
    if ((this.#flags & TRAILERS) !== 0) return
    this.count += 1
    this.bytes += this.#length
    if ((this.#flags & COMPRESSED) !== 0) this.compressed = true
  }

  #trailer(bytes: Buffer, from: number, to: number): void {
    const room = TRAILER_BYTES_MAX - this.trailers.length
    if (room > 0) this.trailers += bytes.toString('latin1', from, Math.min(to, from + room))
  }

  /** From the first byte to the last messages, each as long as it said. */
  get isWhole(): boolean {
    return this.isPlausible && !this.lost && this.#prefixBytes === 0 && (this.count > 0 || this.trailers !== '')
  }

  /** At least one message. */
  get isBegun(): boolean {
    return this.isPlausible && !this.lost && this.count > 0
  }

  /** So many bytes are missing; 0 = nobody knows how many. */
  lose(sizeBytes: number): void {
    if (this.#base64 === null && sizeBytes > 0 && this.#left >= sizeBytes) this.#pass(sizeBytes)
    else this.lost = true
  }

  save(out: StateWriter): void {
    out.bool(this.#base64 !== null)
    this.#base64?.save(out)
    for (const value of [this.count, this.bytes, this.#prefixBytes, this.#flags, this.#length, this.#left]) {
      out.number(value)
    }
    out.bool(this.compressed)
    out.bool(this.lost)
    out.bool(this.isPlausible)
    out.string(this.trailers)
  }

  static restore(state: StateReader): GrpcMessages {
    const messages = new GrpcMessages(state.bool())
    messages.#base64?.restore(state)
    messages.count = state.number()
    messages.bytes = state.number()
    messages.#prefixBytes = state.number()
    messages.#flags = state.number()
    messages.#length = state.number()
    messages.#left = state.number()
    messages.compressed = state.bool()
    messages.lost = state.bool()
    messages.isPlausible = state.bool()
    messages.trailers = state.string()
    return messages
  }
}
