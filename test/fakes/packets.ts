/** Packets and capture files made by hand, a layer per function; what a test says of them is all there is in them. */
import { Readable } from 'node:stream'
import { PcapSource } from '../../services/adapters/pcap/source.js'
import { addressToBytes } from '../../services/core/address.js'
import type { Segment } from '../../services/core/segment.js'

export const TCP_FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const

export const CLIENT = '10.0.0.1'
export const SERVER = '10.0.0.2'

export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

export interface TcpFields {
  readonly from: number
  readonly to: number
  readonly seq: number
  readonly ack?: number
  readonly flags?: number
  readonly data?: string | Buffer
}

export function tcp({ from, to, seq, ack = 0, flags = TCP_FLAG.ACK, data = '' }: TcpFields): Buffer {
  const header = Buffer.alloc(20)
  header.writeUInt16BE(from, 0)
  header.writeUInt16BE(to, 2)
  header.writeUInt32BE(seq >>> 0, 4)
  header.writeUInt32BE(ack >>> 0, 8)
  header[12] = 0x50
  header[13] = flags
  return Buffer.concat([header, Buffer.from(data as string, 'latin1')])
}

export function udp(from: number, to: number, data: string | Buffer): Buffer {
  const payload = Buffer.from(data as string, 'latin1')
  return Buffer.concat([u16(from), u16(to), u16(8 + payload.length), u16(0), payload])
}

export interface IpFields {
  readonly source?: string
  readonly target?: string
  readonly protocol: number
  readonly id?: number
  /** Bytes; a multiple of 8. */
  readonly offset?: number
  readonly more?: boolean
  readonly options?: Buffer
  /** Instead of the real one. */
  readonly totalLength?: number
}

export function ipv4(fields: IpFields, payload: Buffer): Buffer {
  const { source = CLIENT, target = SERVER, protocol, id = 0, offset = 0, more = false } = fields
  const options = fields.options ?? Buffer.alloc(0)
  const header = Buffer.alloc(20)
  header[0] = 0x40 | (5 + options.length / 4)
  header.writeUInt16BE(fields.totalLength ?? 20 + options.length + payload.length, 2)
  header.writeUInt16BE(id, 4)
  header.writeUInt16BE((more ? 0x2000 : 0) | (offset / 8), 6)
  header[8] = 64
  header[9] = protocol
  addressToBytes(source).copy(header, 12)
  addressToBytes(target).copy(header, 16)
  return Buffer.concat([header, options, payload])
}

/** `protocol` is that of the first header after IPv6's own. */
export function ipv6(protocol: number, payload: Buffer, source = '2001:db8::1', target = '2001:db8::2'): Buffer {
  const header = Buffer.alloc(40)
  header[0] = 0x60
  header.writeUInt16BE(payload.length, 4)
  header[6] = protocol
  header[7] = 64
  addressToBytes(source).copy(header, 8)
  addressToBytes(target).copy(header, 24)
  return Buffer.concat([header, payload])
}

export function ethernet(type: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(12, 2), u16(type), payload])
}

export interface PacketOptions {
  readonly timeUs?: number
  readonly restNs?: number
  /** Captured bytes, where fewer than there were. */
  readonly captured?: number
}

export interface Packet extends PacketOptions {
  readonly bytes: Buffer
}

export interface PcapOptions {
  readonly linkType?: number
  readonly big?: boolean
  readonly magic?: number
  /** Between the record header and the bytes, as in Kuznetsov's variant. */
  readonly extraHeader?: number
}

export const START_US = 1_790_000_000_000_000

/** Packets without a time are 2 ms apart. */
export function pcap(packets: readonly (Buffer | Packet)[], options: PcapOptions = {}): Buffer {
  const { linkType = 1, big = false, magic = 0xa1b2c3d4, extraHeader = 0 } = options
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4)
    if (big) bytes.writeUInt32BE(value)
    else bytes.writeUInt32LE(value)
    return bytes
  }
  const parts: Buffer[] = [u32(magic), Buffer.alloc(12), u32(65_535), u32(linkType)]
  for (const [i, each] of packets.entries()) {
    const packet: Packet = Buffer.isBuffer(each) ? { bytes: each } : each
    const timeUs = packet.timeUs ?? START_US + i * 2000
    const fraction = timeUs % 1e6
    const bytes = packet.bytes.subarray(0, packet.captured ?? packet.bytes.length)
    parts.push(
      u32(Math.floor(timeUs / 1e6)),
      u32(magic === 0xa1b23c4d ? fraction * 1000 + (packet.restNs ?? 0) : fraction),
      u32(bytes.length),
      u32(packet.bytes.length),
      Buffer.alloc(extraHeader),
      bytes,
    )
  }
  return Buffer.concat(parts)
}

export interface ReadResult {
  readonly segments: Segment[]
  readonly source: PcapSource
  /** Code of the error at the end. */
  readonly code: string
  readonly message: string
  skipped(reason: string): { packets: number; bytes: number }
}

/** A capture from memory, in blocks of `blockBytes`. */
export async function readCapture(file: Buffer, blockBytes = file.length): Promise<ReadResult> {
  const blocks: Buffer[] = []
  for (let at = 0; at < file.length; at += blockBytes) blocks.push(file.subarray(at, at + blockBytes))
  const source = new PcapSource(Readable.from(blocks, { objectMode: true }), { name: 'made' })
  const segments: Segment[] = []
  let code = ''
  let message = ''
  try {
    for await (const batch of source.batches()) segments.push(...batch)
  } catch (error) {
    code = (error as { code?: string }).code ?? 'none'
    message = (error as Error).message
  }
  return {
    segments,
    source,
    code,
    message,
    skipped(reason) {
      const row = source.coverage().find((each) => each.reason === reason)
      return { packets: row?.count ?? 0, bytes: row?.bytes ?? 0 }
    },
  }
}

/** The bytes of one direction, in the order they came out. */
export function textOf(segments: readonly Segment[], direction: number): string {
  return segments
    .filter((each) => each.direction === direction)
    .map((each) => each.payload.toString('latin1'))
    .join('')
}

/** Ethernet, IPv4, TCP between the client's port 40000 and the server's port 80. */
export function fromClient(seq: number, data = '', flags: number = TCP_FLAG.ACK, ack = 500): Buffer {
  return ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ from: 40_000, to: 80, seq, ack, flags, data })))
}

export function fromServer(seq: number, data = '', flags: number = TCP_FLAG.ACK, ack = 100): Buffer {
  const fields = { protocol: 6, source: SERVER, target: CLIENT }
  return ethernet(0x0800, ipv4(fields, tcp({ from: 80, to: 40_000, seq, ack, flags, data })))
}

/** First bytes are 100 and 500. */
export const HANDSHAKE: readonly Buffer[] = [
  fromClient(99, '', TCP_FLAG.SYN),
  fromServer(499, '', TCP_FLAG.SYN | TCP_FLAG.ACK),
  fromClient(100),
]
