/**
 * JSON written straight into bytes: what a string per line, joined from a hundred pieces and then encoded, costs several
 * times over. The buffer grows to the longest line and is used again for the next.
 */

const INITIAL_BYTES = 64 * 1024
/** UTF-8 of JSON text takes at most so many bytes for one UTF-16 unit: `\u0001`. */
const BYTES_PER_CHAR = 6
const NUMBER_BYTES_MAX = 32
const INT_MAX = 0x7fff_ffff

/** Bytes that are JSON already, written often. */
export class Piece {
  readonly bytes: Uint8Array
  readonly size: number
  /** The same as words of eight bytes, the last one filled up. No text in UTF-8 gives a NaN, whose bits may change. */
  readonly words: Float64Array

  /** Of a copy: it should lie in few cache lines, not in a shared pool. */
  constructor(bytes: Uint8Array) {
    this.size = bytes.length
    const memory = new ArrayBuffer((bytes.length + 7) & ~7)
    this.bytes = new Uint8Array(memory, 0, bytes.length)
    this.bytes.set(bytes)
    const view = new DataView(memory)
    this.words = new Float64Array(memory.byteLength >> 3)
    for (let i = 0; i < this.words.length; i++) this.words[i] = view.getFloat64(i * 8, true)
  }

  static of(text: string): Piece {
    return new Piece(encoder.encode(text))
  }
}

const encoder = new TextEncoder()

export class JsonBytes {
  bytes: Buffer
  size = 0
  #view: DataView

  constructor(sizeBytes = INITIAL_BYTES) {
    this.bytes = Buffer.allocUnsafeSlow(sizeBytes)
    this.#view = viewOf(this.bytes)
  }

  /** Goes on in other memory, at its start. */
  use(bytes: Buffer): void {
    this.bytes = bytes
    this.#view = viewOf(bytes)
    this.size = 0
  }

  /** Forgets what was written. */
  clear(): void {
    this.size = 0
  }

  toString(): string {
    return this.bytes.toString('utf8', 0, this.size)
  }

  raw(piece: Piece): void {
    const { size, words } = piece
    this.#reserve(size + 7)
    const at = this.size
    if (size > COPY_BYTES_MIN) set.call(this.bytes, piece.bytes, at)
    else {
      // Whole words: what the last one has too many is written over by what comes next.
      const view = this.#view
      for (let i = 0; i < words.length; i++) view.setFloat64(at + i * 8, words[i], true)
    }
    this.size = at + size
  }

  /** A text as it is. */
  plain(value: string): void {
    this.#reserve(value.length * BYTES_PER_CHAR)
    this.size += this.bytes.write(value, this.size, 'utf8')
  }

  /** A text of digits, or other plain ASCII, without quotes. */
  digits(value: string): void {
    const { length } = value
    this.#reserve(length)
    const { bytes, size } = this
    for (let i = 0; i < length; i++) bytes[size + i] = value.charCodeAt(i)
    this.size = size + length
  }

  /** A text in quotes. */
  text(value: string): void {
    const { length } = value
    this.#reserve(length * BYTES_PER_CHAR + 2)
    const { bytes, size } = this
    if (!put(value, bytes, size + 1, AS_IS)) return this.#escaped(value)
    bytes[size] = QUOTE
    bytes[size + length + 1] = QUOTE
    this.size = size + length + 2
  }

