/** Columns of a Native block that take their values from Avro messages: texts stay the bytes that they are. */
import { randomBytes } from 'node:crypto'
import { bytesOf } from './native_columns.js'
import { dictionaryParts, Offsets, Texts } from './native_texts.js'

const EMPTY = Buffer.alloc(0)

/** Reads the fields of a message that was found whole (core/wire/flow.ts): nothing is checked here. */
export class FieldCursor {
  bytes: Buffer = EMPTY
  at = 0

  /** A whole number from 0 on; also the size of a text. */
  number(): number {
    const { bytes } = this
    let at = this.at
    const first = bytes[at++]
    if (first < 0x80) {
      this.at = at
      return first >>> 1
    }
    let value = first & 0x7f
    let scale = 128
    for (;;) {
      const byte = bytes[at++]
      value += (byte & 0x7f) * scale
      if (byte < 0x80) break
      scale *= 128
    }
    this.at = at
    // Zig-zag: twice the number.
    return Math.floor(value / 2)
  }

  /** Items of the next block of a list or map; 0: it is over. */
  items(): number {
    const start = this.at
    // The lowest bit of a zig-zag number is its sign; a negative count is followed by the bytes of the block.
    const isNegative = (this.bytes[start] & 1) === 1
    const count = this.number()
    if (!isNegative) return count
    this.number()
    return count + 1
  }
}

export class FlowTextColumn {
  readonly type = 'String'
  readonly #texts = new Texts()

  take(cursor: FieldCursor): void {
    const size = cursor.number()
    this.#texts.addBytes(cursor.bytes, cursor.at, size)
    cursor.at += size
  }

  finish(): Buffer[] {
    return [this.#texts.finish()]
  }
}

const SLOTS_MIN = 64
/** Texts come from traffic: nobody may know which of them share a slot. Another one in each process; blocks do not show it. */
const SEED = randomBytes(4).readUInt32LE()

/** The keys of a dictionary and where each is found by its bytes: open addressing, at most half full. */
export class FlowDictionaryColumn {
  readonly type = 'LowCardinality(String)'
  readonly #indexes: Uint32Array
  readonly #keys = new Texts()
  /** Of each key: where it begins, its size, its hash. */
  readonly #starts: number[] = []
  readonly #sizes: number[] = []
  readonly #hashes: number[] = []
  /** Index of a key and one; 0: free. */
  #slots = new Uint32Array(SLOTS_MIN)
  #at = 0
  #last = 0
  /** Slots looked at so far: what searching costs. */
  looked = 0

  constructor(rows: number) {
    this.#indexes = new Uint32Array(rows)
    // The first key is the empty text.
    this.#addKey(EMPTY, 0, 0, hashOf(EMPTY, 0, 0))
  }

  take(cursor: FieldCursor): void {
    const size = cursor.number()
    const { bytes, at } = cursor
    cursor.at = at + size
    // Flows that follow each other have much in common.
    if (size === 0) this.#last = 0
    else if (!this.#isKey(this.#last, bytes, at, size)) this.#last = this.#find(bytes, at, size)
    this.#indexes[this.#at++] = this.#last
  }

  #isKey(index: number, bytes: Buffer, from: number, size: number): boolean {
    if (this.#sizes[index] !== size) return false
    const keys = this.#keys.bytes
    const start = this.#starts[index]
    for (let i = 0; i < size; i++) if (keys[start + i] !== bytes[from + i]) return false
    return true
  }

  #find(bytes: Buffer, from: number, size: number): number {
    const hash = hashOf(bytes, from, size)
    const mask = this.#slots.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      this.looked += 1
      const index = this.#slots[slot] - 1
      if (index < 0) return this.#addKey(bytes, from, size, hash)
      if (this.#hashes[index] === hash && this.#isKey(index, bytes, from, size)) return index
    }
  }

  #addKey(bytes: Buffer, from: number, size: number, hash: number): number {
    const index = this.#starts.length
    this.#starts.push(this.#keys.addBytes(bytes, from, size))
    this.#sizes.push(size)
    this.#hashes.push(hash)
    if (2 * (index + 1) > this.#slots.length) this.#grow()
    else this.#place(index)
    return index
  }

  #grow(): void {
    this.#slots = new Uint32Array(this.#slots.length * 4)
    for (let index = 0; index < this.#hashes.length; index++) this.#place(index)
  }

  #place(index: number): void {
    const mask = this.#slots.length - 1
    let slot = this.#hashes[index] & mask
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
    this.#slots[slot] = index + 1
  }

  finish(): Buffer[] {
    return dictionaryParts(this.#indexes, this.#starts.length, this.#keys)
  }
}

/** FNV-1a from a start of our own, its upper half mixed into the lower, which chooses the slot. */
function hashOf(bytes: Buffer, from: number, size: number): number {
  let hash = SEED
  for (let i = from; i < from + size; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}

const ZERO = 48

/** UInt64 from decimal digits, as halves. */
export class FlowIdColumn {
  readonly type = 'UInt64'
  readonly #halves: Uint32Array
  #at = 0

  constructor(rows: number) {
    this.#halves = new Uint32Array(rows * 2)
  }

  take(cursor: FieldCursor): void {
    const end = cursor.number() + cursor.at
    const { bytes } = cursor
    let [low, high] = [0, 0]
    for (let i = cursor.at; i < end; i++) {
      const sum = low * 10 + bytes[i] - ZERO
      const carry = Math.floor(sum / 2 ** 32)
      low = sum - carry * 2 ** 32
      high = high * 10 + carry
    }
    cursor.at = end
    this.#halves[this.#at++] = low
    this.#halves[this.#at++] = high
  }

  finish(): Buffer[] {
    return [bytesOf(this.#halves)]
  }
}

export class FlowTextsColumn {
  readonly type = 'Array(String)'
  readonly #offsets: Offsets
  readonly #texts = new FlowTextColumn()

  constructor(rows: number) {
    this.#offsets = new Offsets(rows)
  }

  take(cursor: FieldCursor): void {
    let size = 0
    for (let items = cursor.items(); items > 0; items = cursor.items()) {
      size += items
      for (let i = 0; i < items; i++) this.#texts.take(cursor)
    }
    this.#offsets.add(size)
  }

  finish(): Buffer[] {
    return [...this.#offsets.finish(), ...this.#texts.finish()]
  }
}

export class FlowMapColumn {
  readonly type = 'Map(String, String)'
  readonly #offsets: Offsets
  readonly #keys = new FlowTextColumn()
  readonly #texts = new FlowTextColumn()

  constructor(rows: number) {
    this.#offsets = new Offsets(rows)
  }

  take(cursor: FieldCursor): void {
    let size = 0
    for (let items = cursor.items(); items > 0; items = cursor.items()) {
      size += items
      for (let i = 0; i < items; i++) {
        this.#keys.take(cursor)
        this.#texts.take(cursor)
      }
    }
    this.#offsets.add(size)
  }

  finish(): Buffer[] {
    return [...this.#offsets.finish(), ...this.#keys.finish(), ...this.#texts.finish()]
  }
}
