/** Columns of texts in a Native block: plain, as a dictionary, as lists and maps. */
import { bytesOf, type ColumnWriter, LongColumn, longs } from './native_columns.js'

/** Shorter texts are written by a loop: a call into the encoder costs more than it saves. */
const LOOP_CHARS_MAX = 40

/** Lengths and UTF-8 bytes, growing. */
export class Texts {
  #bytes = Buffer.allocUnsafe(4096)
  #at = 0

  add(value: string): void {
    const chars = value.length
    this.#reserve(10 + chars * 3)
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

  /** UTF-8 as it is. Answers where it begins in `bytes`. */
  addBytes(bytes: Buffer, from: number, size: number): number {
    this.#reserve(10 + size)
    let rest = size
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.#bytes[this.#at++] = (rest % 128) | 0x80
    this.#bytes[this.#at++] = rest
    const at = this.#at
    if (size <= LOOP_CHARS_MAX) for (let i = 0; i < size; i++) this.#bytes[at + i] = bytes[from + i]
    else bytes.copy(this.#bytes, at, from, from + size)
    this.#at += size
    return at
  }

  /** What was added so far; another one once more is added. */
  get bytes(): Buffer {
    return this.#bytes
  }

  #reserve(size: number): void {
    const need = this.#at + size
    if (need <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(need * 2)
    this.#bytes.copy(grown, 0, 0, this.#at)
    this.#bytes = grown
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
    return dictionaryParts(this.#indexes, this.#indexOf.size, this.#keys)
  }
}

/** `indexes`: of each row its key. */
export function dictionaryParts(indexes: Uint32Array, keyCount: number, keys: Texts): Buffer[] {
  if (indexes.length === 0) return [longs(DICTIONARY_VERSION)]
  const width = keyCount <= 0x100 ? 0 : keyCount <= 0x10000 ? 1 : 2
  const narrow = [Uint8Array, Uint16Array, Uint32Array][width].from(indexes)
  return [
    longs(DICTIONARY_VERSION, HAS_ADDITIONAL_KEYS | NEEDS_UPDATE | width, keyCount),
    keys.finish(),
    longs(indexes.length),
    bytesOf(narrow),
  ]
}

/** Where each list of an Array or Map column ends. */
export class Offsets {
  readonly #column: LongColumn
  #end = 0

  constructor(rows: number) {
    this.#column = new LongColumn(rows)
  }

  add(size: number): void {
    this.#end += size
    this.#column.put(this.#end)
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
