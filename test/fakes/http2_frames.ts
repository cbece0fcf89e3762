/** Frames of HTTP/2 for tests, with header fields as plain literals: no table, no Huffman code. */

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

export const Flags = { NONE: 0, END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const

export function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

export const settings = (flags: number = Flags.NONE, payload?: Buffer): Buffer => frame(4, flags, 0, payload)

/** RFC 7541 section 5.1. */
export function integer(value: number, prefix: number, bits: number): Buffer {
  const mask = (1 << prefix) - 1
  if (value < mask) return Buffer.from([bits | value])
  const bytes = [bits | mask]
  let left = value - mask
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 128)
  bytes.push(left)
  return Buffer.from(bytes)
}

function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([integer(bytes.length, 7, 0), bytes])
}

/** Literal with a new name: that stays out of the table, or goes into it. */
export function literal(name: string | Buffer, value: string | Buffer, add = false): Buffer {
  return Buffer.concat([Buffer.from([add ? 0x40 : 0]), text(name), text(value)])
}

export const indexed = (index: number): Buffer => integer(index, 7, 0x80)

export function fields(...pairs: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(pairs.map(([name, value]) => literal(name, value)))
}

export function request(path: string, ...more: readonly (readonly [string, string])[]): Buffer {
  return fields([':method', 'GET'], [':scheme', 'http'], [':path', path], [':authority', 'h'], ...more)
}

export function headers(stream: number, block: Buffer, flags: number = Flags.END_HEADERS | Flags.END_STREAM): Buffer {
  return frame(1, flags, stream, block)
}

export const get = (stream: number, path: string): Buffer => headers(stream, request(path))

export const answer = (stream: number, status = '200'): Buffer => headers(stream, fields([':status', status]))

export const data = (stream: number, payload: Buffer, flags: number = Flags.NONE): Buffer =>
  frame(0, flags, stream, payload)

export function reset(stream: number, code: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(code, 0)
  return frame(3, 0, stream, payload)
}

export function goAway(last: number, code: number): Buffer {
  const payload = Buffer.alloc(8)
  payload.writeUInt32BE(last, 0)
  payload.writeUInt32BE(code, 4)
  return frame(7, 0, 0, payload)
}
