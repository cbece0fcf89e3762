/**
 * Kafka's record batch, format 2, as it is sent (documentation, "Record Batch" and "Record"):
 *
 *   batch  = baseOffset int64, length int32, leaderEpoch int32, magic int8 = 2, crc32c uint32, attributes int16,
 *            lastOffsetDelta int32, baseTimestamp int64, maxTimestamp int64, producerId int64, producerEpoch int16,
 *            baseSequence int32, count int32, records
 *   record = length varint, attributes int8, timestampDelta varlong, offsetDelta varint,
 *            keyLength varint, key, valueLength varint, value, headers: count varint, (keyLength, key, valueLength, value)*
 *
 * A length of -1 stands for null.
 */
import type { BusMessage } from '../../core/ports/bus.js'
import { Codec, compressLz4 } from './codecs.js'
import { crc32c } from './crc32c.js'

export const BATCH_HEAD_BYTES = 61
export const CRC_AT = 17
export const ATTRIBUTES_AT = 21
export const TRANSACTIONAL = 0x10
export const CONTROL = 0x20
/** Lengths, deltas and the count of headers of one record, at most. */
const RECORD_HEAD_BYTES_MAX = 5 + 1 + 10 + 5 + 5 + 5 + 5
const HEADER_HEAD_BYTES_MAX = 10
/** What is not worth the time of compressing it. */
const COMPRESS_BYTES_MIN = 512

export interface BatchIdentity {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly sequence: number
  readonly isTransactional: boolean
}

/** Upper bound of what a message takes in a batch. */
export function messageBytesMax(message: BusMessage): number {
  let size = RECORD_HEAD_BYTES_MAX + (message.key?.length ?? 0) + (message.value?.length ?? 0)
  for (const name in message.headers) {
    // UTF-8 takes at most three bytes for each of JavaScript's units.
    size += HEADER_HEAD_BYTES_MAX + 3 * (name.length + message.headers[name].length)
  }
  return size
}

export async function encodeBatch(
  messages: readonly BusMessage[],
  identity: BatchIdentity,
  compression: 'none' | 'lz4',
  nowMs: number,
): Promise<Buffer> {
  let size = BATCH_HEAD_BYTES
  let first = Number.POSITIVE_INFINITY
  let last = 0
  for (const message of messages) {
    size += messageBytesMax(message)
    const timestampMs = message.timestampMs ?? nowMs
    if (timestampMs < first) first = timestampMs
    if (timestampMs > last) last = timestampMs
  }
  let bytes: Buffer = Buffer.allocUnsafe(size)
  let at = BATCH_HEAD_BYTES
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i]
    at = writeRecord(bytes, at, message, i, (message.timestampMs ?? nowMs) - first)
  }
  let codec: number = Codec.none
  if (compression === 'lz4' && at - BATCH_HEAD_BYTES >= COMPRESS_BYTES_MIN) {
    const packed = await compressLz4(bytes.subarray(BATCH_HEAD_BYTES, at))
    if (packed.length < at - BATCH_HEAD_BYTES) {
      codec = Codec.lz4
      bytes = Buffer.concat([bytes.subarray(0, BATCH_HEAD_BYTES), packed])
      at = bytes.length
    }
  }
  bytes.writeBigInt64BE(0n, 0)
  bytes.writeInt32BE(at - 12, 8)
  bytes.writeInt32BE(-1, 12)
  bytes[16] = 2
  bytes.writeInt16BE(codec | (identity.isTransactional ? TRANSACTIONAL : 0), ATTRIBUTES_AT)
  bytes.writeInt32BE(messages.length - 1, 23)
  bytes.writeBigInt64BE(BigInt(first), 27)
  bytes.writeBigInt64BE(BigInt(last), 35)
  bytes.writeBigInt64BE(identity.producerId, 43)
  bytes.writeInt16BE(identity.producerEpoch, 51)
  bytes.writeInt32BE(identity.sequence, 53)
  bytes.writeInt32BE(messages.length, 57)
  bytes.writeUInt32BE(crc32c(bytes, ATTRIBUTES_AT, at), CRC_AT)
  return bytes.subarray(0, at)
}

/** Bytes that one record's body has after its length; the length comes first, so it is measured before it is written. */
function bodySize(message: BusMessage, offsetDelta: number, timestampDeltaMs: number): number {
  const { key, value, headers } = message
  let size = 1 + varintSize(timestampDeltaMs) + varintSize(offsetDelta)
  size += key === null ? 1 : varintSize(key.length) + key.length
  size += value === null ? 1 : varintSize(value.length) + value.length
  let count = 0
  for (const name in headers) {
    const nameSize = Buffer.byteLength(name)
    const textSize = Buffer.byteLength(headers[name])
    size += varintSize(nameSize) + nameSize + varintSize(textSize) + textSize
    count += 1
  }
  return size + varintSize(count)
}

function writeRecord(
  into: Buffer,
  start: number,
  message: BusMessage,
  delta: number,
  timestampDeltaMs: number,
): number {
  const { key, value, headers } = message
  let at = writeVarint(into, start, bodySize(message, delta, timestampDeltaMs))
  into[at++] = 0
  at = writeVarint(into, at, timestampDeltaMs)
  at = writeVarint(into, at, delta)
  if (key === null) at = writeVarint(into, at, -1)
  else {
    at = writeVarint(into, at, key.length)
    at += key.copy(into, at)
  }
  if (value === null) at = writeVarint(into, at, -1)
  else {
    at = writeVarint(into, at, value.length)
    at += value.copy(into, at)
  }
  const names = headers === undefined ? [] : Object.keys(headers)
  at = writeVarint(into, at, names.length)
  for (const name of names) {
    at = writeText(into, at, name)
    at = writeText(into, at, headers![name])
  }
  return at
}

function writeText(into: Buffer, at: number, text: string): number {
  const start = writeVarint(into, at, Buffer.byteLength(text))
  return start + into.write(text, start)
}

/** Zig-zag; whole numbers of up to 53 bits. */
function writeVarint(into: Buffer, start: number, value: number): number {
  let at = start
  if (value >= -(2 ** 30) && value < 2 ** 30) {
    let rest = (value << 1) ^ (value >> 31)
    while (rest > 0x7f) {
      into[at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    into[at++] = rest
    return at
  }
  let rest = value < 0 ? BigInt(value) * -2n - 1n : BigInt(value) * 2n
  while (rest > 0x7fn) {
    into[at++] = Number(rest & 0x7fn) | 0x80
    rest >>= 7n
  }
  into[at++] = Number(rest)
  return at
}

function varintSize(value: number): number {
  let rest = value < 0 ? -2 * value - 1 : 2 * value
  let size = 1
  while (rest > 0x7f) {
    rest = Math.floor(rest / 128)
    size += 1
  }
  return size
}
