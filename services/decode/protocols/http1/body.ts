/** How far a body goes: by length, by chunks, or to the end of the connection (RFC 9112 sections 6 and 7). Nothing is kept. */
import type { Cursor } from '../../../core/cursor.js'
import { BAD, MORE } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { lineEnd, withoutCr } from './start_line.js'

const BODY_NONE = 0
const LENGTH = 1
const CHUNK_SIZE = 2
const CHUNK_DATA = 3
const CHUNK_END = 4
const TRAILER = 5
const TO_END = 6

/** A chunk line with extensions longer than this is an attack. */
const CHUNK_LINE_BYTES_MAX = 16 * 1024
const TRAILER_LINE_BYTES_MAX = 16 * 1024

export class Body {
  #state = BODY_NONE
  /** Bytes left of the body or chunk. */
  #left = 0
  /** Content bytes so far, transfer coding removed. */
  bytes = 0
  /** Nothing of it was read. */
  untouched = true

  none(): void {
    this.#state = BODY_NONE
    this.bytes = 0
    this.untouched = true
  }

  length(size: number): void {
    this.#state = size === 0 ? BODY_NONE : LENGTH
    this.#left = size
    this.bytes = 0
    this.untouched = true
  }

  chunks(): void {
    this.#state = CHUNK_SIZE
    this.#left = 0
    this.bytes = 0
    this.untouched = true
  }

  toEnd(): void {
    this.#state = TO_END
    this.bytes = 0
    this.untouched = true
  }

  get open(): boolean {
    return this.#state !== BODY_NONE
  }

  /** Ends with the direction, and so is whole when the direction ends. */
  get untilEnd(): boolean {
    return this.#state === TO_END
  }

  /** Bytes consumed, MORE or BAD. */
  parse(input: Cursor): number {
    const { bytes, pos, end } = input
    this.untouched = false
    switch (this.#state) {
      case LENGTH:
      case CHUNK_DATA: {
        const size = Math.min(this.#left, end - pos)
        this.#left -= size
        this.bytes += size
        if (this.#left === 0) this.#state = this.#state === LENGTH ? BODY_NONE : CHUNK_END
        return size
      }
      case TO_END:
        this.bytes += end - pos
        return end - pos
      case CHUNK_SIZE:
        return this.#chunkSize(input)
      case CHUNK_END: {
        // CR LF after the data; LF alone is tolerated.
        if (bytes[pos] === 10) {
          this.#state = CHUNK_SIZE
          return 1
        }
        if (bytes[pos] !== 13) return BAD
        if (end - pos < 2) return MORE
        if (bytes[pos + 1] !== 10) return BAD
        this.#state = CHUNK_SIZE
        return 2
      }
      default:
        return this.#trailer(input)
    }
  }

  /** chunk = chunk-size [ chunk-ext ] CRLF: hexadecimal digits; a size beyond 2^53 is refused, not wrapped. */
  #chunkSize(input: Cursor): number {
    const { bytes, pos, end } = input
    const lf = lineEnd(bytes, pos + input.searchedBytes, end)
    if (lf < 0) return this.#noLine(input, CHUNK_LINE_BYTES_MAX)
    let at = pos
    while (at < lf && (bytes[at] === 32 || bytes[at] === 9)) at++
    let size = 0
    let digits = 0
    for (; at < lf; at++, digits++) {
      const digit = hexDigit(bytes[at])
      if (digit < 0) break
      size = size * 16 + digit
      if (size > Number.MAX_SAFE_INTEGER) return BAD
    }
    if (digits === 0) return BAD
    const after = bytes[at]
    if (at < withoutCr(bytes, pos, lf) && after !== 59 && after !== 32 && after !== 9) return BAD
    this.#left = size
    this.#state = size === 0 ? TRAILER : CHUNK_DATA
    return lf + 1 - pos
  }

  #noLine(input: Cursor, bytesMax: number): number {
    if (input.length > bytesMax) return BAD
    input.searchedBytes = input.length
    return MORE
  }

  #trailer(input: Cursor): number {
    const { bytes, pos, end } = input
    const lf = lineEnd(bytes, pos + input.searchedBytes, end)
    if (lf < 0) return this.#noLine(input, TRAILER_LINE_BYTES_MAX)
    if (withoutCr(bytes, pos, lf) === pos) this.#state = BODY_NONE
    return lf + 1 - pos
  }

  /** True if the missing bytes, 0 = nobody knows how many, lie inside the body, so that its end is still known. */
  gap(sizeBytes: number): boolean {
    if (this.#state === TO_END) {
      this.bytes += sizeBytes
      return true
    }
    const inside = this.#state === LENGTH || this.#state === CHUNK_DATA
    if (!inside || sizeBytes === 0 || sizeBytes > this.#left) return false
    this.#left -= sizeBytes
    this.bytes += sizeBytes
    if (this.#left === 0) this.#state = this.#state === LENGTH ? BODY_NONE : CHUNK_END
    return true
  }

  save(out: StateWriter): void {
    out.u8(this.#state)
    out.number(this.#left)
    out.number(this.bytes)
    out.bool(this.untouched)
  }

  restore(state: StateReader): void {
    this.#state = state.u8()
    this.#left = state.number()
    this.bytes = state.number()
    this.untouched = state.bool()
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}
