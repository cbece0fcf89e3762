/** DER (ITU-T X.690), as much of it as certificates use: tag, length, content. Nothing is followed in depth. */
export class Der {
  readonly bytes: Buffer
  /** The next element, and where the elements of this level end. */
  #at: number
  readonly #end: number
  /** Of the element that `next` went to. */
  tag = 0
  from = 0
  to = 0

  constructor(bytes: Buffer, from = 0, end = bytes.length) {
    this.bytes = bytes
    this.#at = from
    this.#end = end
  }

  /** Goes to the next element of this level; false at the end, or where a length does not fit. */
  next(): boolean {
    const { bytes } = this
    let at = this.#at
    if (at + 2 > this.#end) return false
    this.tag = bytes[at]
    // Tags of more than one byte do not occur in certificates.
    if ((this.tag & 0x1f) === 0x1f) return false
    let size = bytes[at + 1]
    at += 2
    if (size >= 0x80) {
      const sizeBytes = size & 0x7f
      if (sizeBytes === 0 || sizeBytes > 4 || at + sizeBytes > this.#end) return false
      size = 0
      for (let i = 0; i < sizeBytes; i++) size = size * 256 + bytes[at + i]
      at += sizeBytes
    }
    if (at + size > this.#end) return false
    this.from = at
    this.to = at + size
    this.#at = this.to
    return true
  }

  /** Goes to the next element, which must have this tag. */
  expect(tag: number): boolean {
    return this.next() && this.tag === tag
  }

  /** The elements inside this one. */
  inside(): Der {
    return new Der(this.bytes, this.from, this.to)
  }
}

/** Object identifier in dotted form; `''` where it is none. */
export function objectIdentifier(bytes: Buffer, from: number, to: number): string {
  if (to - from > OID_BYTES_MAX) return ''
  const parts: number[] = []
  let value = 0
  for (let i = from; i < to; i++) {
    value = value * 128 + (bytes[i] & 0x7f)
    if (value > Number.MAX_SAFE_INTEGER) return ''
    if ((bytes[i] & 0x80) !== 0) continue
    if (parts.length === 0) {
      const first = value < 40 ? 0 : value < 80 ? 1 : 2
      parts.push(first, value - first * 40)
    } else parts.push(value)
    value = 0
  }
  return parts.join('.')
}

const OID_BYTES_MAX = 64
