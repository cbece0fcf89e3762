/**
 * Rows as one block of ClickHouse's Native format: columns one after the other, repeated texts as a dictionary. The engine
 * reads it several times faster than JSON, and parses nothing. Source: ClickHouse docs "Native", src/Formats/NativeWriter.cpp
 * and SerializationLowCardinality.cpp.
 */
import { type ColumnKind, FLOW_COLUMNS } from '../../core/flow.js'
import type { TableName, TableRows } from '../../core/ports/store.js'
import { CONNECTION_COLUMNS, COVERAGE_COLUMNS } from '../../core/rows.js'

export interface Column {
  readonly name: string
  readonly kind: ColumnKind
}

const entries = (columns: Readonly<Record<string, ColumnKind>>): Column[] =>
  Object.entries(columns).map(([name, kind]) => ({ name, kind }))

export const TABLE_COLUMNS: Readonly<Record<TableName, readonly Column[]>> = {
  flows: FLOW_COLUMNS,
  connections: entries(CONNECTION_COLUMNS),
  coverage: entries(COVERAGE_COLUMNS),
}

/** Texts that hardly repeat: a dictionary would only cost. The engine converts to the type of the table. */
const HARDLY_REPEAT = new Set(['resource', 'trace_id', 'span_id', 'request_id', 'principal', 'detail'])

/** The table's days are UInt16: 2149-06-06. A capture may claim any time; one outside lands on the nearest day there is. */
const TIME_US_MAX = 65_535 * 86_400e6 - 1

const U16_MAX = 0xffff
const U32_MAX = 0xffff_ffff

/** One block of all columns of the table. The rows are not kept. */
export function nativeBlock<T extends TableName>(table: T, rows: readonly TableRows[T][]): Buffer {
  const out = new BlockWriter()
  const columns = TABLE_COLUMNS[table]
  out.varint(columns.length)
  out.varint(rows.length)
  for (const { name, kind } of columns) {
    out.text(name)
    const values = rows.map((row) => (row as unknown as Record<string, never>)[name])
    const dictionary = kind === 'ip' || (kind === 'text' && !HARDLY_REPEAT.has(name))
    if (dictionary) {
      out.text('LowCardinality(String)')
      out.dictionary(values)
    } else {
      out.text(TYPES[kind])
      WRITE[kind](out, values)
    }
  }
  return out.finish()
}

const TYPES: Readonly<Record<ColumnKind, string>> = {
  time: "DateTime64(6, 'UTC')",
  u8: 'UInt8',
  u16: 'UInt16',
  u32: 'UInt32',
  u64: 'UInt64',
  id: 'UInt64',
  ip: 'String',
  text: 'String',
  texts: 'Array(String)',
  map: 'Map(String, String)',
}

const texts = (out: BlockWriter, values: readonly string[]) => {
  for (const value of values) out.text(value)
}

const WRITE: Readonly<Record<ColumnKind, (out: BlockWriter, values: readonly never[]) => void>> = {
  time: (out, values: readonly number[]) => {
    for (const value of values) out.u64(value > 0 ? Math.min(value, TIME_US_MAX) : 0)
  },
  u8: (out, values: readonly number[]) => out.u8s(values),
  u16: (out, values: readonly number[]) => out.u16s(values),
  u32: (out, values: readonly number[]) => out.u32s(values),
  u64: (out, values: readonly number[]) => {
    for (const value of values) out.u64(value > 0 ? value : 0)
  },
  id: (out, values: readonly string[]) => {
    // Flows of one connection lie together.
    let last = ''
    let number = 0n
    for (const value of values) {
      if (value !== last) {
        last = value
        number = BigInt(value)
      }
      out.bigU64(number)
    }
  },
  ip: texts,
  text: texts,
  texts: (out, values: readonly (readonly string[])[]) => {
    out.offsets(values.map((list) => list.length))
    for (const list of values) texts(out, list)
  },
  map: (out, values: readonly Record<string, string>[]) => {
    const keys = values.map((map) => Object.keys(map))
    out.offsets(keys.map((list) => list.length))
    for (const list of keys) texts(out, list)
    for (let i = 0; i < values.length; i++) for (const key of keys[i]) out.text(values[i][key])
  },
}

