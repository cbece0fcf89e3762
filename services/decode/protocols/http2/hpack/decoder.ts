/**
 * HPACK, RFC 7541: header fields of one direction. The dynamic table counts from the newest entry, so that a decoder that
 * joined late, or lost a block, knows every entry added since: what refers to older ones is unknown, and said to be, never
 * guessed. Where the encoder's table size is known, entries leave the table as they leave the encoder's; where it is not,
 * they are kept as far as memory allows.
 */
import type { StateReader, StateWriter } from '../../../../core/state.js'
import { FieldKind, kindOf } from '../field_kinds.js'
import type { TextReader, TextWriter } from '../texts.js'
import { Entry, STATIC_ENTRIES, UNKNOWN_ENTRY } from './entry.js'
import { decodeHuffman, huffmanBytes, textOf } from './huffman.js'

/** RFC 9113 section 6.5.2: the size of a table nobody said anything about. */
const INITIAL_BYTES = 4096
/** Of one direction. Browsers allow 64 KiB; encoders hardly ever use more than 4. */
const TABLE_BYTES_MAX = 64 * 1024
/** Where the encoder's size is not known: four times what they use. */
const UNKNOWN_TABLE_BYTES_MAX = 16 * 1024
const UNKNOWN_SIZE = -1
/** RFC 7541 section 4.1. */
const ENTRY_BYTES_MIN = 32
/** Entries that have left the front of the list before it is moved up. */
const LEFT_MAX = 64
const INTEGER_MAX = 0x7fff_ffff
/** Longer names and values are cut. */
export const TEXT_BYTES_MAX = 8192

export interface FieldSink {
  /** Name, value or both are null where the capture does not have them. */
  field(entry: Entry): void
}

export class HpackDecoder {
  /** Oldest first, from `#first` on: an index counts from the end. */
  #entries: Entry[] = []
  #first = 0
  #sizeBytes = 0
  #textBytes = 0
  /** As the encoder has chosen it. */
  #sizeMax: number = INITIAL_BYTES
  /** There may be entries before the first one here. */
  #older = false
  #bytes: Buffer = NO_BYTES
  #at = 0
  #end = 0
  /** The string literal read last. */
  #text = ''
  #literalBytes = 0

  /** Blocks were missed: what was added before cannot be counted any more, and the size may have been changed. */
  forget(): void {
    this.#clear()
    this.#sizeMax = UNKNOWN_SIZE
    this.#older = true
  }

  /** Nothing was added yet. */
  begin(): void {
    this.#clear()
    this.#sizeMax = INITIAL_BYTES
    this.#older = false
  }

