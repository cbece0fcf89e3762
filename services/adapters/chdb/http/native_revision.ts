/**
 * ClickHouse's Native format for clients that speak a protocol revision over HTTP (`client_protocol_version`, as Grafana's
 * data source through clickhouse-go does). The engine writes revision 0; from revision 1 on each block has a BlockInfo in
 * front, and from 54454 on each column a byte for its serialization (0 = default). Source: src/Formats/NativeWriter.cpp.
 */
import { engineError } from '../engine/statement.js'

const REVISION_CUSTOM_SERIALIZATION = 54_454
const REVISION_OUT_OF_ORDER_BUCKETS = 54_480

/** Rewrites whole Native output. Throws NOT_IMPLEMENTED for a column type whose length it cannot tell. */
export function nativeForRevision(bytes: Buffer, revision: number): Buffer {
  if (revision <= 0) return bytes
  const info = Buffer.from(
    revision >= REVISION_OUT_OF_ORDER_BUCKETS ? '010002ffffffff030000' : '010002ffffffff00',
    'hex',
  )
  const flagged = revision >= REVISION_CUSTOM_SERIALIZATION
  const noFlag = Buffer.from([0])
  const parts: Buffer[] = []
  const walk = new Walk(bytes)
  while (walk.at < bytes.length) {
    parts.push(info)
    let from = walk.at
    const columns = walk.varint()
    const rows = walk.varint()
    for (let i = 0; i < columns; i++) {
      walk.text()
      const type = parseType(walk.text())
      if (flagged) {
        parts.push(bytes.subarray(from, walk.at), noFlag)
        from = walk.at
      }
      if (rows > 0) {
        walk.prefix(type)
        walk.data(type, rows)
      }
    }
    parts.push(bytes.subarray(from, walk.at))
  }
  return Buffer.concat(parts)
}

interface Type {
  readonly name: string
  readonly args: readonly Type[]
  /** The text in the brackets. */
  readonly inner: string
}

const SIZES: Readonly<Record<string, number>> = {
  Int8: 1,
  UInt8: 1,
  Bool: 1,
  Enum8: 1,
  Nothing: 1,
  Int16: 2,
  UInt16: 2,
  Enum16: 2,
  Date: 2,
  BFloat16: 2,
  Int32: 4,
  UInt32: 4,
  Float32: 4,
  Date32: 4,
  DateTime: 4,
  IPv4: 4,
  Time: 4,
  Decimal32: 4,
  Int64: 8,
  UInt64: 8,
  Float64: 8,
  DateTime64: 8,
  Time64: 8,
  Decimal64: 8,
  Int128: 16,
  UInt128: 16,
  UUID: 16,
  IPv6: 16,
  Decimal128: 16,
  Int256: 32,
  UInt256: 32,
  Decimal256: 32,
}

const NESTING = new Set(['Array', 'Nullable', 'LowCardinality', 'Map', 'Tuple', 'Nested', 'SimpleAggregateFunction'])

const GEOMETRY: Readonly<Record<string, string>> = {
  Point: 'Tuple(Float64, Float64)',
  Ring: 'Array(Point)',
  LineString: 'Array(Point)',
  Polygon: 'Array(Ring)',
  MultiLineString: 'Array(LineString)',
  MultiPolygon: 'Array(Polygon)',
}

function parseType(text: string): Type {
  const geometry = GEOMETRY[text]
  if (geometry !== undefined) return parseType(geometry)
  const open = text.indexOf('(')
  if (open < 0) return { name: text, args: [], inner: '' }
  const name = text.slice(0, open)
  const inner = text.slice(open + 1, -1)
  if (!NESTING.has(name)) return { name, args: [], inner }
  const parts = splitArguments(inner)
  if (name === 'SimpleAggregateFunction') return parseType(parts.slice(1).join(', '))
  const named = name === 'Tuple' || name === 'Nested'
  const args = parts.map((part) => parseType(named ? part.replace(/^(?:`(?:[^`\\]|\\.)*`|\w+) (?=[A-Z])/, '') : part))
  if (name === 'Nested') return { name: 'Array', args: [{ name: 'Tuple', args, inner }], inner }
  return { name, args, inner }
}

/** At the commas that lie in no inner bracket or quotes. */
function splitArguments(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let from = 0
  for (const match of text.matchAll(/'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]/g)) {
    if (match[0] === '(') depth += 1
    else if (match[0] === ')') depth -= 1
    else if (match[0] === ',' && depth === 0) {
      parts.push(text.slice(from, match.index).trim())
      from = match.index + 1
    }
  }
  const last = text.slice(from).trim()
  return last === '' ? parts : [...parts, last]
}

class Walk {
  readonly #bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  skip(size: number): void {
    this.at += size
    if (!(this.at <= this.#bytes.length))
      throw engineError(33, 'Native output of the engine is cut', 'CANNOT_READ_ALL_DATA')
  }

  varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.at]
      this.skip(1)
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }

  text(): string {
    const size = this.varint()
    const from = this.at
    this.skip(size)
    return this.#bytes.toString('utf8', from, this.at)
  }

  u64(): number {
    const at = this.at
    this.skip(8)
    return Number(this.#bytes.readBigUInt64LE(at))
  }

  prefix(type: Type): void {
    if (type.name === 'LowCardinality') this.skip(8)
    else for (const part of type.args) this.prefix(part)
  }

  data(type: Type, rows: number): void {
    const size = sizeOf(type)
    if (size > 0) return this.skip(size * rows)
    switch (type.name) {
      case 'String':
        for (let i = 0; i < rows; i++) this.skip(this.varint())
        return
      case 'Nullable':
        this.skip(rows)
        return this.data(type.args[0], rows)
      case 'Tuple':
        if (type.args.length === 0) this.skip(rows)
        for (const part of type.args) this.data(part, rows)
        return
      case 'Array':
      case 'Map': {
        if (rows === 0) return
        this.skip((rows - 1) * 8)
        const items = this.u64()
        for (const part of type.args) this.data(part, items)
        return
      }
      case 'LowCardinality':
        return this.#dictionary(type.args[0], rows)
      default:
        throw engineError(48, `the type ${type.name} is not sent with client_protocol_version`, 'NOT_IMPLEMENTED')
    }
  }

  /** Flags, keys, indexes. Bits 0-7 of the flags: log2 of the width of an index. */
  #dictionary(type: Type, rows: number): void {
    if (rows === 0) return
    const flags = this.u64()
    const keys = this.u64()
    this.data(type.name === 'Nullable' ? type.args[0] : type, keys)
    const indexes = this.u64()
    this.skip(indexes * 2 ** (flags & 0xff))
  }
}

function sizeOf(type: Type): number {
  if (type.name === 'FixedString') return Number(type.inner)
  if (type.name === 'Decimal') {
    const precision = Number.parseInt(type.inner, 10)
    return precision <= 9 ? 4 : precision <= 18 ? 8 : precision <= 38 ? 16 : 32
  }
  if (type.name.startsWith('Interval')) return 8
  return SIZES[type.name] ?? 0
}
