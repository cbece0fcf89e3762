/** Writes a capture of keep-alive HTTP/1 on many connections, of about a given size: what benches read. */
import { closeSync, openSync, writeSync } from 'node:fs'

const CONNECTIONS = 400
const BLOCK_BYTES = 1 << 20
const BODY = '{"items":[1,2,3],"next":"/v1/items?page=2"}'.padEnd(240, ' ')

/** Answers the number of exchanges. Each is a request, a response and two acknowledgements, as on the wire. */
export function writeHttpCapture(path: string, sizeBytes: number): number {
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
  let written = 24
  let timeUs = 1_790_000_000_000_000
  const seqs = Array.from({ length: CONNECTIONS }, () => [1000, 5000])

  const packet = (connection: number, fromClient: boolean, flags: number, payload: string) => {
    const size = 54 + payload.length
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
    block.fill(0, eth, eth + 54)
    block.writeUInt16BE(0x0800, eth + 12)
    const ip = eth + 14
    block[ip] = 0x45
    block.writeUInt16BE(40 + payload.length, ip + 2)
    block[ip + 8] = 64
    block[ip + 9] = 6
    const client = 0x0a000000 + (connection >> 8)
    block.writeUInt32BE(fromClient ? client : 0x0a630001, ip + 12)
    block.writeUInt32BE(fromClient ? 0x0a630001 : client, ip + 16)
    const tcp = ip + 20
    const seq = seqs[connection]
    block.writeUInt16BE(fromClient ? 20_000 + connection : 80, tcp)
    block.writeUInt16BE(fromClient ? 80 : 20_000 + connection, tcp + 2)
    block.writeUInt32BE(seq[fromClient ? 0 : 1], tcp + 4)
    block.writeUInt32BE(seq[fromClient ? 1 : 0], tcp + 8)
    block[tcp + 12] = 0x50
    block[tcp + 13] = flags
    block.writeUInt16BE(65_000, tcp + 14)
    block.write(payload, tcp + 20, 'latin1')
    at += 16 + size
    written += 16 + size
    seq[fromClient ? 0 : 1] += payload.length + (flags & 2 ? 1 : 0)
  }

  for (let connection = 0; connection < CONNECTIONS; connection++) {
    packet(connection, true, 0x02, '')
    packet(connection, false, 0x12, '')
    packet(connection, true, 0x10, '')
  }
  let exchanges = 0
  while (written < sizeBytes) {
    const connection = exchanges % CONNECTIONS
    packet(
      connection,
      true,
      0x18,
      `GET /v1/items/${exchanges}?page=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n\r\n`,
    )
    packet(connection, false, 0x10, '')
    packet(
      connection,
      false,
      0x18,
      `HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\nX-Request-Id: ${exchanges}\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
    )
    packet(connection, true, 0x10, '')
    exchanges += 1
  }
  writeSync(file, block, 0, at)
  closeSync(file)
  return exchanges
}
