/** One class per column type of a Native block: takes values in portions, gives the bytes of the whole column. */
import type { ColumnKind } from '../../core/flow.js'

export interface ColumnWriter<T> {
  /** Of the block; where the table has another, the engine converts. */
  readonly type: string
  /** Takes the first `count` of the values. */
  add(values: readonly T[], count: number): void
  finish(): Buffer[]
}

/** Takes its values one by one as well. */
export interface NumberWriter extends ColumnWriter<number> {
  put(value: number): void
}

/** A count beyond its column stays at the column's end: it does not wrap to a small one. */
function bounded(value: number, max: number): number {
  return value > 0 ? Math.min(value, max) : 0
}

export const bytesOf = (array: ArrayBufferView): Buffer => Buffer.from(array.buffer, array.byteOffset, array.byteLength)

class ByteColumn implements NumberWriter {
  readonly type = 'UInt8'
  readonly #data: Uint8Array
  #at = 0

  constructor(rows: number) {
    this.#data = new Uint8Array(rows)
  }

  put(value: number): void {
    this.#data[this.#at++] = bounded(value, 0xff)
  }

  add(values: readonly number[], count: number): void {
    for (let i = 0; i < count; i++) this.put(values[i])
  }

  finish(): Buffer[] {
    return [bytesOf(this.#data)]
  }
}

class ShortColumn implements NumberWriter {
  readonly type = 'UInt16'
  readonly #data: Uint16Array
  #at = 0

  constructor(rows: number) {
    this.#data = new Uint16Array(rows)
  }

  put(value: number): void {
    this.#data[this.#at++] = bounded(value, 0xffff)
  }

  add(values: readonly number[], count: number): void {
    for (let i = 0; i < count; i++) this.put(values[i])
  }

  finish(): Buffer[] {
    return [bytesOf(this.#data)]
  }
}

class WordColumn implements NumberWriter {
  readonly type = 'UInt32'
  readonly #data: Uint32Array
  #at = 0

  constructor(rows: number) {
    this.#data = new Uint32Array(rows)
  }

  put(value: number): void {
    this.#data[this.#at++] = bounded(value, 0xffff_ffff)
  }

  add(values: readonly number[], count: number): void {
    for (let i = 0; i < count; i++) this.put(values[i])
  }

  finish(): Buffer[] {
    return [bytesOf(this.#data)]
  }
}

class DoubleColumn implements NumberWriter {
  readonly type = 'Float64'
  readonly #data: Float64Array
  #at = 0

  constructor(rows: number) {
    this.#data = new Float64Array(rows)
  }

  put(value: number): void {
    this.#data[this.#at++] = value
  }

  add(values: readonly number[], count: number): void {
    for (let i = 0; i < count; i++) this.put(values[i])
  }

  finish(): Buffer[] {
    return [bytesOf(this.#data)]
  }
}

/** Whole numbers up to 2^53, as halves: BigInt would cost an allocation each. */
export class LongColumn implements NumberWriter {
  readonly type: string = 'UInt64'
  readonly #halves: Uint32Array
  #at = 0

  constructor(rows: number) {
    this.#halves = new Uint32Array(rows * 2)
  }

  put(value: number): void {
    const whole = this.clamp(value)
    const high = Math.floor(whole / 2 ** 32)
    this.#halves[this.#at++] = whole - high * 2 ** 32
    this.#halves[this.#at++] = high
  }

  add(values: readonly number[], count: number): void {
    for (let i = 0; i < count; i++) this.put(values[i])
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

class TimeColumn extends LongColumn {
  override readonly type = "DateTime64(6, 'UTC')"

  protected override clamp(value: number): number {
    return bounded(value, TIME_US_MAX)
  }
}

/** Of the kinds that are numbers, whatever they are read from; null for all others. */
export function numberColumn(kind: ColumnKind, rows: number): NumberWriter | null {
  switch (kind) {
    case 'time':
      return new TimeColumn(rows)
    case 'u8':
      return new ByteColumn(rows)
    case 'u16':
      return new ShortColumn(rows)
    case 'u32':
      return new WordColumn(rows)
    case 'u64':
      return new LongColumn(rows)
    case 'f64':
      return new DoubleColumn(rows)
    default:
      return null
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

export function longs(...values: number[]): Buffer {
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