  #clear(): void {
    this.#entries = []
    this.#first = 0
    this.#sizeBytes = 0
    this.#textBytes = 0
  }

  /** Of the entries, as the encoder counts them. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Of the entries as they are saved, at most. */
  get savedBytesMax(): number {
    return this.#textBytes + (this.#entries.length - this.#first) * ENTRY_BYTES_MIN
  }

  /** All fields of one header block. False: it is not HPACK, or ends too early; what came before stands. */
  decode(bytes: Buffer, from: number, to: number, out: FieldSink): boolean {
    this.#bytes = bytes
    this.#at = from
    this.#end = to
    let good = true
    while (good && this.#at < to) good = this.#field(bytes[this.#at], out)
    this.#bytes = NO_BYTES
    return good
  }

  #field(first: number, out: FieldSink): boolean {
    let entry: Entry | null
    if (first >= 0x80) entry = this.#entry(this.#integer(0x7f))
    else if (first >= 0x40) {
      entry = this.#literal(0x3f)
      if (entry !== null) this.#add(entry)
    } else if (first >= 0x20) return this.#resize(this.#integer(0x1f))
    else entry = this.#literal(0x0f)
    if (entry === null) return false
    out.field(entry)
    return true
  }

  #literal(mask: number): Entry | null {
    const index = this.#integer(mask)
    let name: string | null
    let kind: number
    let cut = false
    if (index !== 0) {
      const named = this.#entry(index)
      if (named === null) return null
      name = named.name
      kind = named.kind
    } else {
      if (!this.#string(true)) return null
      name = this.#text
      kind = kindOf(name)
      cut = this.#literalBytes > TEXT_BYTES_MAX
    }
    if (!this.#string(false)) return null
    if (this.#literalBytes > TEXT_BYTES_MAX) cut = true
    return new Entry(name, this.#text, name === null ? FieldKind.OTHER : kind, this.#literalBytes, cut)
  }

  /** Null for an index that no encoder may use. */
  #entry(index: number): Entry | null {
    if (index <= STATIC_ENTRIES.length) return index > 0 ? STATIC_ENTRIES[index - 1] : null
    const at = this.#entries.length + STATIC_ENTRIES.length - index
    if (at >= this.#first) return this.#entries[at]
    return this.#older ? UNKNOWN_ENTRY : null
  }

  #add(entry: Entry): void {
    this.#entries.push(entry)
    this.#sizeBytes += entry.sizeBytes
    this.#textBytes += entry.textBytes
    this.#evict()
  }

  /** Dynamic table size update. */
  #resize(size: number): boolean {
    if (size < 0) return false
    this.#sizeMax = size
    // No entry fits.
    if (size < ENTRY_BYTES_MIN) this.#older = false
    this.#evict()
    return true
  }

  #evict(): void {
    const encoders = this.#sizeMax
    if (encoders !== UNKNOWN_SIZE && this.#sizeBytes > encoders) {
      this.#dropTo(encoders)
      // What is older left before these.
      this.#older = false
    }
    const ours = encoders === UNKNOWN_SIZE ? UNKNOWN_TABLE_BYTES_MAX : TABLE_BYTES_MAX
    if (this.#sizeBytes <= ours) return
    this.#dropTo(ours)
    this.#older = true
  }

  #dropTo(sizeMax: number): void {
    const entries = this.#entries
    let first = this.#first
    while (this.#sizeBytes > sizeMax && first < entries.length) {
      const { sizeBytes, textBytes } = entries[first++]
      this.#sizeBytes -= sizeBytes
      this.#textBytes -= textBytes
    }
    if (first === entries.length) return this.#clear()
    if (first > LEFT_MAX) {
      entries.splice(0, first)
      first = 0
    } else for (let i = this.#first; i < first; i++) entries[i] = UNKNOWN_ENTRY
    this.#first = first
  }

  /** RFC 7541 section 5.1; `mask` is the prefix. -1 where it does not end here or is too large. */
  #integer(mask: number): number {
    const bytes = this.#bytes
    let value = bytes[this.#at++] & mask
    if (value < mask) return value
    for (let shift = 0; shift <= 28; shift += 7) {
      if (this.#at >= this.#end) return -1
      const byte = bytes[this.#at++]
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value <= INTEGER_MAX ? value : -1
    }
    return -1
  }

  /** A string literal, into `#text`. */
  #string(isName: boolean): boolean {
    if (this.#at >= this.#end) return false
    const coded = this.#bytes[this.#at] >= 0x80
    const size = this.#integer(0x7f)
    const from = this.#at
    if (size < 0 || size > this.#end - from) return false
    this.#at = from + size
    if (!coded) return this.#keep(this.#bytes, from, size, isName)
    const decoded = decodeHuffman(this.#bytes, from, from + size)
    return decoded >= 0 && this.#keep(huffmanBytes(), 0, decoded, isName)
  }

  #keep(bytes: Buffer, from: number, size: number, isName: boolean): boolean {
    const to = from + Math.min(size, TEXT_BYTES_MAX)
    this.#literalBytes = size
    // Names are tokens: one character per byte keeps their size.
    this.#text = size === 0 ? '' : isName ? bytes.toString('latin1', from, to) : textOf(bytes, from, to)
    return true
  }

  save(out: StateWriter, texts: TextWriter): void {
    out.bool(this.#older)
    out.number(this.#sizeMax)
    out.number(this.#entries.length - this.#first)
    for (let i = this.#first; i < this.#entries.length; i++) {
      const { name, value, sizeBytes, cut } = this.#entries[i]
      out.u8((name === null ? 1 : 0) | (cut ? 2 : 0))
      if (name !== null) texts.write(out, name)
      texts.write(out, value ?? '')
      out.number(sizeBytes)
    }
  }

  restore(state: StateReader, texts: TextReader): void {
    this.#clear()
    this.#older = state.bool()
    this.#sizeMax = state.number()
    const count = state.number()
    for (let i = 0; i < count && !state.failed; i++) {
      const bits = state.u8()
      const name = (bits & 1) === 0 ? texts.read(state) : null
      const value = texts.read(state)
      const bare = new Entry(name, '', 0, 0, false)
      const valueBytes = state.number() - bare.sizeBytes
      const entry = new Entry(name, value, name === null ? 0 : kindOf(name), valueBytes, (bits & 2) !== 0)
      this.#entries.push(entry)
      this.#sizeBytes += entry.sizeBytes
      this.#textBytes += entry.textBytes
    }
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0)
