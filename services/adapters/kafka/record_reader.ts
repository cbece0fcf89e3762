/** Reads what a Fetch answers of one partition: record batches, of which the last may be cut off. */
import { KlartextError } from '../../core/errors.js'
import type { BusRecord } from '../../core/ports/bus.js'
import { decompress } from './codecs.js'
import { crc32c } from './crc32c.js'
import { ATTRIBUTES_AT, BATCH_HEAD_BYTES, CONTROL, CRC_AT, TRANSACTIONAL } from './record_batch.js'

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

const CODEC_MASK = 0x07
const APPEND_TIME = 0x08
/** Type in the key of the record that ends a transaction: version int16, type int16. */
const ABORT_MARKER = 0

/** Records in order, without those of aborted transactions and without what ends transactions. */
export class RecordReader {
  readonly #bytes: Buffer
  readonly #topic: string
  readonly #partition: number
  /** By first offset, not yet reached. */
  readonly #aborted: AbortedTransaction[]
  readonly #abortedProducers = new Set<bigint>()
  #at = 0
  /** Of the batch that is being read. */
  #records: Buffer = Buffer.alloc(0)
  #recordAt = 0
  #recordsLeft = 0
  #baseOffset = 0n
  #baseTimestampMs = 0
  #appendTimeMs: number | null = null
  /** Offset of the next record to answer. */
  position: bigint

  constructor(topic: string, partition: number, bytes: Buffer, from: bigint, aborted: readonly AbortedTransaction[]) {
    this.#topic = topic
    this.#partition = partition
    this.#bytes = bytes
    this.position = from
    this.#aborted = [...aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  }

  /** Where the last whole batch ends: the next fetch begins there. Null where there is none. */
  static end(bytes: Buffer): bigint | null {
    let end: bigint | null = null
    for (let at = 0; at + BATCH_HEAD_BYTES <= bytes.length; ) {
      const next = at + 12 + bytes.readInt32BE(at + 8)
      if (next > bytes.length || next <= at) break
      end = bytes.readBigInt64BE(at) + BigInt(bytes.readInt32BE(at + 23)) + 1n
      at = next
    }
    return end
  }

  /** The next record, or null at the end. Throws `BAD_BATCH`. */
  next(): BusRecord | null {
    for (;;) {
      while (this.#recordsLeft > 0) {
        const record = this.#record()
        if (record.offset >= this.position) {
          this.position = record.offset + 1n
          return record
        }
      }
      if (!this.#nextBatch()) return null
    }
  }

  /** True where records are left or the batch is skipped, false at the end. */
  #nextBatch(): boolean {
    const bytes = this.#bytes
    const at = this.#at
    if (at + BATCH_HEAD_BYTES > bytes.length) return false
    const next = at + 12 + bytes.readInt32BE(at + 8)
    if (next > bytes.length) return false
    if (next < at + BATCH_HEAD_BYTES || bytes[at + 16] !== 2) throw this.#bad(`format ${bytes[at + 16]} is not known`)
    if (bytes.readUInt32BE(at + CRC_AT) !== crc32c(bytes, at + ATTRIBUTES_AT, next)) throw this.#bad('wrong checksum')
    this.#at = next
    const baseOffset = bytes.readBigInt64BE(at)
    const lastOffset = baseOffset + BigInt(bytes.readInt32BE(at + 23))
    if (lastOffset < this.position) return true
    const attributes = bytes.readInt16BE(at + ATTRIBUTES_AT)
    const producerId = bytes.readBigInt64BE(at + 43)
    while (this.#aborted.length > 0 && this.#aborted[0].firstOffset <= lastOffset) {
      this.#abortedProducers.add(this.#aborted.shift()!.producerId)
    }
    const count = bytes.readInt32BE(at + 57)
    const body = bytes.subarray(at + BATCH_HEAD_BYTES, next)
    const isAborted = (attributes & TRANSACTIONAL) !== 0 && this.#abortedProducers.has(producerId)
    if ((attributes & CONTROL) !== 0 || isAborted || count === 0) {
      if ((attributes & CONTROL) !== 0 && count > 0 && controlType(body) === ABORT_MARKER) {
        this.#abortedProducers.delete(producerId)
      }
      this.position = lastOffset + 1n
      return true
    }
    this.#records = decompress(attributes & CODEC_MASK, body)
    this.#recordAt = 0
    this.#recordsLeft = count
    this.#baseOffset = baseOffset
    this.#baseTimestampMs = Number(bytes.readBigInt64BE(at + 27))
    this.#appendTimeMs = (attributes & APPEND_TIME) !== 0 ? Number(bytes.readBigInt64BE(at + 35)) : null
    return true
  }

  #record(): BusRecord {
    this.#recordsLeft -= 1
    const length = this.#varint()
    const end = this.#recordAt + length
    if (length < 0 || end > this.#records.length) throw this.#bad('a record ends outside its batch')
    this.#recordAt += 1
    const timestampMs = this.#appendTimeMs ?? this.#baseTimestampMs + this.#varint()
    if (this.#appendTimeMs !== null) this.#varint()
    const offset = this.#baseOffset + BigInt(this.#varint())
    const key = this.#bytesOf(end)
    const value = this.#bytesOf(end) ?? EMPTY
    const headers = this.#headers(end)
    this.#recordAt = end
    return { topic: this.#topic, partition: this.#partition, offset, timestampMs, key, value, headers }
  }

  #headers(end: number): Readonly<Record<string, string>> {
    const count = this.#varint()
    if (count === 0) return NO_HEADERS
    const headers: Record<string, string> = Object.create(null)
    for (let i = 0; i < count; i++) {
      const name = this.#bytesOf(end)?.toString() ?? ''
      headers[name] = this.#bytesOf(end)?.toString() ?? ''
    }
    return headers
  }

  #bytesOf(end: number): Buffer | null {
    const length = this.#varint()
    if (length < 0) return null
    const start = this.#recordAt
    if (start + length > end) throw this.#bad('a field ends outside its record')
    this.#recordAt = start + length
    return this.#records.subarray(start, start + length)
  }

  /** Zig-zag, up to 53 bits exact. */
  #varint(): number {
    const bytes = this.#records
    let value = 0
    let scale = 1
    for (let i = 0; i < 10; i++) {
      const byte = bytes[this.#recordAt++]
      if (byte === undefined) throw this.#bad('a record ends in a number')
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      scale *= 128
    }
    throw this.#bad('a number has more than ten bytes')
  }

  #bad(what: string): KlartextError {
    return new KlartextError('BAD_BATCH', `${this.#topic}/${this.#partition} near offset ${this.position}: ${what}`)
  }
}

const EMPTY = Buffer.alloc(0)
const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

/** The record of a control batch: length, attributes, two deltas (one byte each, being zero), key length, key. */
function controlType(body: Buffer): number {
  return body.length >= 9 ? body.readInt16BE(7) : -1
}
