/** Writes captures of PostgreSQL on many connections, of about a given size: what the bench reads. */
import { closeSync, openSync, writeSync } from 'node:fs'

const CONNECTIONS = 100
const BLOCK_BYTES = 1 << 20
const HEAD_BYTES = 54
/** What fits into one packet. */
const PACKET_BYTES = 1448

/**
 * `large`: results of 1000 rows of 200 bytes. `small`: one row by primary key, text in the query. `prepared`: the same by
 * Bind, Execute and Sync of a named statement.
 */
export type PgShape = 'large' | 'small' | 'prepared'

export interface PgCapture {
  readonly exchanges: number
  /** Of the protocol, without packet heads. */
  readonly payloadBytes: number
}

function message(type: string, ...parts: (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))
  const head = Buffer.from(`${type}0000`, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function row(...values: string[]): Buffer {
  const parts: Buffer[] = [Buffer.from([0, values.length])]
  for (const value of values) {
    const size = Buffer.alloc(4)
    size.writeInt32BE(value.length)
    parts.push(size, Buffer.from(value, 'latin1'))
  }
  return message('D', ...parts)
}

const FIELD_REST = '\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0'
const FIELDS = message('T', '\0\x03', `id\0${FIELD_REST}`, `name\0${FIELD_REST}`, `note\0${FIELD_REST}`)
const READY = message('Z', 'I')
const PARAMETERS = 'user\0shop\0database\0orders\0application_name\0bench\0\0'

function exchange(shape: PgShape, n: number): { request: Buffer; response: Buffer } {
  const id = String(n % 50_000)
  const complete = (count: number) => message('C', `SELECT ${count}\0`)
  if (shape === 'large') {
    const rows = Array.from({ length: 1000 }, (_, i) => row(String(n + i), 'customer name', 'x'.repeat(180)))
    const request = message('Q', `SELECT id, name, note FROM orders WHERE region = 'r${n % 10}'\0`)
    return { request, response: Buffer.concat([FIELDS, ...rows, complete(1000), READY]) }
  }
  const data = row(id, 'customer name', 'in stock')
  if (shape === 'small') {
    const request = message('Q', `SELECT id, name, note FROM orders WHERE id = ${id}\0`)
    return { request, response: Buffer.concat([FIELDS, data, complete(1), READY]) }
  }
  const size = Buffer.alloc(4)
  size.writeInt32BE(id.length)
  const bind = message('B', '\0S_1\0', '\0\x01\0\0', '\0\x01', size, id, '\0\0')
  const request = Buffer.concat([bind, message('E', '\0\0\0\0\0'), message('S')])
  return { request, response: Buffer.concat([message('2'), data, complete(1), READY]) }
}

export function writePgCapture(path: string, shape: PgShape, sizeBytes: number): PgCapture {
  const file = openSync(path, 'w')
  const header = Buffer.alloc(24)
  header.writeUInt32LE(0xa1b2c3d4, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(262_144, 16)
  header.writeUInt32LE(1, 20)
  writeSync(file, header)
  const block = Buffer.alloc(BLOCK_BYTES)
  let at = 0
  let written = header.length
  let payloadBytes = 0
  let timeUs = 1_790_000_000_000_000
  const seqs = Array.from({ length: CONNECTIONS }, () => [1000, 5000])

  const packet = (connection: number, fromClient: boolean, flags: number, payload: Buffer) => {
    const size = HEAD_BYTES + payload.length
    if (at + 16 + size > block.length) {
      writeSync(file, block, 0, at)
      at = 0
    }
    timeUs += 3
    block.writeUInt32LE(Math.floor(timeUs / 1e6), at)
    block.writeUInt32LE(timeUs % 1e6, at + 4)
    block.writeUInt32LE(size, at + 8)
    block.writeUInt32LE(size, at + 12)
    const eth = at + 16
    block.fill(0, eth, eth + HEAD_BYTES)
    block.writeUInt16BE(0x0800, eth + 12)
    const ip = eth + 14
    block[ip] = 0x45
    block.writeUInt16BE(40 + payload.length, ip + 2)
    block[ip + 8] = 64
    block[ip + 9] = 6
    block.writeUInt32BE(fromClient ? 0x0a000001 : 0x0a630001, ip + 12)
    block.writeUInt32BE(fromClient ? 0x0a630001 : 0x0a000001, ip + 16)
    const tcp = ip + 20
    const seq = seqs[connection]
    block.writeUInt16BE(fromClient ? 20_000 + connection : 5432, tcp)
    block.writeUInt16BE(fromClient ? 5432 : 20_000 + connection, tcp + 2)
    block.writeUInt32BE(seq[fromClient ? 0 : 1] >>> 0, tcp + 4)
    block.writeUInt32BE(seq[fromClient ? 1 : 0] >>> 0, tcp + 8)
    block[tcp + 12] = 0x50
    block[tcp + 13] = flags
    block.writeUInt16BE(65_000, tcp + 14)
    payload.copy(block, tcp + 20)
    at += 16 + size
    written += 16 + size
    payloadBytes += payload.length
    seq[fromClient ? 0 : 1] += payload.length + (flags & 2 ? 1 : 0)
  }
  const nothing = Buffer.alloc(0)
  const say = (connection: number, fromClient: boolean, bytes: Buffer) => {
    for (let from = 0; from < bytes.length; from += PACKET_BYTES) {
      packet(connection, fromClient, 0x18, bytes.subarray(from, from + PACKET_BYTES))
    }
    packet(connection, !fromClient, 0x10, nothing)
  }

  const startup = Buffer.concat([Buffer.from([0, 0, 0, 8 + PARAMETERS.length, 0, 3, 0, 0]), Buffer.from(PARAMETERS)])
  for (let connection = 0; connection < CONNECTIONS; connection++) {
    packet(connection, true, 0x02, nothing)
    packet(connection, false, 0x12, nothing)
    packet(connection, true, 0x10, nothing)
    say(connection, true, startup)
    say(connection, false, Buffer.concat([message('R', '\0\0\0\0'), READY]))
    if (shape !== 'prepared') continue
    say(
      connection,
      true,
      Buffer.concat([
        message('P', 'S_1\0SELECT id, name, note FROM orders WHERE id = $1\0', '\0\x01\0\0\0\x19'),
        message('S'),
      ]),
    )
    say(connection, false, Buffer.concat([message('1'), READY]))
  }
  let exchanges = 0
  while (written < sizeBytes) {
    const { request, response } = exchange(shape, exchanges)
    say(exchanges % CONNECTIONS, true, request)
    say(exchanges % CONNECTIONS, false, response)
    exchanges += 1
  }
  writeSync(file, block, 0, at)
  closeSync(file)
  return { exchanges, payloadBytes }
}
