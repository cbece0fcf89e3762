/** Reads numbers and length-prefixed vectors (RFC 8446 section 3.4). Beyond the end `cut` is set and everything is 0. */
export class VectorReader {
  readonly bytes: Buffer
  pos: number
  readonly end: number
  cut = false

  constructor(bytes: Buffer, pos: number, end: number) {
    this.bytes = bytes
    this.pos = pos
    this.end = end
  }

  get left(): number {
    return this.end - this.pos
  }

  uint(size: number): number {
    if (this.pos + size > this.end) {
      this.cut = true
      this.pos = this.end
      return 0
    }
    let value = 0
    for (let i = 0; i < size; i++) value = value * 256 + this.bytes[this.pos + i]
    this.pos += size
    return value
  }

  skip(size: number): void {
    if (size > this.left) this.cut = true
    this.pos = Math.min(this.end, this.pos + size)
  }

  /** A vector whose length takes `lengthBytes`; cut short where its end is missing. */
  vector(lengthBytes: number): VectorReader {
    return this.part(this.uint(lengthBytes))
  }

  part(size: number): VectorReader {
    const to = Math.min(this.end, this.pos + size)
    const part = new VectorReader(this.bytes, this.pos, to)
    if (this.pos + size > this.end) {
      this.cut = true
      part.cut = true
    }
    this.pos = to
    return part
  }

  /** All numbers of `size` bytes that are left, at most `max`. */
  numbers(size: number, max: number): number[] {
    const values: number[] = []
    while (this.left >= size && values.length < max) values.push(this.uint(size))
    return values
  }

  view(): Buffer {
    return this.bytes.subarray(this.pos, this.end)
  }

  text(): string {
    return this.bytes.toString('latin1', this.pos, this.end)
  }
}
