/** One class per column type of a Native block: takes values in portions, gives the bytes of the whole column. */

export interface ColumnWriter<T> {
  /** Of the block; where the table has another, the engine converts. */
  readonly type: string
  /** Takes the first `count` of the values. */
  add(values: readonly T[], count: number): void
  finish(): Buffer[]
}

/** A count beyond its column stays at the column's end: it does not wrap to a small one. */
function bounded(value: number, max: number): number {
  return value > 0 ? Math.min(value, max) : 0
}

const bytesOf = (array: ArrayBufferView): Buffer => Buffer.from(array.buffer, array.byteOffset, array.byteLength)

export class ByteColumn implements ColumnWriter<number> {
  readonly type = 'UInt8'
  readonly #data: Uint8Array
  #at = 0

  constructor(rows: number) {
    this.#data = new Uint8Array(rows)
  }

  add(values: readonly number[], count: number): void {
    for (let i = 0; i < count; i++) this.#data[this.#at++] = bounded(values[i], 0xff)
  }

  finish(): Buffer[] {
    return [bytesOf(this.#data)]
  }
}

export class ShortColumn implements ColumnWriter<number> {
  readonly type = 'UInt16'
  readonly #data: Uint16Array
  #at = 0

  constructor(rows: number) {
    this.#data = new Uint16Array(rows)
  }

  add(values: readonly number[], count: number): void {
    for (let i = 0; i < count; i++) this.#data[this.#at++] = bounded(values[i], 0xffff)
  }

  finish(): Buffer[] {
    return [bytesOf(this.#data)]
  }
}

export class WordColumn implements ColumnWriter<number> {
  readonly type = 'UInt32'
  readonly #data: Uint32Array
  #at = 0

  constructor(rows: number) {
    this.#data = new Uint32Array(rows)
  }

  add(values: readonly number[], count: number): void {
    for (let i = 0; i < count; i++) this.#data[this.#at++] = bounded(values[i], 0xffff_ffff)
  }

  finish(): Buffer[] {
    return [bytesOf(this.#data)]
  }
}

export class DoubleColumn implements ColumnWriter<number> {
  readonly type = 'Float64'
  readonly #data: Float64Array
  #at = 0

  constructor(rows: number) {
    this.#data = new Float64Array(rows)
  }

  add(values: readonly number[], count: number): void {
    for (let i = 0; i < count; i++) this.#data[this.#at++] = values[i]
  }

  finish(): Buffer[] {
    return [bytesOf(this.#data)]
  }
}

/** Whole numbers up to 2^53, as halves: BigInt would cost an allocation each. */
export class LongColumn implements ColumnWriter<number> {
  readonly type: string = 'UInt64'
  readonly #halves: Uint32Array
  #at = 0

  constructor(rows: number) {
    this.#halves = new Uint32Array(rows * 2)
  }

  add(values: readonly number[], count: number): void {
    for (let i = 0; i < count; i++) {
      const value = this.clamp(values[i])
      const high = Math.floor(value / 2 ** 32)
      this.#halves[this.#at++] = value - high * 2 ** 32
      this.#halves[this.#at++] = high
    }
  }

  protected clamp(value: number): number {
    return bounded(value, Number.MAX_SAFE_INTEGER)
  }

  finish(): Buffer[] {
    return [bytesOf(this.#halves)]
  }
}

/** The table's days are UInt16: 2149-06-06. A capture may claim any time; one outside lands on the nearest there is. */
const TIME_US_MAX = 65_535 * 86_400e6 - 1

export class TimeColumn extends LongColumn {
  override readonly type = "DateTime64(6, 'UTC')"

  protected override clamp(value: number): number {
    return bounded(value, TIME_US_MAX)
  }
}

/** UInt64 from decimal digits. */
export class IdColumn implements ColumnWriter<string> {
  readonly type = 'UInt64'
  readonly #data: BigUint64Array
  #at = 0
  #last = ''
  #lastNumber = 0n

  constructor(rows: number) {
    this.#data = new BigUint64Array(rows)
  }

  add(values: readonly string[], count: number): void {
    for (let i = 0; i < count; i++) {
      const value = values[i]
      // Flows of one connection lie together.
      if (value !== this.#last) {
        this.#last = value
        this.#lastNumber = BigInt(value)
      }
      this.#data[this.#at++] = this.#lastNumber
    }
  }

  finish(): Buffer[] {
    return [bytesOf(this.#data)]
  }
}

/** Shorter texts are written by a loop: a call into the encoder costs more than it saves. */
const LOOP_CHARS_MAX = 40

/** Lengths and UTF-8 bytes, growing. */
class Texts {
  #bytes = Buffer.allocUnsafe(4096)
  #at = 0

  add(value: string): void {
    const chars = value.length
    const need = this.#at + 10 + chars * 3
    if (need > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(need * 2)
      this.#bytes.copy(grown, 0, 0, this.#at)
      this.#bytes = grown
    }
    if (chars <= LOOP_CHARS_MAX && this.#addPlain(value)) return
    let rest = Buffer.byteLength(value)
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.#bytes[this.#at++] = (rest % 128) | 0x80
    this.#bytes[this.#at++] = rest
    this.#at += this.#bytes.write(value, this.#at, 'utf8')
  }

  #addPlain(value: string): boolean {
    const bytes = this.#bytes
    let at = this.#at + 1
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i)
      if (code > 0x7f) return false
      bytes[at++] = code
    }
    bytes[this.#at] = value.length
    this.#at = at
    return true
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }
}

export class TextColumn implements ColumnWriter<string> {
  readonly type = 'String'
  readonly #texts = new Texts()

  add(values: readonly string[], count: number): void {
    for (let i = 0; i < count; i++) this.#texts.add(values[i])
  }

  finish(): Buffer[] {
    return [this.#texts.finish()]
  }
}

/** Version of the dictionary's serialization, and flags: the keys follow, nothing is shared with other blocks. */
const DICTIONARY_VERSION = 1
const HAS_ADDITIONAL_KEYS = 1 << 9
const NEEDS_UPDATE = 1 << 10

/** LowCardinality(String): version, flags, keys (the first is the empty text), indexes. SerializationLowCardinality.cpp. */
export class DictionaryColumn implements ColumnWriter<string> {
  readonly type = 'LowCardinality(String)'
  readonly #indexes: Uint32Array
  readonly #indexOf = new Map<string, number>([['', 0]])
  readonly #keys = new Texts()
  #at = 0
  #last = ''
  #lastIndex = 0

  constructor(rows: number) {
    this.#indexes = new Uint32Array(rows)
    this.#keys.add('')
  }

  add(values: readonly string[], count: number): void {
    for (let i = 0; i < count; i++) {
      const value = values[i]
      if (value !== this.#last) {
        let index = this.#indexOf.get(value)
        if (index === undefined) {
          index = this.#indexOf.size
          this.#indexOf.set(value, index)
          this.#keys.add(value)
        }
        this.#last = value
        this.#lastIndex = index
      }
      this.#indexes[this.#at++] = this.#lastIndex
    }
  }

  finish(): Buffer[] {
    if (this.#indexes.length === 0) return [longs(DICTIONARY_VERSION)]
    const keys = this.#indexOf.size
    const width = keys <= 0x100 ? 0 : keys <= 0x10000 ? 1 : 2
    const indexes = [Uint8Array, Uint16Array, Uint32Array][width].from(this.#indexes)
    return [
      longs(DICTIONARY_VERSION, HAS_ADDITIONAL_KEYS | NEEDS_UPDATE | width, keys),
      this.#keys.finish(),
      longs(indexes.length),
      bytesOf(indexes),
    ]
  }
}

/** Where each list of an Array or Map column ends. */
class Offsets {
  readonly #column: LongColumn
  #end = 0

  constructor(rows: number) {
    this.#column = new LongColumn(rows)
  }

  add(size: number): void {
    this.#end += size
    this.#column.add([this.#end], 1)
  }

  finish(): Buffer[] {
    return this.#column.finish()
  }
}

export class TextsColumn implements ColumnWriter<readonly string[]> {
  readonly type = 'Array(String)'
  readonly #offsets: Offsets
  readonly #texts = new Texts()

  constructor(rows: number) {
    this.#offsets = new Offsets(rows)
  }

  add(values: readonly (readonly string[])[], count: number): void {
    for (let i = 0; i < count; i++) {
      this.#offsets.add(values[i].length)
      for (const text of values[i]) this.#texts.add(text)
    }
  }

  finish(): Buffer[] {
    return [...this.#offsets.finish(), this.#texts.finish()]
  }
}

export class MapColumn implements ColumnWriter<Record<string, string>> {
  readonly type = 'Map(String, String)'
  readonly #offsets: Offsets
  readonly #keys = new Texts()
  readonly #texts = new Texts()

  constructor(rows: number) {
    this.#offsets = new Offsets(rows)
  }

  add(values: readonly Record<string, string>[], count: number): void {
    for (let i = 0; i < count; i++) {
      let size = 0
      for (const key in values[i]) {
        this.#keys.add(key)
        this.#texts.add(values[i][key])
        size += 1
      }
      this.#offsets.add(size)
    }
  }

  finish(): Buffer[] {
    return [...this.#offsets.finish(), this.#keys.finish(), this.#texts.finish()]
  }
}

/** Names and values in turn. */
export class PairsColumn implements ColumnWriter<readonly string[]> {
  readonly type = 'Map(String, String)'
  readonly #offsets: Offsets
  readonly #keys = new Texts()
  readonly #texts = new Texts()

  constructor(rows: number) {
    this.#offsets = new Offsets(rows)
  }

  add(values: readonly (readonly string[])[], count: number): void {
    for (let i = 0; i < count; i++) {
      const pairs = values[i]
      for (let j = 0; j < pairs.length; j += 2) {
        this.#keys.add(pairs[j])
        this.#texts.add(pairs[j + 1])
      }
      this.#offsets.add(pairs.length / 2)
    }
  }

  finish(): Buffer[] {
    return [...this.#offsets.finish(), this.#keys.finish(), this.#texts.finish()]
  }
}

function longs(...values: number[]): Buffer {
  const column = new LongColumn(values.length)
  column.add(values, values.length)
  return column.finish()[0]
}

export function varintBytes(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  return Buffer.from([...bytes, rest])
}

export function textBytes(text: string): Buffer {
  return Buffer.concat([varintBytes(Buffer.byteLength(text)), Buffer.from(text)])
}
