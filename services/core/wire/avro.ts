/**
 * The parts of Avro's binary encoding that klartext's own readers and writers are made of (Apache Avro 1.11 specification,
 * "Binary Encoding"). Numbers are JavaScript numbers, exact below 2^53; where 64 bits are needed there is a BigInt form.
 */
import { KlartextError } from '../errors.js'

/** Below this a zig-zag number is still an integer of 31 bits for the engine. */
const SMALL = 1 << 29

export class AvroInput {
  readonly #bytes: Buffer
  readonly #what: string
  readonly #code: string
  #pos: number

  /** Errors are KlartextErrors with `code`; `what` is how they call the input. */
  constructor(bytes: Buffer, what: string, code: string, from = 0) {
    this.#bytes = bytes
    this.#what = what
    this.#code = code
    this.#pos = from
  }

  get position(): number {
    return this.#pos
  }

  /** Goes back to a `position` of before. */
  set position(at: number) {
    this.#pos = at
  }

  get remaining(): number {
    return this.#bytes.length - this.#pos
  }

  bad(what: string): KlartextError {
    return new KlartextError(this.#code, `${this.#what}, byte ${this.#pos} of ${this.#bytes.length}: ${what}`)
  }

  /** Zig-zag varint. Beyond 2^53 it is inexact: where that matters, use `count` or `bigLong`. */
  long(): number {
    const bytes = this.#bytes
    let at = this.#pos
    const first = bytes[at++]
    if (first < 0x80) {
      this.#pos = at
      return (first >>> 1) ^ -(first & 1)
    }
    let value = first & 0x7f
    for (let shift = 7; shift <= 21; shift += 7) {
      const byte = bytes[at++]
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.#pos = at
        return (value >>> 1) ^ -(value & 1)
      }
    }
    return this.#longTail(value, at)
  }

  /** From the fifth byte on; here also ends what runs over the end. */
  #longTail(low: number, from: number): number {
    const bytes = this.#bytes
    if (from > bytes.length) throw this.bad('ends inside a number')
    let value = low
    let scale = 2 ** 28
    for (let at = from; at < from + 6; at++) {
      if (at >= bytes.length) throw this.bad('ends inside a number')
      const byte = bytes[at]
      value += (byte & 0x7f) * scale
      scale *= 128
      if (byte >= 0x80) continue
      // A sum beyond 2^53 may have lost its last bit, which is the sign.
      if (value > Number.MAX_SAFE_INTEGER) return Number(this.bigLong())
      this.#pos = at + 1
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    throw this.bad('number of more than 64 bits')
  }

  /** 0 to 2^53 - 1. */
  count(what: string): number {
    const value = this.long()
    if (value < 0 || value > Number.MAX_SAFE_INTEGER) throw this.bad(`${what} of ${value}`)
    return value
  }

  /** The symbol's number in an enum of so many. */
  symbol(symbols: number, what: string): number {
    const value = this.long()
    if (value < 0 || value >= symbols) throw this.bad(`${what} with the number ${value}`)
    return value
  }