/** Shorter texts are written by a loop: a call into the encoder costs more than it saves. */
const LOOP_CHARS_MAX = 40

class BlockWriter {
  #bytes = Buffer.allocUnsafe(1 << 20)
  #at = 0

  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + size))
    this.#bytes.copy(grown, 0, 0, this.#at)
    this.#bytes = grown
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  varint(value: number): void {
    this.#reserve(10)
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.#at++] = rest
  }

  text(value: string): void {
    const chars = value.length
    this.#reserve(5 + chars * 3)
    if (chars <= LOOP_CHARS_MAX) {
      const bytes = this.#bytes
      let at = this.#at + 1
      let plain = true
      for (let i = 0; i < chars; i++) {
        const code = value.charCodeAt(i)
        if (code > 0x7f) {
          plain = false
          break
        }
        bytes[at++] = code
      }
      if (plain) {
        bytes[this.#at] = chars
        this.#at = at
        return
      }
    }
    this.varint(Buffer.byteLength(value))
    this.#at += this.#bytes.write(value, this.#at, 'utf8')
  }

  u8s(values: readonly number[]): void {
    this.#reserve(values.length)
    for (const value of values) this.#bytes[this.#at++] = value
  }

  u16s(values: readonly number[]): void {
    this.#reserve(values.length * 2)
    for (const value of values) this.#at = this.#bytes.writeUInt16LE(bounded(value, U16_MAX), this.#at)
  }

  u32s(values: readonly number[]): void {
    this.#reserve(values.length * 4)
    for (const value of values) this.#at = this.#bytes.writeUInt32LE(bounded(value, U32_MAX), this.#at)
  }

  /** Integers up to 2^53. */
  u64(value: number): void {
    this.#reserve(8)
    const high = Math.floor(value / 2 ** 32)
    this.#at = this.#bytes.writeUInt32LE(value - high * 2 ** 32, this.#at)
    this.#at = this.#bytes.writeUInt32LE(high, this.#at)
  }

  bigU64(value: bigint): void {
    this.#reserve(8)
    this.#at = this.#bytes.writeBigUInt64LE(value, this.#at)
  }

  /** Ends of the lists of an Array or Map column. */
  offsets(lengths: readonly number[]): void {
    let end = 0
    for (const length of lengths) this.u64((end += length))
  }

  /** LowCardinality(String): version, flags, keys (the first is the empty text), indexes. */
  dictionary(values: readonly string[]): void {
    const keys: string[] = ['']
    const indexOf = new Map<string, number>([['', 0]])
    const indexes = new Uint32Array(values.length)
    let last = ''
    let lastIndex = 0
    for (let i = 0; i < values.length; i++) {
      const value = values[i]
      if (value !== last) {
        let index = indexOf.get(value)
        if (index === undefined) {
          index = keys.length
          indexOf.set(value, index)
          keys.push(value)
        }
        last = value
        lastIndex = index
      }
      indexes[i] = lastIndex
    }
    const width = keys.length <= 0x100 ? 0 : keys.length <= 0x10000 ? 1 : 2
    this.u64(1)
    if (values.length === 0) return
    this.u64(HAS_ADDITIONAL_KEYS | NEEDS_UPDATE | width)
    this.u64(keys.length)
    for (const key of keys) this.text(key)
    this.u64(values.length)
    if (width === 0) this.u8s(indexes as unknown as number[])
    else if (width === 1) this.u16s(indexes as unknown as number[])
    else this.u32s(indexes as unknown as number[])
  }
}

const HAS_ADDITIONAL_KEYS = 1 << 9
const NEEDS_UPDATE = 1 << 10

/** A count beyond its column stays at the column's end: it does not wrap to a small one. */
function bounded(value: number, max: number): number {
  return value > 0 ? Math.min(value, max) : 0
}
