/**
 * HPACK, RFC 7541: header fields of one direction. The dynamic table counts from the newest entry, so that a decoder that
 * joined late, or lost a block, knows every entry added since: what refers to older ones is unknown, and said to be, never
 * guessed. For the same reason nothing has to be evicted exactly as the encoder does: an index names an entry the encoder
 * still has, counted from the newest. Entries are kept as far as memory allows.
 */
import type { StateReader, StateWriter } from '../../../../core/state.js'
import { huffmanText, textOf } from './huffman.js'
import { STATIC_TABLE } from './static_table.js'

/** Of one direction; RFC 7540's default table has 4 KiB, browsers and gRPC use up to 64. */
const TABLE_BYTES_MAX = 64 * 1024
/** RFC 7541 section 4.1. */
const ENTRY_OVERHEAD_BYTES = 32
const INTEGER_MAX = 0x7fff_ffff
/** Longer values are cut. */
const TEXT_CHARS_MAX = 8192

export const HPACK_OK = 0
/** The block is not HPACK: the connection is broken, or these bytes never were a header block. */
export const HPACK_BAD = 1

export interface FieldSink {
  field(name: string, value: string): void
  /** A field whose name or value the capture does not have; `name` is null where that is missing too. */
  unknown(name: string | null): void
}

class Entry {
  /** Null = unknown. */
  readonly name: string | null
  readonly value: string | null

  constructor(name: string | null, value: string | null) {
    this.name = name
    this.value = value
  }

  get sizeBytes(): number {
    return (this.name?.length ?? 0) + (this.value?.length ?? 0) + ENTRY_OVERHEAD_BYTES
  }
}

const STATIC: readonly Entry[] = STATIC_TABLE.map(([name, value]) => new Entry(name, value))
const UNKNOWN = new Entry(null, null)

export class HpackDecoder {
  /** Oldest first: an index counts from the end. */
  #entries: Entry[] = []
  #sizeBytes = 0
  /** Entries were added that this decoder has not seen, or does not keep any more. */
  #older = false
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  #end = 0

  /** Blocks were missed: what was added before cannot be counted any more. */
  forget(): void {
    this.#entries = []
    this.#sizeBytes = 0
    this.#older = true
  }

  /** Nothing was added yet. */
  begin(): void {
    this.forget()
    this.#older = false
  }

  /** All fields of one header block. */
  decode(bytes: Buffer, from: number, to: number, out: FieldSink): number {
    this.#bytes = bytes
    this.#at = from
    this.#end = to
    while (this.#at < to) if (!this.#field(bytes[this.#at], out)) return HPACK_BAD
    return HPACK_OK
  }

  #field(first: number, out: FieldSink): boolean {
    if (first >= 0x80) {
      const entry = this.#entry(this.#integer(7))
      if (entry === null) return false
      say(entry, out)
      return true
    }
    if (first >= 0x40) {
      const entry = this.#literal(6)
      if (entry === null) return false
      this.#add(entry)
      say(entry, out)
      return true
    }
    // Dynamic table size update.
    if (first >= 0x20) return this.#integer(5) >= 0
    const entry = this.#literal(4)
    if (entry === null) return false
    say(entry, out)
    return true
  }

  #literal(prefix: number): Entry | null {
    const index = this.#integer(prefix)
    if (index < 0) return null
    let name: string | null
    if (index > 0) {
      const named = this.#entry(index)
      if (named === null) return null
      name = named.name
    } else {
      name = this.#text()
      if (name === null) return null
    }
    const value = this.#text()
    return value === null ? null : new Entry(name, value)
  }

  /** Null for an index that no encoder may use. */
  #entry(index: number): Entry | null {
    if (index <= 0) return null
    if (index <= STATIC.length) return STATIC[index - 1]
    const entry = this.#entries[this.#entries.length - (index - STATIC.length)]
    if (entry !== undefined) return entry
    return this.#older ? UNKNOWN : null
  }

  #add(entry: Entry): void {
    this.#entries.push(entry)
    this.#sizeBytes += entry.sizeBytes
    if (this.#sizeBytes <= TABLE_BYTES_MAX) return
    // A quarter at a time: shifting one by one would move all of them each time.
    let drop = 0
    while (this.#sizeBytes > TABLE_BYTES_MAX * 0.75) this.#sizeBytes -= this.#entries[drop++].sizeBytes
    this.#entries.splice(0, drop)
    this.#older = true
  }

  /** RFC 7541 section 5.1; -1 where it does not end here or is too large. */
  #integer(prefix: number): number {
    const bytes = this.#bytes
    const mask = (1 << prefix) - 1
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

  #text(): string | null {
    if (this.#at >= this.#end) return null
    const huffman = this.#bytes[this.#at] >= 0x80
    const size = this.#integer(7)
    if (size < 0 || size > this.#end - this.#at) return null
    const from = this.#at
    this.#at += size
    if (size === 0) return ''
    const text = huffman ? huffmanText(this.#bytes, from, from + size) : textOf(this.#bytes, from, from + size)
    return text === null || text.length <= TEXT_CHARS_MAX ? text : text.slice(0, TEXT_CHARS_MAX)
  }

  save(out: StateWriter): void {
    out.bool(this.#older)
    out.number(this.#entries.length)
    for (const { name, value } of this.#entries) {
      out.u8((name === null ? 1 : 0) | (value === null ? 2 : 0))
      if (name !== null) out.string(name)
      if (value !== null) out.string(value)
    }
  }

  restore(state: StateReader): void {
    this.#older = state.bool()
    const count = state.number()
    this.#entries = []
    this.#sizeBytes = 0
    for (let i = 0; i < count && !state.failed; i++) {
      const missing = state.u8()
      const name = (missing & 1) === 0 ? state.string() : null
      const value = (missing & 2) === 0 ? state.string() : null
      const entry = new Entry(name, value)
      this.#entries.push(entry)
      this.#sizeBytes += entry.sizeBytes
    }
  }
}

function say({ name, value }: Entry, out: FieldSink): void {
  if (name !== null && value !== null) out.field(name, value)
  else out.unknown(name)
}