  bigLong(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.#pos >= this.#bytes.length) throw this.bad('ends inside a number')
      const byte = this.#bytes[this.#pos++]
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n))
    }
    throw this.bad('number of more than 64 bits')
  }

  /** A view. */
  fixed(size: number): Buffer {
    const from = this.#pos
    if (size < 0 || size > this.#bytes.length - from) throw this.bad(`ends inside a field of ${size} bytes`)
    this.#pos = from + size
    return this.#bytes.subarray(from, from + size)
  }

  /** A view. */
  bytes(): Buffer {
    return this.fixed(this.long())
  }

  /** Passes a bytes or string field over; answers its size. */
  skip(): number {
    const size = this.#size()
    this.#pos += size
    return size
  }

  text(): string {
    const size = this.#size()
    const from = this.#pos
    this.#pos = from + size
    return size === 0 ? '' : this.#bytes.toString('utf8', from, from + size)
  }

  /** A text that is often the same as `last`, which is then answered; otherwise `last` becomes this one. */
  textLike(last: LastText): string {
    const size = this.#size()
    if (size === 0) return ''
    const bytes = this.#bytes
    const from = this.#pos
    this.#pos = from + size
    if (size === last.bytes.length) {
      let i = 0
      while (i < size && bytes[from + i] === last.bytes[i]) i++
      if (i === size) return last.text
    }
    const text = bytes.toString('utf8', from, from + size)
    if (size <= LAST_BYTES_MAX) {
      last.bytes = new Uint8Array(bytes.subarray(from, from + size))
      last.text = text
    }
    return text
  }

  /** Length of a bytes or string field that is all here. */
  #size(): number {
    const size = this.long()
    if (size < 0 || size > this.remaining) throw this.bad(`ends inside a field of ${size} bytes`)
    return size
  }

  /**
   * Items in the next block of an array or map; 0 = end. A negative count is followed by the block's size. An item has at
   * least one byte, so that a count beyond what is left is refused before anything is made for it.
   */
  blockCount(): number {
    let count = this.long()
    if (count < 0) {
      count = -count
      this.long()
    }
    if (count > this.remaining) throw this.bad(`block of ${count} items`)
    return count
  }
}

/** See `AvroInput.textLike`. */
export class LastText {
  bytes: Uint8Array = new Uint8Array(0)
  text = ''
}

const LAST_BYTES_MAX = 64

/** A length up to here takes one byte as a zig-zag number. */
const LOOP_CHARS_MAX = 63

export class AvroOutput {
  #bytes: Buffer
  #size = 0

  constructor(sizeGuess: number) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(sizeGuess, 64))
  }

  #reserve(size: number): void {
    if (this.#size + size <= this.#bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#size + size))
    this.#bytes.copy(grown, 0, 0, this.#size)
    this.#bytes = grown
  }

  /** Any safe integer. */
  long(value: number): void {
    if (this.#bytes.length - this.#size < 10) this.#reserve(10)
    const bytes = this.#bytes
    let at = this.#size
    if (value < SMALL && value >= -SMALL) {
      let rest = (value << 1) ^ (value >> 31)
      while (rest >= 0x80) {
        bytes[at++] = (rest & 0x7f) | 0x80
        rest >>>= 7
      }
      bytes[at++] = rest
    } else if (value < -(2 ** 52)) {
      // Twice as much less one is no exact number any more.
      return this.bigLong(BigInt(value))
    } else {
      let rest = value >= 0 ? value * 2 : -value * 2 - 1
      while (rest >= 0x80) {
        bytes[at++] = (rest % 128) | 0x80
        rest = Math.floor(rest / 128)
      }
      bytes[at++] = rest
    }
    this.#size = at
  }

  bigLong(value: bigint): void {
    this.#reserve(10)
    let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
    while (rest >= 0x80n) {
      this.#bytes[this.#size++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#bytes[this.#size++] = Number(rest)
  }

  raw(value: Uint8Array): void {
    this.#reserve(value.length)
    this.#bytes.set(value, this.#size)
    this.#size += value.length
  }

  bytes(value: Uint8Array): void {
    this.long(value.length)
    this.raw(value)
  }

  text(value: string): void {
    if (value.length <= LOOP_CHARS_MAX && this.#plain(value)) return
    const size = Buffer.byteLength(value)
    this.long(size)
    this.#reserve(size)
    this.#bytes.write(value, this.#size, 'utf8')
    this.#size += size
  }

  /** A short text of ASCII, with one byte for its length: a loop is faster than the calls. False, and nothing written, for others. */
  #plain(value: string): boolean {
    this.#reserve(LOOP_CHARS_MAX + 1)
    const bytes = this.#bytes
    const { length } = value
    let at = this.#size
    bytes[at++] = length << 1
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i)
      if (code > 0x7f) return false
      bytes[at++] = code
    }
    this.#size = at
    return true
  }

  /** Forgets what was written, keeps the memory. */
  clear(): void {
    this.#size = 0
  }

  /** A copy of what was written. */
  copy(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#size))
  }

  /** What was written; the output must not be used any more. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#size)
  }
}
