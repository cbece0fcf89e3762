/** One partition: records in order, with Kafka's visibility for readers of committed records only. */
import type { BusMessage, BusRecord } from '../../core/ports/bus.js'

/** What a record counts for against the bounds, besides its bytes. */
const RECORD_OVERHEAD_BYTES = 100

export interface OpenTransaction {
  state: 'open' | 'committed' | 'aborted'
}

interface Entry {
  readonly record: BusRecord
  readonly bytes: number
  readonly transaction: OpenTransaction | null
}

export class PartitionLog {
  readonly topic: string
  readonly partition: number
  /** Ends of transactions take an offset too, as in Kafka: whoever counts offsets to count records is wrong there. */
  #entries: (Entry | null)[] = []
  /** Index of the first entry that is kept; entries before it are freed in bulk. */
  #head = 0
  /** Offset of entry 0. */
  #base = 0n
  #bytes = 0
  readonly #open = new Map<OpenTransaction, bigint>()
  /** Records that retention took away. */
  dropped = 0

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get startOffset(): bigint {
    return this.#base + BigInt(this.#head)
  }

  get endOffset(): bigint {
    return this.#base + BigInt(this.#entries.length)
  }

  /** Last stable offset: below it all transactions are decided. */
  get stableOffset(): bigint {
    let lowest = this.endOffset
    for (const first of this.#open.values()) if (first < lowest) lowest = first
    return lowest
  }

  get bytes(): number {
    return this.#bytes
  }

  append(messages: readonly BusMessage[], transaction: OpenTransaction | null, nowMs: number): bigint {
    const first = this.endOffset
    if (transaction !== null && !this.#open.has(transaction)) this.#open.set(transaction, first)
    for (const message of messages) {
      const { topic, partition } = this
      const record: BusRecord = {
        ...message,
        timestampMs: message.timestampMs ?? nowMs,
        topic,
        partition,
        offset: this.endOffset,
      }
      const bytes = message.value.length + (message.key?.length ?? 0) + RECORD_OVERHEAD_BYTES
      this.#entries.push({ record, bytes, transaction })
      this.#bytes += bytes
    }
    return first
  }

  /** The transaction was decided; its end takes one offset of this partition. */
  end(transaction: OpenTransaction): void {
    if (this.#open.delete(transaction)) this.#entries.push(null)
  }

  /**
   * Committed records from `from` on, at most `maxBytes` of values but one in any case, and the offset to go on from:
   * behind aborted records and ends of transactions, which are never answered.
   */
  read(from: bigint, maxBytes: number, into: BusRecord[]): { next: bigint; bytes: number } {
    let offset = from < this.startOffset ? this.startOffset : from
    const stable = this.stableOffset
    let bytes = 0
    for (; offset < stable; offset++) {
      const entry = this.#entries[Number(offset - this.#base)]
      if (entry === null || entry.transaction?.state === 'aborted') continue
      const size = entry.record.value.length
      if (bytes > 0 && bytes + size > maxBytes) break
      bytes += size
      into.push(entry.record)
      if (bytes >= maxBytes) {
        offset += 1n
        break
      }
    }
    return { next: offset, bytes }
  }

  /** Frees the oldest records until `bytesMax` is kept, but none at or above `limit` and none of an open transaction. */
  trim(bytesMax: number, limit: bigint, isLoss: boolean): void {
    const stable = this.stableOffset
    const until = limit < stable ? limit : stable
    while (this.#bytes > bytesMax && this.startOffset < until) {
      const entry = this.#entries[this.#head]
      if (entry !== null) {
        this.#bytes -= entry.bytes
        if (isLoss && entry.transaction?.state !== 'aborted') this.dropped += 1
      }
      this.#entries[this.#head++] = null
    }
    if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#base += BigInt(this.#head)
      this.#head = 0
    }
  }
}
