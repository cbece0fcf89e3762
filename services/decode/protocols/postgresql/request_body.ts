/** Bodies of Query, Parse and Bind, as far as they are here: a long one is read from its start only. */
import { latin1, utf8, word } from '../../../core/text.js'
import * as m from './messages.js'
import type { Op } from './op.js'

/** Statement text that is kept: longer ones are mostly values. */
export const TEXT_BYTES_MAX = 8192
const NAME_BYTES_MAX = 256
/** Parameters kept of one Bind, the characters of one, and of all. */
const VALUES_MAX = 64
const VALUE_BYTES_MAX = 256
const VALUES_BYTES_MAX = 4096

/** `text\0` */
export function statementText(bytes: Buffer, from: number, to: number): string {
  const end = bytes[to - 1] === 0 ? to - 1 : to
  return utf8(bytes, from, Math.min(end, from + TEXT_BYTES_MAX))
}

/** `name\0 text\0 int16 n, n * oid`. Answers the bytes of the text. */
export function readParse(bytes: Buffer, from: number, to: number, bodyBytes: number, op: Op): number {
  const nameEnd = m.nul(bytes, from, to)
  if (nameEnd < 0) {
    op.unknown = true
    return 0
  }
  op.name = word(bytes, from, Math.min(nameEnd, from + NAME_BYTES_MAX))
  const textEnd = m.nul(bytes, nameEnd + 1, to)
  if (textEnd < 0) {
    op.truncated = true
    op.text = bytes.toString('utf8', nameEnd + 1, Math.min(to, nameEnd + 1 + TEXT_BYTES_MAX))
    return Math.max(0, bodyBytes - (nameEnd + 1 - from) - 3)
  }
  if (textEnd - nameEnd - 1 > TEXT_BYTES_MAX) op.truncated = true
  op.text = bytes.toString('utf8', nameEnd + 1, Math.min(textEnd, nameEnd + 1 + TEXT_BYTES_MAX))
  op.types = readTypes(bytes, textEnd + 1, to)
  return textEnd - nameEnd - 1
}

/** `int16 n, n * oid`: the OIDs with commas between; only where one is given, since 0 leaves it to the server. */
export function readTypes(bytes: Buffer, from: number, to: number): string {
  if (from + 2 > to) return ''
  const count = Math.min(m.int16(bytes, from), VALUES_MAX)
  let types = ''
  let given = false
  for (let i = 0, at = from + 2; i < count && at + 4 <= to; i++, at += 4) {
    const oid = m.int32(bytes, at) >>> 0
    if (oid !== 0) given = true
    types += i === 0 ? String(oid) : `,${oid}`
  }
  return given ? types : ''
}

/**
 * `portal\0 statement\0 int16 f, f * format, int16 n, n * (int32 size, value), int16 r, r * format`. Answers the bytes of
 * the values; they are kept where `withValues` is.
 */
export function readBind(
  bytes: Buffer,
  from: number,
  to: number,
  bodyBytes: number,
  op: Op,
  withValues: boolean,
): number {
  const portalEnd = m.nul(bytes, from, to)
  const nameEnd = portalEnd < 0 ? -1 : m.nul(bytes, portalEnd + 1, to)
  if (nameEnd < 0) {
    op.unknown = true
    return 0
  }
  op.portal = word(bytes, from, Math.min(portalEnd, from + NAME_BYTES_MAX))
  op.name = word(bytes, portalEnd + 1, Math.min(nameEnd, portalEnd + 1 + NAME_BYTES_MAX))
  let at = nameEnd + 1
  if (at + 2 > to) return 0
  const formats = m.int16(bytes, at)
  at += 2
  if (at + 2 * formats + 2 > to) return 0
  for (let i = 0; i < formats && i < VALUES_MAX; i++) op.formats += bytes[at + 2 * i + 1] === 1 ? '1' : '0'
  at += 2 * formats
  return readValues(bytes, at, to, bodyBytes - (at - from), op, withValues)
}

function readValues(bytes: Buffer, from: number, to: number, restBytes: number, op: Op, withValues: boolean): number {
  const count = m.int16(bytes, from)
  if (count === 0) return 0
  const values: (string | null)[] = []
  let at = from + 2
  let kept = 0
  let size = 0
  for (let i = 0; i < count; i++) {
    if (at + 4 > to) {
      op.truncated = true
      break
    }
    const length = m.int32(bytes, at)
    at += 4
    if (length > 0) size += length
    if (withValues && values.length < VALUES_MAX && kept < VALUES_BYTES_MAX) {
      values.push(length < 0 ? null : valueAt(bytes, at, Math.min(to, at + length), isBinary(op.formats, i)))
      kept += Math.min(Math.max(length, 0), VALUE_BYTES_MAX)
    }
    if (length > 0) at += length
  }
  if (withValues) op.values = values
  // Where not all of it is here, the sizes are known together: what the counts and formats do not take.
  return at > to ? Math.max(0, restBytes - 4 - 4 * count) : size
}

function valueAt(bytes: Buffer, from: number, to: number, binary: boolean): string {
  const end = Math.min(to, from + VALUE_BYTES_MAX)
  return binary && end > from ? latin1(bytes, from, end) : utf8(bytes, from, end)
}

function isBinary(formats: string, index: number): boolean {
  return formats.length === 1 ? formats === '1' : formats[index] === '1'
}
