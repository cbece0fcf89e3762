/** Ethernet, IP, TCP and UDP made around bytes, as pcapng blocks with times in ns; written in place, one large buffer at a time. */
import { closeSync, writeSync } from 'node:fs'
import { KlartextError } from '../../core/errors.js'
import { openPrivateFile } from '../system/private_file.js'

const BUFFER_BYTES = 1 << 20
const BLOCK_PACKET = 6
const BLOCK_NAMES = 4
const NAME_OF_IPV4 = 1
const NAME_OF_IPV6 = 2
/** Of an enhanced packet block, around the packet. */
const BLOCK_HEAD_BYTES = 28
const BLOCK_TAIL_BYTES = 4
const ETHERNET_BYTES = 14
const TCP_BYTES = 20
const UDP_BYTES = 8
const IP_TCP = 6
const IP_UDP = 17
const HOPS = 64
const WINDOW = 65_535

const NO_OPTIONS: Buffer = Buffer.alloc(0)
const OPTION_COMMENT = 1
/** Of a comment; what is longer is cut. */
const COMMENT_BYTES_MAX = 4096

/** One comment and the end of options. */
function commentOptions(text: string): Buffer {
  const value = Buffer.from(text).subarray(0, COMMENT_BYTES_MAX)
  const options = Buffer.alloc(4 + ((value.length + 3) & ~3) + 4)
  options.writeUInt16LE(OPTION_COMMENT, 0)
  options.writeUInt16LE(value.length, 2)
  value.copy(options, 4)
  return options
}

/** Both ends, of one family. */
export interface Ends {
  /** By direction: who sends. */
  readonly ip: readonly [Buffer, Buffer]
  readonly port: readonly [number, number]
}

export class PacketOutput {
  readonly #path: string
  readonly #file: number
  #bytes = Buffer.alloc(BUFFER_BYTES)
  #size = 0
  #timeHigh = 0
  #timeLow = 0
  /** Of the IP header that was begun last. */
  #ipAt = 0
  /** Of the next packet, as pcapng options; empty where it has none. */
  #options: Buffer = NO_OPTIONS

  /** `about` is a comment of the whole file. */
  constructor(path: string, about = '') {
    this.#path = path
    this.#file = openPrivateFile(path)
    const options = about === '' ? NO_OPTIONS : commentOptions(about)
    const size = 28 + options.length
    const head = this.#bytes
    head.writeUInt32LE(0x0a0d0d0a, 0)
    head.writeUInt32LE(size, 4)
    head.writeUInt32LE(0x1a2b3c4d, 8)
    head.writeUInt16LE(1, 12)
    head.writeBigInt64LE(-1n, 16)
    options.copy(head, 24)
    head.writeUInt32LE(size, size - 4)
    // One interface: Ethernet, no limit of length, if_tsresol = 10^-9.
    head.writeUInt32LE(1, size)
    head.writeUInt32LE(32, size + 4)
    head.writeUInt16LE(1, size + 8)
    head.writeUInt16LE(9, size + 16)
    head.writeUInt16LE(1, size + 18)
    head[size + 20] = 9
    head.writeUInt32LE(32, size + 28)
    this.#size = size + 32
  }

