/**
 * A flow as the value of a message: Confluent's frame around the Avro of schemas/avro/flow.avsc, which is what every Avro
 * consumer reads (magic 0, schema id as int32 big-endian, body).
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KlartextError, NewerSchemaError } from '../errors.js'
import { type ColumnKind, FLOW_COLUMNS, type Flow } from '../flow.js'
import { REPO_ROOT } from '../repo_root.js'
import { AvroInput, AvroOutput, LastText } from './avro.js'

/** Under which klartext's own schema registry serves flow.avsc; another schema gets another number. */
export const FLOW_SCHEMA_ID = 2
/** Numbers of released schemas that are read as well, and how many columns each has. Columns are only ever added at the end. */
const OLDER_SCHEMAS: ReadonlyMap<number, number> = new Map([[1, 71]])

const FRAME_BYTES = 5
const FRAME = Buffer.from([0, 0, 0, 0, FLOW_SCHEMA_ID])

export const FLOW_SCHEMA_TEXT: string = readFileSync(join(REPO_ROOT, 'schemas/avro/flow.avsc'), 'utf8')

/** Largest number of each kind: longs end where doubles are exact, less one, where other Avro libraries of JavaScript end. */
const NUMBER_MAX = Number.MAX_SAFE_INTEGER - 1
const MAX: Partial<Record<ColumnKind, number>> = {
  time: NUMBER_MAX,
  u8: 0xff,
  u16: 0xffff,
  u32: 0xffff_ffff,
  u64: NUMBER_MAX,
}

type Encode = (flow: Flow, out: AvroOutput, write: FieldWriter) => void
type Decode = (read: FieldReader) => Flow
type Pass = (input: AvroInput, pass: FieldPasser) => void

/** One straight line of code over all columns: a property that is read by a name in a variable is several times slower. */
const encodeFields = new Function(
  'flow',
  'out',
  'write',
  FLOW_COLUMNS.map(({ name, kind }) => {
    const max = MAX[kind]
    if (max !== undefined) return `write.number(out, flow.${name}, ${max})`
    if (kind === 'texts' || kind === 'map' || kind === 'pairs') return `write.${kind}(out, flow.${name})`
    return `out.text(flow.${name})`
  }).join('\n'),
) as Encode

/** `columns`: so many are in the message, the others have their defaults. */
function decoder(columns: number): Decode {
  const fields = FLOW_COLUMNS.map(({ name, kind }, i) => {
    if (i >= columns) return `${name}: ${JSON.stringify(DEFAULTS.get(name))}`
    if (MAX[kind] !== undefined) return `${name}: read.number()`
    if (kind === 'texts' || kind === 'map' || kind === 'pairs') return `${name}: read.${kind}()`
    return `${name}: read.text(${i})`
  })
  return new Function('read', `return { ${fields.join(', ')} }`) as Decode
}

const DEFAULTS: ReadonlyMap<string, unknown> = new Map(
  (JSON.parse(FLOW_SCHEMA_TEXT) as { fields: { name: string; default: unknown }[] }).fields.map((field) => [
    field.name,
    field.default,
  ]),
)
/** Reads what `decoder` reads, and makes nothing of it. */
function passer(columns: number): Pass {
  const lines = FLOW_COLUMNS.slice(0, columns).map(({ kind }) => {
    if (MAX[kind] !== undefined) return `input.count('number')`
    if (kind === 'texts' || kind === 'id') return `pass.${kind}(input)`
    return kind === 'map' || kind === 'pairs' ? 'pass.pairs(input)' : 'input.skip()'
  })
  return new Function('input', 'pass', lines.join('\n')) as Pass
}

/** Of the columns behind the first `columns`, as they are written. */
function defaultsBehind(columns: number): Buffer {
  const out = new AvroOutput(0)
  for (const { name } of FLOW_COLUMNS.slice(columns)) {
    const value = DEFAULTS.get(name)
    // Lists and maps end with a 0, and have nothing before it.
    if (typeof value === 'string') out.text(value)
    else out.long(typeof value === 'number' ? value : 0)
  }
  return out.finish()
}

interface Schema {
  readonly decode: Decode
  readonly pass: Pass
  /** Of the columns that it lacks. */
  readonly defaults: Buffer
}

/** By number. */
const SCHEMAS: ReadonlyMap<number, Schema> = new Map(
  [...OLDER_SCHEMAS, [FLOW_SCHEMA_ID, FLOW_COLUMNS.length] as const].map(([id, columns]) => [
    id,
    { decode: decoder(columns), pass: passer(columns), defaults: defaultsBehind(columns) },
  ]),
)

class FieldWriter {
  /** A number outside what its column holds is written as the nearest inside. */
  number(out: AvroOutput, value: number, max: number): void {
    out.long(value > 0 ? Math.floor(Math.min(value, max)) : 0)
  }

  texts(out: AvroOutput, values: readonly string[]): void {
    if (values.length > 0) {
      out.long(values.length)
      for (let i = 0; i < values.length; i++) out.text(values[i])
    }
    out.long(0)
  }

