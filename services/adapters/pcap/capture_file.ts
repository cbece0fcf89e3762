/**
 * Capture files as records: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), both byte orders, any
 * time resolution. Bytes are fed in blocks as they come from a file or pipe; records are parsed in place.
 */
import { KlartextError } from '../../core/errors.js'

/** One captured packet; the object is reused for every packet, the bytes are those of the block it lies in. */
export class PacketRecord {
  bytes: Buffer = Buffer.alloc(0)
  /** Captured bytes are `bytes[start]` to `bytes[end - 1]`; on the wire there were `wireLength`. */
  start = 0
  end = 0
  wireLength = 0
  timeUs = 0
  timeRestNs = 0
  linkType = 0
}

export type PacketHandler = (packet: PacketRecord) => void

/** A record larger than this is a broken length field: no link carries it (tshark's limit is the same, 256 KiB). */
const RECORD_BYTES_MAX = 262_144
/** pcapng blocks other than packets (name resolution, secrets) may be larger; beyond this the file is broken. */
const BLOCK_BYTES_MAX = 16 << 20

const PCAP_MAGICS = new Map<number, { little: boolean; nano: boolean; extraHeader: number }>([
  [0xa1b2c3d4, { little: false, nano: false, extraHeader: 0 }],
  [0xd4c3b2a1, { little: true, nano: false, extraHeader: 0 }],
  [0xa1b23c4d, { little: false, nano: true, extraHeader: 0 }],
  [0x4d3cb2a1, { little: true, nano: true, extraHeader: 0 }],
  // Alexey Kuznetsov's modified libpcap: interface index, protocol and packet type follow each record header.
  [0xa1b2cd34, { little: false, nano: false, extraHeader: 8 }],
  [0x34cdb2a1, { little: true, nano: false, extraHeader: 8 }],
])
const PCAPNG_MAGIC = 0x0a0d0d0a

export function isCaptureMagic(head: Buffer): boolean {
  return head.length >= 4 && (PCAP_MAGICS.has(head.readUInt32BE(0)) || head.readUInt32BE(0) === PCAPNG_MAGIC)
}

interface Format {
  /** Parses whole records of `bytes` from `from`; answers where the first incomplete one starts. */
  parse(bytes: Buffer, from: number, fileOffset: number, handler: PacketHandler): number
}

/**
 * Feeds blocks to the format that the first bytes announce. `name` is what error messages call the file. A record that a
 * block cuts stays in `rest`: the next bytes given must begin with it.
 */
export class CaptureParser {
  readonly #name: string
  #format: Format | null = null
  #rest: Buffer = Buffer.alloc(0)
  /** Offset in the file of the first byte of `#rest`. */
  #offset = 0

  constructor(name: string) {
    this.#name = name
  }

  /** What the last bytes left over: less than one record or block of the format. */
  get rest(): Buffer {
    return this.#rest
  }

  /** `bytes` = `rest` and what came after it in the file. */
  parse(bytes: Buffer, handler: PacketHandler): void {
    let from = 0
    if (this.#format === null) {
      if (bytes.length < 24) {
        this.#rest = bytes
        return
      }
      const header = this.#open(bytes)
      this.#format = header.format
      from = header.size
    }
    const done = this.#format.parse(bytes, from, this.#offset, handler)
    this.#rest = bytes.subarray(done)
    this.#offset += done
  }

