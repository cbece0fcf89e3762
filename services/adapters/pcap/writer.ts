/**
 * Segments as pcapng, for tools that want packets: Ethernet, IP, and TCP made up around the bytes (handshake, numbers that
 * follow positions, acknowledgements, FIN or RST). Missing bytes show as a jump of the sequence number. Times in ns.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { addressToBytes } from '../../core/address.js'
import { KlartextError } from '../../core/errors.js'
import {
  type ConnectionInfo,
  type Direction,
  type Segment,
  SegmentFlag,
  TO_CLIENT,
  TO_SERVER,
} from '../../core/segment.js'

/** Payload of one packet: what fits an Ethernet frame of 1500 bytes with IPv6 and TCP. */
const PACKET_BYTES_MAX = 1440
const BUFFER_BYTES = 1 << 20
/** Connections whose numbers are remembered; a capture with more gets its oldest ones begun anew. */
const CONNECTIONS_MAX = 1 << 20

const FIN = 0x01
const SYN = 0x02
const RST = 0x04
const PSH = 0x08
const ACK = 0x10

class Ends {
  readonly ip: [Buffer, Buffer]
  readonly port: [number, number]
  /** Position of the next byte, by direction. */
  readonly next: [number, number] = [0, 0]
  greeted = false

  constructor(info: ConnectionInfo) {
    const client = addressToBytes(info.clientIp)
    const server = addressToBytes(info.serverIp)
    const v6 = client.length === 16 || server.length === 16
    this.ip = [widen(client, v6), widen(server, v6)]
    this.port = [info.clientPort, info.serverPort]
  }
}

/** An end that was never bound is written as the unspecified address; IPv4 beside IPv6 becomes v4-mapped. */
function widen(address: Buffer, v6: boolean): Buffer {
  if (!v6) return address.length === 4 ? address : Buffer.alloc(4)
  if (address.length === 16) return address
  const wide = Buffer.alloc(16)
  if (address.length === 4) {
    wide.writeUInt16BE(0xffff, 10)
    address.copy(wide, 12)
  }
  return wide
}

export class PcapngWriter {
  readonly #path: string
  readonly #file: number
  readonly #ends = new Map<bigint, Ends>()
  #parts: Buffer[] = []
  #partBytes = 0

  constructor(path: string) {
    this.#path = path
    try {
      this.#file = openSync(path, 'w', 0o600)
    } catch (error) {
      throw new KlartextError('UNWRITABLE', `${path}: ${(error as Error).message}`)
    }
    const section = Buffer.alloc(28)
    section.writeUInt32LE(0x0a0d0d0a, 0)
    section.writeUInt32LE(28, 4)
    section.writeUInt32LE(0x1a2b3c4d, 8)
    section.writeUInt16LE(1, 12)
    section.writeBigInt64LE(-1n, 16)
    section.writeUInt32LE(28, 24)
    const face = Buffer.alloc(32)
    face.writeUInt32LE(1, 0)
    face.writeUInt32LE(32, 4)
    face.writeUInt16LE(1, 8)
    face.writeUInt32LE(0, 12)
    // if_tsresol = 10^-9.
    face.writeUInt16LE(9, 16)
    face.writeUInt16LE(1, 18)
    face[20] = 9
    face.writeUInt32LE(32, 28)
    this.#add(section)
    this.#add(face)
  }

  write(segments: readonly Segment[]): void {
    for (const segment of segments) {
      if (segment.connection.transport === 'unix') continue
      const ends = this.#endsOf(segment.connection)
      if (segment.connection.transport === 'udp') this.#datagram(ends, segment)
      else this.#tcp(ends, segment)
    }
    if (this.#partBytes >= BUFFER_BYTES) this.#flush()
  }

  close(): void {
    this.#flush()
    closeSync(this.#file)
  }

  #endsOf(info: ConnectionInfo): Ends {
    let ends = this.#ends.get(info.id)
    if (ends === undefined) {
      if (this.#ends.size >= CONNECTIONS_MAX) this.#ends.clear()
      ends = new Ends(info)
      this.#ends.set(info.id, ends)
    }
    return ends
  }

  #tcp(ends: Ends, segment: Segment): void {
    const { direction, flags, position, payload } = segment
    if (!ends.greeted) {
      ends.greeted = true
      if ((flags & SegmentFlag.MIDSTREAM) === 0) this.#handshake(ends, segment)
    }
    for (let at = 0; at < payload.length; at += PACKET_BYTES_MAX) {
      const part = payload.subarray(at, at + PACKET_BYTES_MAX)
      const last = at + part.length === payload.length
      this.#packet(ends, segment, direction, PSH | ACK, position + at, part)
      ends.next[direction] = position + at + part.length
      if (last) this.#packet(ends, segment, (1 - direction) as Direction, ACK, ends.next[1 - direction], NOTHING)
    }
    ends.next[direction] = Math.max(ends.next[direction], position + segment.length)
    if ((flags & SegmentFlag.CLOSE) !== 0) {
      const reset = (flags & SegmentFlag.RESET) !== 0
      this.#packet(ends, segment, direction, reset ? RST | ACK : FIN | ACK, ends.next[direction], NOTHING)
    }
  }

  #handshake(ends: Ends, segment: Segment): void {
    this.#packet(ends, segment, TO_SERVER, SYN, -1, NOTHING)
    this.#packet(ends, segment, TO_CLIENT, SYN | ACK, -1, NOTHING)
    this.#packet(ends, segment, TO_SERVER, ACK, 0, NOTHING)
  }