  map(out: AvroOutput, values: Readonly<Record<string, string>>): void {
    const names = Object.keys(values)
    if (names.length > 0) {
      out.long(names.length)
      for (const name of names) {
        out.text(name)
        out.text(values[name])
      }
    }
    out.long(0)
  }

  pairs(out: AvroOutput, values: readonly string[]): void {
    if (values.length > 0) {
      out.long(values.length / 2)
      for (let i = 0; i < values.length; i++) out.text(values[i])
    }
    out.long(0)
  }
}

const writer = new FieldWriter()

/** Grows to the largest flow seen. */
const scratch = new AvroOutput(64 * 1024)

/** The bytes are the caller's. */
export function encodeFlow(flow: Flow): Buffer {
  scratch.clear()
  scratch.raw(FRAME)
  encodeFields(flow, scratch, writer)
  return scratch.copy()
}

/** Reads the columns in turn. Texts of a column repeat from flow to flow: one that is as the last is not made anew. */
class FieldReader {
  #input = new AvroInput(Buffer.alloc(0), '', '')
  readonly #last: readonly LastText[] = FLOW_COLUMNS.map(() => new LastText())

  begin(bytes: Buffer): AvroInput {
    this.#input = new AvroInput(bytes, 'a flow message', 'BAD_FLOW', FRAME_BYTES)
    return this.#input
  }

  number(): number {
    return this.#input.count('number')
  }

  text(column: number): string {
    return this.#input.textLike(this.#last[column])
  }

  texts(): string[] {
    const values: string[] = []
    for (let count = this.#input.blockCount(); count > 0; count = this.#input.blockCount()) {
      for (let i = 0; i < count; i++) values.push(this.#input.text())
    }
    return values
  }

  pairs(): string[] {
    const values: string[] = []
    for (let count = this.#input.blockCount(); count > 0; count = this.#input.blockCount()) {
      for (let i = 0; i < count; i++) values.push(this.#input.text(), this.#input.text())
    }
    return values
  }

  map(): Record<string, string> {
    const values: Record<string, string> = {}
    const pairs = this.pairs()
    for (let i = 0; i < pairs.length; i += 2) {
      Object.defineProperty(values, pairs[i], {
        value: pairs[i + 1],
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
    return values
  }
}

const reader = new FieldReader()

const ID_DIGITS_MAX = 20

class FieldPasser {
  texts(input: AvroInput): void {
    for (let count = input.blockCount(); count > 0; count = input.blockCount()) {
      for (let i = 0; i < count; i++) input.skip()
    }
  }

  pairs(input: AvroInput): void {
    for (let count = input.blockCount(); count > 0; count = input.blockCount()) {
      for (let i = 0; i < 2 * count; i++) input.skip()
    }
  }

  /** Decimal digits. */
  id(input: AvroInput): void {
    const digits = input.bytes()
    if (digits.length === 0 || digits.length > ID_DIGITS_MAX) throw input.bad(`an id of ${digits.length} digits`)
    for (const digit of digits) if (digit < 0x30 || digit > 0x39) throw input.bad('an id that is no number')
  }
}

const passing = new FieldPasser()

function schemaOf(bytes: Buffer): Schema {
  if (bytes.length < FRAME_BYTES || bytes[0] !== 0)
    throw new KlartextError('BAD_FLOW', 'a flow message has no schema frame')
  const id = bytes.readInt32BE(1)
  const schema = SCHEMAS.get(id)
  if (schema !== undefined) return schema
  NewerSchemaError.check('a flow message has schema', id, FLOW_SCHEMA_ID)
  throw new KlartextError('BAD_FLOW', `a flow message has schema ${id}, this reader knows ${FLOW_SCHEMA_ID}`)
}

/** Throws KlartextError `BAD_FLOW` for what is not one whole flow in a known schema, NewerSchemaError for one to come. */
export function decodeFlow(bytes: Buffer): Flow {
  const { decode } = schemaOf(bytes)
  const input = reader.begin(bytes)
  const flow = decode(reader)
  if (input.remaining > 0) throw input.bad(`${input.remaining} bytes too many`)
  return flow
}

/** Throws as `decodeFlow` does; for who hands the message on as it is. */
export function checkFlow(bytes: Buffer): void {
  const { pass } = schemaOf(bytes)
  const input = new AvroInput(bytes, 'a flow message', 'BAD_FLOW', FRAME_BYTES)
  pass(input, passing)
  if (input.remaining > 0) throw input.bad(`${input.remaining} bytes too many`)
}

/** Where the first field of a message begins. */
export const FLOW_FIELDS_AT = FRAME_BYTES

/** A message that was checked, with all of `FLOW_COLUMNS`: one of an older schema has the defaults of what it lacks behind it. */
export function wholeFlow(bytes: Buffer): Buffer {
  const { defaults } = schemaOf(bytes)
  return defaults.length === 0 ? bytes : Buffer.concat([bytes, defaults])
}