  /** Throws what a file that ends here lacks; silent where it ends between two records. */
  end(): void {
    if (this.#format === null) {
      if (this.#rest.length === 0) throw new KlartextError('EMPTY_FILE', `${this.#name}: the file is empty`)
      if (!isCaptureMagic(this.#rest)) throw this.#foreign()
      throw new KlartextError(
        'CAPTURE_TRUNCATED',
        `${this.#name}: cut inside the file header, at byte ${this.#rest.length}`,
      )
    }
    if (this.#rest.length > 0) {
      throw new KlartextError(
        'CAPTURE_TRUNCATED',
        `${this.#name}: cut inside a record that starts at byte ${this.#offset}; everything before it was read`,
      )
    }
  }

  #open(bytes: Buffer): { format: Format; size: number } {
    const magic = bytes.readUInt32BE(0)
    if (magic === PCAPNG_MAGIC) return { format: new PcapNg(this.#name), size: 0 }
    const variant = PCAP_MAGICS.get(magic)
    if (variant === undefined) throw this.#foreign()
    // The upper bits of the link type field hold the FCS length and flags.
    const linkType = (variant.little ? bytes.readUInt32LE(20) : bytes.readUInt32BE(20)) & 0xffff
    return { format: new Pcap(this.#name, variant.little, variant.nano, variant.extraHeader, linkType), size: 24 }
  }

  #foreign(): KlartextError {
    return new KlartextError('NOT_A_CAPTURE', `${this.#name}: neither pcap, pcapng nor a segment archive`)
  }
}

function broken(name: string, offset: number, what: string): KlartextError {
  return new KlartextError('CAPTURE_BROKEN', `${name}: ${what} at byte ${offset}; everything before it was read`)
}

class Pcap implements Format {
  readonly #name: string
  readonly #little: boolean
  readonly #nano: boolean
  readonly #headerBytes: number
  readonly #packet = new PacketRecord()

  constructor(name: string, little: boolean, nano: boolean, extraHeader: number, linkType: number) {
    this.#name = name
    this.#little = little
    this.#nano = nano
    this.#headerBytes = 16 + extraHeader
    this.#packet.linkType = linkType
  }

  parse(bytes: Buffer, from: number, fileOffset: number, handler: PacketHandler): number {
    const packet = this.#packet
    const little = this.#little
    const headerBytes = this.#headerBytes
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    packet.bytes = bytes
    let at = from
    while (at + headerBytes <= bytes.length) {
      const seconds = view.getUint32(at, little)
      const fraction = view.getUint32(at + 4, little)
      const captured = view.getUint32(at + 8, little)
      if (captured > RECORD_BYTES_MAX) throw broken(this.#name, fileOffset + at, `record of ${captured} bytes`)
      const start = at + headerBytes
      if (start + captured > bytes.length) break
      packet.start = start
      packet.end = start + captured
      packet.wireLength = Math.max(captured, view.getUint32(at + 12, little))
      if (this.#nano) {
        const us = Math.floor(fraction / 1000)
        packet.timeUs = seconds * 1e6 + us
        packet.timeRestNs = fraction - us * 1000
      } else {
        packet.timeUs = seconds * 1e6 + fraction
      }
      handler(packet)
      at = start + captured
    }
    return at
  }
}

interface Interface {
  readonly linkType: number
  readonly snapLength: number
  /** Ticks per second, as a power of ten or two, and seconds to add. */
  readonly ticks: bigint
  readonly offsetUs: number
}

const BLOCK_INTERFACE = 1
const BLOCK_PACKET_OLD = 2
const BLOCK_SIMPLE = 3
const BLOCK_ENHANCED = 6
const OPTION_TSRESOL = 9
const OPTION_TSOFFSET = 14
/** Interfaces of one section; a file with more is hostile. */
const INTERFACES_MAX = 65_536

class PcapNg implements Format {
  readonly #name: string
  readonly #packet = new PacketRecord()
  #little = true
  #interfaces: Interface[] = []

  constructor(name: string) {
    this.#name = name
  }

  parse(bytes: Buffer, from: number, fileOffset: number, handler: PacketHandler): number {
    this.#packet.bytes = bytes
    let at = from
    while (at + 12 <= bytes.length) {
      if (bytes.readUInt32BE(at) === PCAPNG_MAGIC) {
        const order = bytes.readUInt32LE(at + 8)
        if (order === 0x1a2b3c4d) this.#little = true
        else if (order === 0x4d3c2b1a) this.#little = false
        else throw broken(this.#name, fileOffset + at, 'section header without byte order')
        this.#interfaces = []
      }
      const little = this.#little
      const type = u32(bytes, at, little)
      const size = u32(bytes, at + 4, little)
      if (size < 12 || size % 4 !== 0 || size > BLOCK_BYTES_MAX) {
        throw broken(this.#name, fileOffset + at, `block of ${size} bytes`)
      }
      if (at + size > bytes.length) break
      const body = at + 8
      const end = at + size - 4
      if (type === BLOCK_ENHANCED && size >= 32) this.#enhanced(bytes, body, end, fileOffset + at, handler)
      else if (type === BLOCK_INTERFACE && size >= 20) this.#interface(bytes, body, end)
      else if (type === BLOCK_SIMPLE && size >= 16) this.#simple(bytes, body, end, handler)
      else if (type === BLOCK_PACKET_OLD && size >= 32) this.#old(bytes, body, end, fileOffset + at, handler)
      at += size
    }
    return at
  }

  #interface(bytes: Buffer, body: number, end: number): void {
    if (this.#interfaces.length >= INTERFACES_MAX) return
    const little = this.#little
    let ticks = 1_000_000n
    let offsetUs = 0
    for (let at = body + 8; at + 4 <= end; ) {
      const code = u16(bytes, at, little)
      const size = u16(bytes, at + 2, little)
      if (code === 0 || at + 4 + size > end) break
      if (code === OPTION_TSRESOL && size >= 1) {
        const value = bytes[at + 4]
        ticks = value & 0x80 ? 2n ** BigInt(value & 0x3f) : 10n ** BigInt(value & 0x1f)
      } else if (code === OPTION_TSOFFSET && size >= 8) {
        const seconds = little ? bytes.readBigInt64LE(at + 4) : bytes.readBigInt64BE(at + 4)
        offsetUs = Number(seconds) * 1e6
      }
      at += 4 + ((size + 3) & ~3)
    }
    const linkType = u16(bytes, body, little)
    this.#interfaces.push({ linkType, snapLength: u32(bytes, body + 4, little), ticks, offsetUs })
  }

  #enhanced(bytes: Buffer, body: number, end: number, fileOffset: number, handler: PacketHandler): void {
    const little = this.#little
    const known = this.#interfaces[u32(bytes, body, little)]
    if (known === undefined) throw broken(this.#name, fileOffset, 'packet of an interface that was not described')
    this.#time(known, u32(bytes, body + 4, little), u32(bytes, body + 8, little))
    this.#deliver(body + 20, u32(bytes, body + 12, little), u32(bytes, body + 16, little), end, known, handler)
  }

  #old(bytes: Buffer, body: number, end: number, fileOffset: number, handler: PacketHandler): void {
    const little = this.#little
    const known = this.#interfaces[u16(bytes, body, little)]
    if (known === undefined) throw broken(this.#name, fileOffset, 'packet of an interface that was not described')
    this.#time(known, u32(bytes, body + 4, little), u32(bytes, body + 8, little))
    this.#deliver(body + 20, u32(bytes, body + 12, little), u32(bytes, body + 16, little), end, known, handler)
  }

  /** Simple packets carry no time: they keep that of the packet before. */
  #simple(bytes: Buffer, body: number, end: number, handler: PacketHandler): void {
    const known = this.#interfaces[0]
    if (known === undefined) return
    const wireLength = u32(bytes, body, this.#little)
    const limit = known.snapLength === 0 ? wireLength : Math.min(wireLength, known.snapLength)
    this.#deliver(body + 4, Math.min(limit, end - body - 4), wireLength, end, known, handler)
  }

  #deliver(start: number, captured: number, wire: number, end: number, known: Interface, handler: PacketHandler): void {
    const packet = this.#packet
    packet.start = start
    packet.end = Math.min(start + captured, end)
    packet.wireLength = Math.max(packet.end - start, wire)
    packet.linkType = known.linkType
    handler(packet)
  }

  #time(known: Interface, high: number, low: number): void {
    const packet = this.#packet
    packet.timeRestNs = 0
    if (known.ticks === 1_000_000n) {
      packet.timeUs = high * 4_294_967_296 + low + known.offsetUs
    } else if (known.ticks === 1_000_000_000n) {
      // 2^32 = 4294967 * 1000 + 296: divides by 1000 without leaving the exact range of a double.
      const rest = high * 296 + low
      const us = Math.floor(rest / 1000)
      packet.timeUs = high * 4_294_967 + us + known.offsetUs
      packet.timeRestNs = rest - us * 1000
    } else {
      const ns = (((BigInt(high) << 32n) | BigInt(low)) * 1_000_000_000n) / known.ticks
      packet.timeUs = Number(ns / 1000n) + known.offsetUs
      packet.timeRestNs = Number(ns % 1000n)
    }
  }
}

function u32(bytes: Buffer, at: number, little: boolean): number {
  return little
    ? (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
    : ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}

function u16(bytes: Buffer, at: number, little: boolean): number {
  return little ? bytes[at] | (bytes[at + 1] << 8) : (bytes[at] << 8) | bytes[at + 1]
}
