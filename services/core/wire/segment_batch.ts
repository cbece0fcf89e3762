/**
 * The hand-written reader and writer of schemas/avro/segment_batch.avsc. Segments pass here twice per exchange, so 64-bit
 * times and ids become BigInt once per batch or connection only; avsc is the judge in the test beside.
 * Encoding: Apache Avro 1.11 specification, "Binary Encoding".
 */
import { addressToBytes, addressToText } from '../address.js'
import { KlartextError } from '../errors.js'
import { type CaptureSide, ConnectionInfo, type Direction, Segment, type Transport } from '../segment.js'

export const SEGMENT_FORMAT_VERSION = 1

/** More segments or connections than this in one block are a broken length, not a batch. */
const ITEMS_MAX = 1 << 20

const TRANSPORTS: readonly Transport[] = ['tcp', 'udp', 'unix']
const SIDES: readonly CaptureSide[] = ['unknown', 'client', 'server']

export interface SegmentBatchHeader {
  readonly cluster: string
  readonly node: string
  readonly bootId: string
  readonly capturerVersion: string
  readonly sequence: number
}

export interface SegmentBatch extends SegmentBatchHeader {
  readonly segments: Segment[]
}

/** Throws KlartextError `BAD_SEGMENT_BATCH` naming the offset; payloads are views of `bytes`. */
export function decodeSegmentBatch(bytes: Buffer): SegmentBatch {
  const input = new AvroInput(bytes)
  const version = input.long()
  if (version !== SEGMENT_FORMAT_VERSION) {
    throw new KlartextError('BAD_SEGMENT_BATCH', `segment batch has format version ${version}, this reader knows 1`)
  }
  const cluster = input.text()
  const node = input.text()
  const bootId = input.text()
  const capturerVersion = input.text()
  const sequence = input.long()
  const baseNs = input.bigLong()
  let baseUs = Number(baseNs / 1000n)
  let baseRestNs = Number(baseNs % 1000n)
  if (baseRestNs < 0) {
    baseRestNs += 1000
    baseUs -= 1
  }

  const connections: ConnectionInfo[] = []
  for (let count = input.blockCount(); count > 0; count = input.blockCount()) {
    for (let i = 0; i < count; i++) connections.push(readConnection(input, cluster, node))
  }
  const segments: Segment[] = []
  for (let count = input.blockCount(); count > 0; count = input.blockCount()) {
    for (let i = 0; i < count; i++) {
      const connection = connections[input.long()]
      if (connection === undefined) throw input.bad('a segment names no connection of its batch')
      const direction = input.long()
      if (direction !== 0 && direction !== 1) throw input.bad('a segment has no direction')
      const position = input.long()
      const length = input.long()
      const ns = baseRestNs + input.long()
      const flags = input.long()
      const payload = input.bytes()
      const us = Math.floor(ns / 1000)
      segments.push(
        new Segment(connection, direction as Direction, position, length, payload, baseUs + us, ns - us * 1000, flags),
      )
    }
  }
  return { cluster, node, bootId, capturerVersion, sequence, segments }
}

function readConnection(input: AvroInput, cluster: string, node: string): ConnectionInfo {
  const info = new ConnectionInfo(input.fixed(8).readBigUInt64BE())
  info.transport = TRANSPORTS[input.long()] ?? 'tcp'
  info.side = SIDES[input.long()] ?? 'unknown'
  info.source = input.text()
  info.clientIp = addressToText(input.bytes())
  info.clientPort = input.long()
  info.serverIp = addressToText(input.bytes())
  info.serverPort = input.long()
  info.pid = input.long()
  info.processStartNs = input.bigLong()
  info.comm = input.text()
  info.cgroupId = input.bigLong()
  info.containerId = input.text()
  info.tlsVersion = input.text()
  info.cluster = cluster
  info.node = node
  return info
}

class AvroInput {
  readonly #bytes: Buffer
  #pos = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  bad(what: string): KlartextError {
    return new KlartextError('BAD_SEGMENT_BATCH', `segment batch, byte ${this.#pos} of ${this.#bytes.length}: ${what}`)
  }

  /** Zig-zag varint, exact below 2^53. */
  long(): number {
    const bytes = this.#bytes
    let value = 0
    let scale = 1
    for (let i = 0; i < 10; i++) {
      if (this.#pos >= bytes.length) throw this.bad('ends inside a number')
      const byte = bytes[this.#pos++]
      if (i < 4) value |= (byte & 0x7f) << (7 * i)
      else value += (byte & 0x7f) * scale
      scale *= 128
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    throw this.bad('number of more than 64 bits')
  }

  bigLong(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.#pos >= this.#bytes.length) throw this.bad('ends inside a number')
      const byte = this.#bytes[this.#pos++]
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n))
    }
    throw this.bad('number of more than 64 bits')
  }

  fixed(size: number): Buffer {
    const from = this.#pos
    if (size < 0 || from + size > this.#bytes.length) throw this.bad(`ends inside a field of ${size} bytes`)
    this.#pos = from + size
    return this.#bytes.subarray(from, from + size)
  }

  bytes(): Buffer {
    return this.fixed(this.long())
  }

  text(): string {
    return this.bytes().toString('utf8')
  }

  /** Items in the next block of an array; 0 = end. A negative count is followed by the block's size (Avro "Arrays"). */
  blockCount(): number {
    let count = this.long()
    if (count < 0) {
      count = -count
      this.long()
    }
    if (count > ITEMS_MAX) throw this.bad(`block of ${count} items`)
    return count
  }
}