  #packet(ends: Ends, segment: Segment, direction: Direction, tcpFlags: number, position: number, data: Buffer): void {
    const header = Buffer.alloc(20)
    header.writeUInt16BE(ends.port[direction], 0)
    header.writeUInt16BE(ends.port[1 - direction], 2)
    header.writeUInt32BE(sequence(direction, position), 4)
    if ((tcpFlags & ACK) !== 0) {
      const peer = (1 - direction) as Direction
      header.writeUInt32BE(sequence(peer, ends.next[peer]), 8)
    }
    header[12] = 5 << 4
    header[13] = tcpFlags
    header.writeUInt16BE(65_535, 14)
    this.#ip(ends, segment, direction, 6, header, data, 16)
  }

  #datagram(ends: Ends, segment: Segment): void {
    const header = Buffer.alloc(8)
    header.writeUInt16BE(ends.port[segment.direction], 0)
    header.writeUInt16BE(ends.port[1 - segment.direction], 2)
    header.writeUInt16BE(Math.min(65_535, 8 + segment.payload.length), 4)
    this.#ip(ends, segment, segment.direction, 17, header, segment.payload.subarray(0, 65_000), 6)
  }

  #ip(
    ends: Ends,
    segment: Segment,
    direction: Direction,
    protocol: number,
    header: Buffer,
    data: Buffer,
    checksumAt: number,
  ): void {
    const source = ends.ip[direction]
    const target = ends.ip[1 - direction]
    const size = header.length + data.length
    const pseudo = Buffer.alloc(source.length * 2 + 8)
    source.copy(pseudo, 0)
    target.copy(pseudo, source.length)
    pseudo.writeUInt32BE(size, source.length * 2)
    pseudo.writeUInt32BE(protocol, source.length * 2 + 4)
    header.writeUInt16BE(checksum([pseudo, header, data]) || 0xffff, checksumAt)
    if (source.length === 4) {
      const ip = Buffer.alloc(20)
      ip[0] = 0x45
      ip.writeUInt16BE(20 + size, 2)
      ip.writeUInt16BE(0x4000, 6)
      ip[8] = 64
      ip[9] = protocol
      source.copy(ip, 12)
      target.copy(ip, 16)
      ip.writeUInt16BE(checksum([ip]), 10)
      this.#frame(segment, 0x0800, [ip, header, data])
    } else {
      const ip = Buffer.alloc(40)
      ip[0] = 0x60
      ip.writeUInt16BE(size, 4)
      ip[6] = protocol
      ip[7] = 64
      source.copy(ip, 8)
      target.copy(ip, 24)
      this.#frame(segment, 0x86dd, [ip, header, data])
    }
  }

  /** Enhanced packet block around an Ethernet frame with made-up, locally administered addresses. */
  #frame(segment: Segment, etherType: number, parts: readonly Buffer[]): void {
    const ethernet = Buffer.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, etherType >> 8, etherType & 0xff])
    const size = parts.reduce((sum, part) => sum + part.length, ethernet.length)
    const padded = (size + 3) & ~3
    const block = Buffer.alloc(32 + padded)
    const time = BigInt(segment.timeUs) * 1000n + BigInt(segment.timeRestNs)
    block.writeUInt32LE(6, 0)
    block.writeUInt32LE(32 + padded, 4)
    block.writeUInt32LE(Number(time >> 32n), 12)
    block.writeUInt32LE(Number(time & 0xffffffffn), 16)
    block.writeUInt32LE(size, 20)
    block.writeUInt32LE(size, 24)
    let at = 28
    for (const part of [ethernet, ...parts]) at += part.copy(block, at)
    block.writeUInt32LE(32 + padded, 28 + padded)
    this.#add(block)
  }

  #add(block: Buffer): void {
    this.#parts.push(block)
    this.#partBytes += block.length
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#parts)
    this.#parts = []
    this.#partBytes = 0
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at)
    } catch (error) {
      throw new KlartextError('UNWRITABLE', `${this.#path}: ${(error as Error).message}`)
    }
  }
}

const NOTHING: Buffer = Buffer.alloc(0)
/** Initial numbers; the SYN takes the number before position 0. */
const INITIAL = [1_000_000, 2_000_000]

function sequence(direction: Direction, position: number): number {
  return (INITIAL[direction] + 1 + (position % 2 ** 32) + 2 ** 32) % 2 ** 32
}

/** Internet checksum, RFC 1071. Only the last part may have an odd size. */
function checksum(parts: readonly Buffer[]): number {
  let sum = 0
  for (const part of parts) {
    for (let i = 0; i + 1 < part.length; i += 2) sum += (part[i] << 8) | part[i + 1]
    if (part.length % 2 === 1) sum += part[part.length - 1] << 8
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
