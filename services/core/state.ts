/** Binary form of decoder state in a checkpoint: small, fast, and refused rather than misread when it does not fit. */

const INITIAL_BYTES = 256

export class StateWriter {
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES)
  #size = 0

  #reserve(size: number): number {
    const at = this.#size
    if (at + size > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, at + size))
      this.#bytes.copy(grown, 0, 0, at)
      this.#bytes = grown
    }
    this.#size = at + size
    return at
  }

  u8(value: number): void {
    const at = this.#reserve(1)
    this.#bytes[at] = value
  }

  bool(value: boolean): void {
    this.u8(value ? 1 : 0)
  }

  u32(value: number): void {
    const at = this.#reserve(4)
    this.#bytes.writeUInt32LE(value, at)
  }

  /** Any integer or time a decoder keeps; exact where a double is. */
  number(value: number): void {
    const at = this.#reserve(8)
    this.#bytes.writeDoubleLE(value, at)
  }

  /** 64 bits without a sign. */
  bigint(value: bigint): void {
    const at = this.#reserve(8)
    this.#bytes.writeBigUInt64LE(value, at)
  }

  string(value: string): void {
    const size = Buffer.byteLength(value)
    const at = this.#reserve(4 + size)
    this.#bytes.writeUInt32LE(size, at)
    this.#bytes.write(value, at + 4, 'utf8')
  }

  bytes(value: Uint8Array): void {
    const at = this.#reserve(4 + value.length)
    this.#bytes.writeUInt32LE(value.length, at)
    this.#bytes.set(value, at + 4)
  }

  strings(values: readonly string[]): void {
    this.number(values.length)
    for (const value of values) this.string(value)
  }

  finish(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#size))
  }
}

/** Reads what StateWriter wrote. After reading beyond the end `failed` is true and every further value is empty. */
export class StateReader {
  readonly #bytes: Buffer
  #pos = 0
  failed = false

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  #take(size: number): number {
    const at = this.#pos
    if (this.failed || size < 0 || at + size > this.#bytes.length) {
      this.failed = true
      return -1
    }
    this.#pos = at + size
    return at
  }

  u8(): number {
    const at = this.#take(1)
    return at < 0 ? 0 : this.#bytes[at]
  }

  bool(): boolean {
    return this.u8() === 1
  }

  u32(): number {
    const at = this.#take(4)
    return at < 0 ? 0 : this.#bytes.readUInt32LE(at)
  }

  number(): number {
    const at = this.#take(8)
    return at < 0 ? 0 : this.#bytes.readDoubleLE(at)
  }

  bigint(): bigint {
    const at = this.#take(8)
    return at < 0 ? 0n : this.#bytes.readBigUInt64LE(at)
  }

  #sized(): Buffer {
    const at = this.#take(4)
    if (at < 0) return Buffer.alloc(0)
    const size = this.#bytes.readUInt32LE(at)
    const from = this.#take(size)
    return from < 0 ? Buffer.alloc(0) : this.#bytes.subarray(from, from + size)
  }

  string(): string {
    return this.#sized().toString('utf8')
  }

  bytes(): Buffer {
    return Buffer.from(this.#sized())
  }

  strings(): string[] {
    const count = this.number()
    const values: string[] = []
    for (let i = 0; i < count && !this.failed; i++) values.push(this.string())
    return values
  }

  /** Everything was read and nothing is left over. */
  get finished(): boolean {
    return !this.failed && this.#pos === this.#bytes.length
  }
}
