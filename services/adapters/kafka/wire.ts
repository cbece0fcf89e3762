/** Writing and reading Kafka's primitive types (protocol guide, "Protocol Primitive Types"). */
export class RequestBytes {
  #bytes = Buffer.allocUnsafe(256)
  #size = 0

  get buffer(): Buffer {
    return this.#bytes.subarray(0, this.#size)
  }

  /** By which kafkajs knows something that it may send. */
  get buf(): Buffer {
    return this.#bytes
  }

  size(): number {
    return this.#size
  }

  #room(size: number): number {
    const at = this.#size
    this.#size = at + size
    if (this.#size > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#size, this.#bytes.length * 2))
      this.#bytes.copy(larger, 0, 0, at)
      this.#bytes = larger
    }
    return at
  }

  int8(value: number): this {
    this.#bytes.writeInt8(value, this.#room(1))
    return this
  }

  int16(value: number): this {
    const at = this.#room(2)
    this.#bytes.writeInt16BE(value, at)
    return this
  }

  int32(value: number): this {
    const at = this.#room(4)
    this.#bytes.writeInt32BE(value, at)
    return this
  }

  int64(value: bigint): this {
    const at = this.#room(8)
    this.#bytes.writeBigInt64BE(value, at)
    return this
  }

  text(value: string | null): this {
    if (value === null) return this.int16(-1)
    const size = Buffer.byteLength(value)
    this.int16(size)
    const at = this.#room(size)
    this.#bytes.write(value, at)
    return this
  }

  /** Length as int32, then the bytes. */
  bytes(value: Buffer): this {
    this.int32(value.length)
    const at = this.#room(value.length)
    value.copy(this.#bytes, at)
    return this
  }

  unsignedVarint(value: number): this {
    let rest = value
    while (rest > 0x7f) {
      const at = this.#room(1)
      this.#bytes[at] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    const at = this.#room(1)
    this.#bytes[at] = rest
    return this
  }

  /** Compact string: length plus one as unsigned varint. */
  compactText(value: string): this {
    const size = Buffer.byteLength(value)
    this.unsignedVarint(size + 1)
    const at = this.#room(size)
    this.#bytes.write(value, at)
    return this
  }

  /** No tagged fields. */
  noTags(): this {
    return this.unsignedVarint(0)
  }
}

/** Reads an answer. Offsets outside it throw RangeError, which the caller's request fails with. */
export class AnswerBytes {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  int16(): number {
    this.#at += 2
    return this.#bytes.readInt16BE(this.#at - 2)
  }

  int32(): number {
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }

  int64(): bigint {
    this.#at += 8
    return this.#bytes.readBigInt64BE(this.#at - 8)
  }

  text(): string {
    return this.#take(this.int16()).toString()
  }

  /** View into the answer; empty where it is null. */
  bytes(): Buffer {
    return this.#take(this.int32())
  }

  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#at++)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    throw new RangeError('a number has more than five bytes')
  }

  /** Empty where it is null. */
  compactText(): string {
    return this.#take(this.unsignedVarint() - 1).toString()
  }

  skipTags(): void {
    for (let count = this.unsignedVarint(); count > 0; count--) {
      this.unsignedVarint()
      this.#take(this.unsignedVarint())
    }
  }

  #take(size: number): Buffer {
    if (size <= 0) return EMPTY
    if (this.#at + size > this.#bytes.length) throw new RangeError('an answer of the broker ends too early')
    this.#at += size
    return this.#bytes.subarray(this.#at - size, this.#at)
  }
}

const EMPTY = Buffer.alloc(0)
