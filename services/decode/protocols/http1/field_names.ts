/** Field names by their bytes, in any case: the usual ones cost no new string, and say what a decoder does with the value. */

/** What a field means to the decoder; `OTHER` is only kept. */
export const FieldKind = {
  OTHER: 0,
  CONTENT_LENGTH: 1,
  TRANSFER_ENCODING: 2,
  CONNECTION: 3,
  UPGRADE: 4,
  HOST: 5,
  USER_AGENT: 6,
  CONTENT_TYPE: 7,
  AUTHORIZATION: 8,
  EXPECT: 9,
  FORWARDED_FOR: 10,
  CORRELATION: 11,
} as const

export interface FieldName {
  /** In lower case. */
  readonly text: string
  readonly kind: number
}

const KINDS: Readonly<Record<string, number>> = {
  'content-length': FieldKind.CONTENT_LENGTH,
  'transfer-encoding': FieldKind.TRANSFER_ENCODING,
  connection: FieldKind.CONNECTION,
  'proxy-connection': FieldKind.CONNECTION,
  upgrade: FieldKind.UPGRADE,
  host: FieldKind.HOST,
  'user-agent': FieldKind.USER_AGENT,
  'content-type': FieldKind.CONTENT_TYPE,
  authorization: FieldKind.AUTHORIZATION,
  expect: FieldKind.EXPECT,
  'x-forwarded-for': FieldKind.FORWARDED_FOR,
  traceparent: FieldKind.CORRELATION,
  b3: FieldKind.CORRELATION,
  'x-b3-traceid': FieldKind.CORRELATION,
  'x-b3-spanid': FieldKind.CORRELATION,
  'uber-trace-id': FieldKind.CORRELATION,
  sw8: FieldKind.CORRELATION,
  'x-request-id': FieldKind.CORRELATION,
  'x-correlation-id': FieldKind.CORRELATION,
  'request-id': FieldKind.CORRELATION,
  'x-amzn-trace-id': FieldKind.CORRELATION,
}

/** A name longer than this is cut. */
const NAME_BYTES_MAX = 256
/** Slots of the table, a power of two. A name that finds its slots taken is simply made anew each time. */
const SLOTS = 4096
const PROBES = 4

class Slot implements FieldName {
  readonly text: string
  readonly kind: number
  readonly bytes: Buffer

  constructor(text: string) {
    this.text = text
    this.kind = Object.hasOwn(KINDS, text) ? KINDS[text] : FieldKind.OTHER
    this.bytes = Buffer.from(text, 'latin1')
  }
}

const slots: (Slot | null)[] = new Array<Slot | null>(SLOTS).fill(null)
for (const name of Object.keys(KINDS)) fieldName(Buffer.from(name), 0, name.length)

export function fieldName(bytes: Buffer, from: number, to: number): FieldName {
  const end = Math.min(to, from + NAME_BYTES_MAX)
  let hash = end - from
  for (let i = from; i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] | 32)) | 0
  for (let probe = 0; probe < PROBES; probe++) {
    const at = (hash + probe) & (SLOTS - 1)
    const slot = slots[at]
    if (slot === null) return (slots[at] = new Slot(bytes.toString('latin1', from, end).toLowerCase()))
    if (sameName(slot.bytes, bytes, from, end)) return slot
  }
  return new Slot(bytes.toString('latin1', from, end).toLowerCase())
}

function sameName(name: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (name.length !== to - from) return false
  for (let i = 0; i < name.length; i++) {
    const byte = bytes[from + i]
    if (name[i] !== (byte >= 65 && byte <= 90 ? byte | 32 : byte)) return false
  }
  return true
}