/** Collects segments into one batch; `finish` gives the bytes and starts the next one. */
export class SegmentBatchWriter {
  readonly #header: SegmentBatchHeader
  #sequence: number
  #connections = new Map<ConnectionInfo, number>()
  #segments: Segment[] = []
  #payloadBytes = 0

  constructor(header: SegmentBatchHeader) {
    this.#header = header
    this.#sequence = header.sequence
  }

  add(segment: Segment): void {
    if (!this.#connections.has(segment.connection)) {
      this.#connections.set(segment.connection, this.#connections.size)
    }
    this.#segments.push(segment)
    this.#payloadBytes += segment.payload.length
  }

  get segmentCount(): number {
    return this.#segments.length
  }

  get payloadBytes(): number {
    return this.#payloadBytes
  }

  finish(): Buffer {
    const out = new AvroOutput(this.#payloadBytes + 64 * this.#segments.length + 256)
    const baseUs = this.#segments.length > 0 ? this.#segments[0].timeUs : 0
    out.long(SEGMENT_FORMAT_VERSION)
    out.text(this.#header.cluster)
    out.text(this.#header.node)
    out.text(this.#header.bootId)
    out.text(this.#header.capturerVersion)
    out.long(this.#sequence)
    out.bigLong(BigInt(baseUs) * 1000n)
    if (this.#connections.size > 0) out.long(this.#connections.size)
    for (const info of this.#connections.keys()) writeConnection(out, info)
    out.long(0)
    if (this.#segments.length > 0) out.long(this.#segments.length)
    for (const segment of this.#segments) {
      out.long(this.#connections.get(segment.connection) as number)
      out.long(segment.direction)
      out.long(segment.position)
      out.long(segment.length)
      out.long((segment.timeUs - baseUs) * 1000 + segment.timeRestNs)
      out.long(segment.flags)
      out.bytes(segment.payload)
    }
    out.long(0)
    this.#sequence += 1
    this.#connections = new Map()
    this.#segments = []
    this.#payloadBytes = 0
    return out.finish()
  }
}

function writeConnection(out: AvroOutput, info: ConnectionInfo): void {
  const id = Buffer.alloc(8)
  id.writeBigUInt64BE(info.id)
  out.raw(id)
  out.long(TRANSPORTS.indexOf(info.transport))
  out.long(SIDES.indexOf(info.side))
  out.text(info.source)
  out.bytes(addressToBytes(info.clientIp))
  out.long(info.clientPort)
  out.bytes(addressToBytes(info.serverIp))
  out.long(info.serverPort)
  out.long(info.pid)
  out.bigLong(info.processStartNs)
  out.text(info.comm)
  out.bigLong(info.cgroupId)
  out.text(info.containerId)
  out.text(info.tlsVersion)
}

class AvroOutput {
  #bytes: Buffer
  #size = 0

  constructor(sizeGuess: number) {
    this.#bytes = Buffer.allocUnsafe(sizeGuess)
  }

  #reserve(size: number): number {
    const at = this.#size
    if (at + size > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, at + size))
      this.#bytes.copy(grown, 0, 0, at)
      this.#bytes = grown
    }
    this.#size = at + size
    return at
  }

  /** Any safe integer. */
  long(value: number): void {
    let rest = value >= 0 ? value * 2 : -value * 2 - 1
    let at = this.#reserve(10)
    const bytes = this.#bytes
    while (rest >= 0x80) {
      bytes[at++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    bytes[at++] = rest
    this.#size = at
  }

  bigLong(value: bigint): void {
    let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
    const at = this.#reserve(10)
    let end = at
    while (rest >= 0x80n) {
      this.#bytes[end++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#bytes[end++] = Number(rest)
    this.#size = end
  }

  raw(value: Uint8Array): void {
    const at = this.#reserve(value.length)
    this.#bytes.set(value, at)
  }

  bytes(value: Uint8Array): void {
    this.long(value.length)
    this.raw(value)
  }

  text(value: string): void {
    const size = Buffer.byteLength(value)
    this.long(size)
    const at = this.#reserve(size)
    this.#bytes.write(value, at, 'utf8')
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#size)
  }
}