  /** Control bytes, quotes, and everything beyond ASCII; a lone half of a surrogate pair becomes an escape. */
  #escaped(value: string): void {
    this.size += this.bytes.write(JSON.stringify(value), this.size, 'utf8')
  }

  /** A text without quotes; one with more in it than plain ASCII is written as `escaped` gives it. */
  bare(value: string, escaped: (value: string) => string): void {
    const { length } = value
    this.#reserve(length * BYTES_PER_CHAR)
    if (!put(value, this.bytes, this.size, AS_IS_BARE)) return this.plain(escaped(value))
    this.size += length
  }

  number(value: number): void {
    this.#reserve(NUMBER_BYTES_MAX)
    if (value < 0 || value > INT_MAX || value !== (value | 0)) {
      this.size += this.bytes.write(String(value), this.size, 'latin1')
    } else this.#digits(value, digitsOf(value))
  }

  /** A whole number with leading zeros. */
  padded(value: number, digits: number): void {
    this.#reserve(digits)
    this.#digits(value, digits)
  }

  #digits(value: number, digits: number): void {
    const { bytes } = this
    let rest = value
    for (let at = this.size + digits - 1; at >= this.size; at--) {
      const tens = (rest / 10) | 0
      bytes[at] = 48 + rest - tens * 10
      rest = tens
    }
    this.size += digits
  }

  texts(values: readonly string[]): void {
    this.byte(OPEN_LIST)
    for (let i = 0; i < values.length; i++) {
      if (i > 0) this.byte(COMMA)
      this.text(values[i])
    }
    this.byte(CLOSE_LIST)
  }

  map(values: Readonly<Record<string, string>>): void {
    this.byte(OPEN_MAP)
    let first = true
    for (const name in values) {
      if (!first) this.byte(COMMA)
      first = false
      this.text(name)
      this.byte(COLON)
      this.text(values[name])
    }
    this.byte(CLOSE_MAP)
  }

  /** Names and values in turn, as one object. */
  pairs(values: readonly string[]): void {
    this.byte(OPEN_MAP)
    for (let i = 0; i < values.length; i += 2) {
      if (i > 0) this.byte(COMMA)
      this.text(values[i])
      this.byte(COLON)
      this.text(values[i + 1])
    }
    this.byte(CLOSE_MAP)
  }

  byte(value: number): void {
    this.#reserve(1)
    this.bytes[this.size++] = value
  }

  #reserve(more: number): void {
    if (this.size + more <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(2 * (this.size + more))
    this.bytes.copy(grown, 0, 0, this.size)
    this.bytes = grown
    this.#view = viewOf(grown)
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Looked up once: to find one of a buffer's many methods is a search in a table each time. */
const { set } = Uint8Array.prototype
/** One that Node's types leave out: `write` without the choice of an encoding. Answers bytes written. */
const { utf8Write } = Buffer.prototype as unknown as {
  utf8Write(this: Buffer, text: string, at: number, sizeMax: number): number
}

/** Up to here a loop over words is faster than the call. */
const COPY_BYTES_MIN = 80
const QUOTE = 34
const APOSTROPHE = 39
const BACKSLASH = 92
const COMMA = 44
const COLON = 58
const OPEN_LIST = 91
const CLOSE_LIST = 93
const OPEN_MAP = 123
const CLOSE_MAP = 125

/** By code, 1 for what stands for itself between quotes, and without them. */
const AS_IS = asIs(QUOTE)
const AS_IS_BARE = asIs(APOSTROPHE)

function asIs(not: number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) =>
    code < 32 || code > 126 || code === not || code === BACKSLASH ? 0 : 1,
  )
}

/** Longer texts are written by a call, and looked at as bytes. */
const LOOPED_CHARS_MAX = 36

/** True if `value` stands at `at` of `bytes`, where there must be room for it in UTF-8; false where not all of it stands for itself. */
function put(value: string, bytes: Buffer, at: number, plain: Uint8Array): boolean {
  const { length } = value
  if (length <= LOOPED_CHARS_MAX) {
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i)
      if (code > 126 || plain[code] === 0) return false
      bytes[at + i] = code
    }
    return true
  }
  // What is beyond ASCII has more bytes than characters.
  if (utf8Write.call(bytes, value, at, bytes.length - at) !== length) return false
  for (let i = at; i < at + length; i++) if (plain[bytes[i]] === 0) return false
  return true
}

function digitsOf(value: number): number {
  if (value < 10) return 1
  if (value < 100) return 2
  if (value < 1000) return 3
  if (value < 10_000) return 4
  if (value < 100_000) return 5
  if (value < 1_000_000) return 6
  if (value < 10_000_000) return 7
  return value < 100_000_000 ? 8 : value < 1_000_000_000 ? 9 : 10
}