  /** A name resolution block: what readers show for these addresses. */
  names(records: Iterable<readonly [address: Buffer, name: string]>): void {
    const parts: Buffer[] = []
    for (const [address, name] of records) {
      const value = Buffer.concat([address, Buffer.from(`${name}\0`)])
      const record = Buffer.alloc(4 + ((value.length + 3) & ~3))
      record.writeUInt16LE(address.length === 4 ? NAME_OF_IPV4 : NAME_OF_IPV6, 0)
      record.writeUInt16LE(value.length, 2)
      value.copy(record, 4)
      parts.push(record)
    }
    if (parts.length === 0) return
    // The last record is empty and says that it is the last.
    const body = Buffer.concat([...parts, Buffer.alloc(4)])
    const block = Buffer.alloc(12 + body.length)
    block.writeUInt32LE(BLOCK_NAMES, 0)
    block.writeUInt32LE(block.length, 4)
    body.copy(block, 8)
    block.writeUInt32LE(block.length, block.length - 4)
    for (let at = 0; at < block.length; at += BUFFER_BYTES) {
      const piece = block.subarray(at, at + BUFFER_BYTES)
      if (this.#size + piece.length > BUFFER_BYTES) this.#flush()
      this.#size += piece.copy(this.#bytes, this.#size)
    }
  }

  /** Of the next packet. */
  comment(text: string): void {
    this.#options = commentOptions(text)
  }

  /** Of the packets that follow. Split by hand: the ns since 1970 are beyond 2^53. */
  setTime(timeUs: number, restNs: number): void {
    const seconds = Math.floor(timeUs / 1e6)
    const upper = Math.floor(seconds / 65_536) * 1e9
    const lower = (seconds % 65_536) * 1e9 + (timeUs - seconds * 1e6) * 1000 + restNs
    const rest = (upper % 65_536) * 65_536 + lower
    this.#timeHigh = Math.floor(upper / 65_536) + Math.floor(rest / 2 ** 32)
    this.#timeLow = rest % 2 ** 32
  }

  /** One TCP packet that `direction`'s end sends. */
  tcp(ends: Ends, direction: 0 | 1, tcpFlags: number, seq: number, ack: number, data: Buffer): void {
    const at = this.#begin(ends, direction, IP_TCP, TCP_BYTES + data.length, 0)
    const bytes = this.#bytes
    bytes.writeUInt16BE(ends.port[direction], at)
    bytes.writeUInt16BE(ends.port[1 - direction], at + 2)
    bytes.writeUInt32BE(seq, at + 4)
    bytes.writeUInt32BE(ack, at + 8)
    bytes[at + 12] = (TCP_BYTES / 4) << 4
    bytes[at + 13] = tcpFlags
    bytes.writeUInt16BE(WINDOW, at + 14)
    bytes.writeUInt32BE(0, at + 16)
    data.copy(bytes, at + TCP_BYTES)
    this.#end(ends, direction, IP_TCP, at, TCP_BYTES + data.length, at + 16)
  }

  /** One datagram; of `missing` more bytes only the length is known. */
  udp(ends: Ends, direction: 0 | 1, data: Buffer, missing: number): void {
    const at = this.#begin(ends, direction, IP_UDP, UDP_BYTES + data.length, missing)
    const bytes = this.#bytes
    bytes.writeUInt16BE(ends.port[direction], at)
    bytes.writeUInt16BE(ends.port[1 - direction], at + 2)
    bytes.writeUInt16BE(UDP_BYTES + data.length + missing, at + 4)
    bytes.writeUInt16BE(0, at + 6)
    data.copy(bytes, at + UDP_BYTES)
    this.#end(ends, direction, IP_UDP, at, UDP_BYTES + data.length, at + 6)
  }

  close(): void {
    this.#flush()
    closeSync(this.#file)
  }

  /** Block header, Ethernet, IP; answers where the transport header begins. */
  #begin(ends: Ends, direction: 0 | 1, protocol: number, size: number, missing: number): number {
    const source = ends.ip[direction]
    const ipBytes = source.length === 4 ? 20 : 40
    const captured = ETHERNET_BYTES + ipBytes + size
    const padded = (captured + 3) & ~3
    const options = this.#options
    this.#options = NO_OPTIONS
    const blockBytes = BLOCK_HEAD_BYTES + padded + options.length + BLOCK_TAIL_BYTES
    if (this.#size + blockBytes > BUFFER_BYTES) this.#flush()
    const bytes = this.#bytes
    const block = this.#size
    bytes.writeUInt32LE(BLOCK_PACKET, block)
    bytes.writeUInt32LE(blockBytes, block + 4)
    bytes.writeUInt32LE(0, block + 8)
    bytes.writeUInt32LE(this.#timeHigh, block + 12)
    bytes.writeUInt32LE(this.#timeLow, block + 16)
    bytes.writeUInt32LE(captured, block + 20)
    bytes.writeUInt32LE(captured + missing, block + 24)
    // The last bytes of the packet's padding, before they are covered.
    bytes.writeUInt32LE(0, block + BLOCK_HEAD_BYTES + padded - 4)
    options.copy(bytes, block + BLOCK_HEAD_BYTES + padded)
    bytes.writeUInt32LE(blockBytes, block + blockBytes - BLOCK_TAIL_BYTES)
    this.#size = block + blockBytes

    const ethernet = block + BLOCK_HEAD_BYTES
    // Made-up, locally administered addresses: 02:00:00:00:00:01 is the client.
    bytes.fill(0, ethernet, ethernet + 12)
    bytes[ethernet] = 2
    bytes[ethernet + 5] = direction === 0 ? 2 : 1
    bytes[ethernet + 6] = 2
    bytes[ethernet + 11] = direction === 0 ? 1 : 2
    bytes.writeUInt16BE(ipBytes === 20 ? 0x0800 : 0x86dd, ethernet + 12)
    const ip = ethernet + ETHERNET_BYTES
    this.#ipAt = ip
    if (ipBytes === 20) {
      bytes.writeUInt32BE((0x4500 << 16) | (20 + size + missing), ip)
      bytes.writeUInt32BE(0x4000, ip + 4)
      bytes[ip + 8] = HOPS
      bytes[ip + 9] = protocol
      bytes.writeUInt16BE(0, ip + 10)
      source.copy(bytes, ip + 12)
      ends.ip[1 - direction].copy(bytes, ip + 16)
      bytes.writeUInt16BE(folded(sumOf(bytes, ip, ip + 20, 0)), ip + 10)
    } else {
      bytes.writeUInt32BE(0x6000_0000, ip)
      bytes.writeUInt16BE(size + missing, ip + 4)
      bytes[ip + 6] = protocol
      bytes[ip + 7] = HOPS
      source.copy(bytes, ip + 8)
      ends.ip[1 - direction].copy(bytes, ip + 24)
    }
    return ip + ipBytes
  }

  /** The checksum over pseudo-header, header and data. */
  #end(ends: Ends, direction: 0 | 1, protocol: number, at: number, size: number, checksumAt: number): void {
    const addresses = ends.ip[direction].length === 4 ? this.#ipAt + 12 : this.#ipAt + 8
    const sum = sumOf(this.#bytes, addresses, at, protocol + size)
    const checksum = folded(sumOf(this.#bytes, at, at + size, sum))
    // A UDP checksum of 0 would say that there is none.
    this.#bytes.writeUInt16BE(checksum === 0 ? 0xffff : checksum, checksumAt)
  }

  #flush(): void {
    try {
      for (let at = 0; at < this.#size; ) at += writeSync(this.#file, this.#bytes, at, this.#size - at)
    } catch (error) {
      throw new KlartextError('UNWRITABLE', `${this.#path}: ${(error as Error).message}`)
    }
    this.#size = 0
  }
}

/** 16-bit words added up, RFC 1071; an odd last byte is the upper half of a word. */
function sumOf(bytes: Buffer, from: number, to: number, begin: number): number {
  let sum = begin
  let at = from
  for (; at + 1 < to; at += 2) sum += (bytes[at] << 8) | bytes[at + 1]
  return at < to ? sum + (bytes[at] << 8) : sum
}

function folded(sum: number): number {
  let rest = sum
  while (rest > 0xffff) rest = (rest & 0xffff) + Math.floor(rest / 0x10000)
  return ~rest & 0xffff
}
