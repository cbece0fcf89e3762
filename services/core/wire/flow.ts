/**
 * A flow as the value of a message: Confluent's frame around the Avro of schemas/avro/flow.avsc, which is what every Avro
 * consumer reads (magic 0, schema id as int32 big-endian, body).
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import avro from 'avsc'
import { KlartextError } from '../errors.js'
import { type ColumnKind, FLOW_COLUMNS, type Flow } from '../flow.js'
import { REPO_ROOT } from '../repo_root.js'

/** Under which klartext's own schema registry serves flow.avsc; another schema gets another number. */
export const FLOW_SCHEMA_ID = 1

const FRAME_BYTES = 5
/** First guess for a buffer; grows to the largest flow seen. */
const SCRATCH_BYTES = 64 * 1024

export const FLOW_SCHEMA_TEXT: string = readFileSync(join(REPO_ROOT, 'schemas/avro/flow.avsc'), 'utf8')

const type = avro.Type.forSchema(JSON.parse(FLOW_SCHEMA_TEXT))
let scratch = Buffer.allocUnsafe(SCRATCH_BYTES)

/** The bytes are the caller's. A number outside 0 to 2^53 - 2, where doubles and avsc end, is written as the nearest inside. */
export function encodeFlow(flow: Flow): Buffer {
  try {
    return encode(flow)
  } catch {
    return encode(bounded(flow))
  }
}

function encode(flow: Flow): Buffer {
  let end = type.encode(flow, scratch, FRAME_BYTES)
  if (end < 0) {
    // avsc answers how many bytes were missing.
    scratch = Buffer.allocUnsafe((scratch.length - end) * 2)
    end = type.encode(flow, scratch, FRAME_BYTES)
  }
  scratch[0] = 0
  scratch.writeInt32BE(FLOW_SCHEMA_ID, 1)
  return Buffer.from(scratch.subarray(0, end))
}

const NUMBER_MAX = Number.MAX_SAFE_INTEGER - 1
const MAX: Partial<Record<ColumnKind, number>> = {
  time: NUMBER_MAX,
  u8: 0xff,
  u16: 0xffff,
  u32: 0xffff_ffff,
  u64: NUMBER_MAX,
}

function bounded(flow: Flow): Flow {
  const values: Record<string, unknown> = {}
  for (const { name, kind } of FLOW_COLUMNS) {
    const max = MAX[kind]
    const value = flow[name]
    values[name] = max === undefined ? value : Math.floor(Math.min(Math.max(Number(value) || 0, 0), max))
  }
  return values as unknown as Flow
}

/** Throws KlartextError `BAD_FLOW` for what is not one whole flow in a known schema. */
export function decodeFlow(bytes: Buffer): Flow {
  if (bytes.length < FRAME_BYTES || bytes[0] !== 0)
    throw new KlartextError('BAD_FLOW', 'a flow message has no schema frame')
  const id = bytes.readInt32BE(1)
  if (id !== FLOW_SCHEMA_ID) {
    throw new KlartextError('BAD_FLOW', `a flow message has schema ${id}, this reader knows ${FLOW_SCHEMA_ID}`)
  }
  try {
    return type.fromBuffer(bytes.subarray(FRAME_BYTES)) as Flow
  } catch (error) {
    throw new KlartextError('BAD_FLOW', `a flow message cannot be read: ${(error as Error).message}`, { cause: error })
  }
}
