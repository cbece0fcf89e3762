/** One partition: records in order, with Kafka's visibility for readers of committed records only. */
import type { BusMessage, BusRecord, RecordTime } from '../../core/ports/bus.js'

/** What a record counts for against the bounds, besides its bytes. */
const RECORD_OVERHEAD_BYTES = 100
/** Compacting looks at all that is kept: it is worth it once so much was added, and as much as was kept before. */
const COMPACT_BYTES_MIN = 1 << 20

export interface OpenTransaction {
  state: 'open' | 'committed' | 'aborted'
}

interface Entry {
  readonly offset: bigint
  /** null: the end of a transaction, which takes an offset too, as in Kafka. Whoever counts offsets to count records is wrong. */
  readonly record: BusRecord | null
  readonly bytes: number
  readonly deletes: boolean
  readonly transaction: OpenTransaction | null
}

export class PartitionLog {
  readonly topic: string
  readonly partition: number
  readonly #compact: boolean
  /** By offset; those before `#head` are freed in bulk. */
  #entries: Entry[] = []
  #head = 0
  #end = 0n
  #start = 0n
  #bytes = 0
  #untilCompactBytes = COMPACT_BYTES_MIN
  readonly #open = new Map<OpenTransaction, bigint>()
  /** Records that retention took away. */
  dropped = 0

  constructor(topic: string, partition: number, compact = false) {
    this.topic = topic
    this.partition = partition
    this.#compact = compact
  }

  get startOffset(): bigint {
    return this.#start
  }

  get endOffset(): bigint {
    return this.#end
  }

  /** Last stable offset: below it all transactions are decided. */
  get stableOffset(): bigint {
    let lowest = this.#end
    for (const first of this.#open.values()) if (first < lowest) lowest = first
    return lowest
  }

  get bytes(): number {
    return this.#bytes
  }

  get compacted(): boolean {
    return this.#compact
  }

  append(messages: readonly BusMessage[], transaction: OpenTransaction | null, nowMs: number): bigint {
    const first = this.#end
    const { topic, partition } = this
    if (transaction !== null && !this.#open.has(transaction)) this.#open.set(transaction, first)
    for (const { key, value, headers, timestampMs = nowMs } of messages) {
      const offset = this.#end
      const kept = { topic, partition, offset, key, value: value ?? NO_VALUE, timestampMs }
      const record: BusRecord = headers === undefined ? kept : { ...kept, headers }
      const bytes = record.value.length + (key?.length ?? 0) + RECORD_OVERHEAD_BYTES
      this.#entries.push({ offset, record, bytes, deletes: value === null, transaction })
      this.#bytes += bytes
      this.#untilCompactBytes -= bytes
      this.#end = offset + 1n
    }
    return first
  }

  /** The transaction was decided; its end takes one offset of this partition. */
  end(transaction: OpenTransaction): void {
    const first = this.#open.get(transaction)
    if (first === undefined) return
    this.#open.delete(transaction)
    if (transaction.state === 'aborted') this.#forget(transaction, first)
    this.#entries.push({ offset: this.#end, record: null, bytes: 0, deletes: false, transaction: null })
    this.#end += 1n
    if (this.#compact && this.#untilCompactBytes <= 0) this.#compactNow()
  }

  /** Records of an aborted transaction take no memory: nobody will ever read them. */
  #forget(transaction: OpenTransaction, first: bigint): void {
    for (let i = this.#find(first); i < this.#entries.length; i++) {
      const entry = this.#entries[i]
      if (entry.transaction !== transaction) continue
      this.#bytes -= entry.bytes
      this.#entries[i] = { ...FREED, offset: entry.offset }
    }
  }

  /**
   * Committed records from `from` on, at most `maxBytes` of values but one in any case, and the offset to go on from:
   * behind aborted records and ends of transactions, which are never answered.
   */
  read(from: bigint, maxBytes: number, into: BusRecord[]): { next: bigint; bytes: number } {
    const stable = this.stableOffset
    let next = from < this.#start ? this.#start : from
    let bytes = 0
    for (let i = this.#find(next); i < this.#entries.length; i++) {
      const { offset, record } = this.#entries[i]
      if (offset >= stable) break
      if (record !== null) {
        const size = record.value.length
        if (bytes > 0 && bytes + size > maxBytes) return { next, bytes }
        bytes += size
        into.push(record)
      }
      next = offset + 1n
      if (bytes >= maxBytes) return { next, bytes }
    }
    // All below the last stable offset was looked at: ends of transactions and aborted records are passed too.
    if (next < stable) next = stable
    return { next, bytes }
  }

  /** The first committed record that carries this time or a later one. */
  at(timestampMs: number): RecordTime | null {
    const stable = this.stableOffset
    for (let i = this.#head; i < this.#entries.length && this.#entries[i].offset < stable; i++) {
      const { record, offset } = this.#entries[i]
      if (record?.timestampMs !== undefined && record.timestampMs >= timestampMs) {
        return { offset, timestampMs: record.timestampMs }
      }
    }
    return null
  }

  /** Index of the first entry at or behind an offset. */
  #find(offset: bigint): number {
    let low = this.#head
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#entries[middle].offset < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Frees the oldest records until `bytesMax` is kept, but none at or above `limit` and none of an open transaction. */
  trim(bytesMax: number, limit: bigint, isLoss: boolean): void {
    const stable = this.stableOffset
    const until = limit < stable ? limit : stable
    while (this.#head < this.#entries.length && (this.#bytes > bytesMax || bytesMax === 0)) {
      const { offset, record, bytes } = this.#entries[this.#head]
      if (offset >= until) break
      this.#bytes -= bytes
      if (isLoss && record !== null) this.dropped += 1
      this.#start = offset + 1n
      this.#entries[this.#head++] = FREED
    }
    if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }

  /** Of each key only its newest committed record stays, and none where that deletes the key. */
  #compactNow(): void {
    const stable = this.stableOffset
    const newest = new Map<string, Entry>()
    const old = this.#entries.slice(this.#head)
    for (const entry of old) {
      const { offset, record } = entry
      if (offset >= stable || record === null || record.key === null) continue
      newest.set(record.key.toString('latin1'), entry)
    }
    this.#entries = old.filter((entry) => {
      if (entry.offset >= stable) return true
      const key = entry.record?.key ?? null
      return key !== null && !entry.deletes && newest.get(key.toString('latin1')) === entry
    })
    this.#head = 0
    this.#bytes = this.#entries.reduce((sum, entry) => sum + entry.bytes, 0)
    this.#untilCompactBytes = Math.max(COMPACT_BYTES_MIN, this.#bytes)
  }
}

const NO_VALUE: Buffer = Buffer.alloc(0)
const FREED: Entry = { offset: -1n, record: null, bytes: 0, deletes: false, transaction: null }
