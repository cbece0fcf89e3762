/**
 * The hand-written reader and writer of schemas/avro/segment_batch.avsc. Segments pass here twice per exchange, so 64-bit
 * times and ids become BigInt once per batch or connection only; avsc is the judge in the test beside.
 */
import { addressToBytes, addressToText } from '../address.js'
import { NewerSchemaError } from '../errors.js'
import { type CaptureSide, ConnectionInfo, type Direction, Segment, type Transport } from '../segment.js'
import { AvroInput, AvroOutput } from './avro.js'

/** What is written. Version 1 was without `pod_uid` and is still read: archives last. */
export const SEGMENT_FORMAT_VERSION = 2
const WITHOUT_POD = 1

const TRANSPORTS: readonly Transport[] = ['tcp', 'udp', 'unix']
const SIDES: readonly CaptureSide[] = ['unknown', 'client', 'server']
/** Up to here, 52 days, times in ns against the first of the batch are exact as numbers. Merged captures span years. */
const EXACT_NS = 2 ** 52
const EXACT_US = 2 ** 42
/** Beside its payload, an encoded segment has about so much; connections are not many. */
const SEGMENT_BYTES_GUESS = 24
const CONNECTION_BYTES_GUESS = 200

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

/**
 * Throws KlartextError `BAD_SEGMENT_BATCH` naming the offset: for what is cut, for values the schema or a segment cannot
 * have, for bytes behind the batch, for what is no format version; NewerSchemaError for one that is to come. Payloads are
 * views of `bytes`.
 */
export function decodeSegmentBatch(bytes: Buffer): SegmentBatch {
  const input = new AvroInput(bytes, 'segment batch', 'BAD_SEGMENT_BATCH')
  const batch = readSegmentBatch(input)
  if (input.remaining > 0) throw input.bad(`${input.remaining} bytes behind the batch`)
  return batch
}

/** Reads one of several batches that follow each other. */
export function readSegmentBatch(input: AvroInput): SegmentBatch {
  const version = input.long()
  if (version !== SEGMENT_FORMAT_VERSION && version !== WITHOUT_POD) {
    NewerSchemaError.check('a segment batch has format version', version, SEGMENT_FORMAT_VERSION)
    throw input.bad(`format version ${version}, this reader knows 1 to ${SEGMENT_FORMAT_VERSION}`)
  }
  const hasPod = version !== WITHOUT_POD
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
    for (let i = 0; i < count; i++) connections.push(readConnection(input, cluster, node, hasPod))
  }
  const segments: Segment[] = []
  for (let count = input.blockCount(); count > 0; count = input.blockCount()) {
    for (let i = 0; i < count; i++) {
      const connection = connections[input.long()]
      if (connection === undefined) throw input.bad('a segment names no connection of its batch')
      const direction = input.symbol(2, 'direction') as Direction
      const position = input.count('position')
      const length = input.count('length')
      const timeAt = input.position
      const offsetNs = input.long()
      let us: number
      let restNs: number
      if (offsetNs < EXACT_NS && offsetNs > -EXACT_NS) {
        const ns = baseRestNs + offsetNs
        us = Math.floor(ns / 1000)
        restNs = ns - us * 1000
      } else {
        input.position = timeAt
        const ns = BigInt(baseRestNs) + input.bigLong()
        restNs = Number(((ns % 1000n) + 1000n) % 1000n)
        us = Number((ns - BigInt(restNs)) / 1000n)
      }
      const flags = input.long()
      const payload = input.bytes()
      if (payload.length > length) throw input.bad(`${payload.length} bytes of payload in a segment of ${length}`)
      segments.push(new Segment(connection, direction, position, length, payload, baseUs + us, restNs, flags))
    }
  }
  return { cluster, node, bootId, capturerVersion, sequence, segments }
}

function readConnection(input: AvroInput, cluster: string, node: string, hasPod: boolean): ConnectionInfo {
  const info = new ConnectionInfo(input.fixed(8).readBigUInt64BE())
  info.transport = TRANSPORTS[input.symbol(TRANSPORTS.length, 'transport')]
  info.side = SIDES[input.symbol(SIDES.length, 'side')]
  info.source = input.text()
  info.clientIp = addressToText(input.bytes())
  info.clientPort = input.count('port')
  info.serverIp = addressToText(input.bytes())
  info.serverPort = input.count('port')
  info.pid = input.long()
  info.processStartNs = input.bigLong()
  info.comm = input.text()
  info.cgroupId = input.bigLong()
  info.containerId = input.text()
  info.tlsVersion = input.text()
  if (hasPod) info.podUid = input.text()
  info.cluster = cluster
  info.node = node
  return info
}

/** Collects segments into one batch; `finish` gives the bytes and starts the next one. */
export class SegmentBatchWriter {
  readonly #header: SegmentBatchHeader
  #sequence: number
  /** Number of each connection in the batch. */
  #connections = new Map<ConnectionInfo, number>()
  #segments: Segment[] = []
  #numbers: number[] = []
  #payloadBytes = 0

  constructor(header: SegmentBatchHeader) {
    this.#header = header
    this.#sequence = header.sequence
  }

  add(segment: Segment): void {
    let number = this.#connections.get(segment.connection)
    if (number === undefined) {
      number = this.#connections.size
      this.#connections.set(segment.connection, number)
    }
    this.#segments.push(segment)
    this.#numbers.push(number)
    this.#payloadBytes += segment.payload.length
  }

  get segmentCount(): number {
    return this.#segments.length
  }

  get payloadBytes(): number {
    return this.#payloadBytes
  }

  finish(): Buffer {
    const segments = this.#segments
    const guess = SEGMENT_BYTES_GUESS * segments.length + CONNECTION_BYTES_GUESS * (1 + this.#connections.size)
    const out = new AvroOutput(this.#payloadBytes + guess)
    const baseUs = segments.length > 0 ? segments[0].timeUs : 0
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
    if (segments.length > 0) out.long(segments.length)
    for (let i = 0; i < segments.length; i++) {
      const segment = segments[i]
      out.long(this.#numbers[i])
      out.long(segment.direction)
      out.long(segment.position)
      out.long(segment.length)
      const offsetUs = segment.timeUs - baseUs
      if (offsetUs < EXACT_US && offsetUs > -EXACT_US) out.long(offsetUs * 1000 + segment.timeRestNs)
      else out.bigLong(BigInt(offsetUs) * 1000n + BigInt(segment.timeRestNs))
      out.long(segment.flags)
      out.bytes(segment.payload)
    }
    out.long(0)
    this.#sequence += 1
    this.#connections = new Map()
    this.#segments = []
    this.#numbers = []
    this.#payloadBytes = 0
    return out.finish()
  }
}

function writeConnection(out: AvroOutput, info: ConnectionInfo): void {
  const id = Buffer.allocUnsafe(8)
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
  out.text(info.podUid)
}
