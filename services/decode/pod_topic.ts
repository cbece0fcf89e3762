/** Where a reader of klartext.pods is. It notices where the topic is not the one any more in which it began. */
import type { KlartextError } from '../core/errors.js'
import type { Bus, BusRecord } from '../core/ports/bus.js'
import { TOPICS } from '../core/topics.js'
import { markOf, type RecordMark } from '../core/wire/pod_snapshot.js'

/** What was read: from the topic's beginning to before `next`; `last` is the last record there. */
export interface PodTopicPlace {
  readonly start: bigint
  readonly next: bigint
  readonly last: RecordMark
}

export class PodTopic {
  readonly #bus: Bus
  /** The next offset to read; null where all is to be read. */
  #next: bigint | null = null
  #start: bigint | null = null
  #last: RecordMark | null = null
  #isOne = true

  constructor(bus: Bus) {
    this.#bus = bus
  }

  /** Nothing was read so far. */
  get isUnread(): boolean {
    return this.#next === null
  }

  /** Null before the first record, and for ever where records of more than one topic were read. */
  get place(): PodTopicPlace | null {
    const [start, next, last] = [this.#start, this.#next, this.#last]
    return !this.#isOne || start === null || next === null || last === null ? null : { start, next, last }
  }

  resume({ start, next, last }: PodTopicPlace): void {
    this.#start = start
    this.#next = next
    this.#last = last
  }

  /** All is read again. */
  rewind(): void {
    this.#next = null
    this.#last = null
  }

  /** Reads up to the end as it is now: what is new, or all. */
  async read(take: (records: readonly BusRecord[]) => void): Promise<void> {
    const end = await this.#bus.endOffset(TOPICS.pods, 0)
    // A topic that was made anew begins with other offsets.
    if (this.#next !== null && this.#next > end) this.#isAnother()
    if (this.#next === null) {
      const start = await this.#bus.startOffset(TOPICS.pods, 0)
      if (this.#start !== null && this.#start !== start) this.#isOne = false
      this.#start = start
      this.#next = start
    }
    if (this.#next === end) return
    let known = this.#last
    let newest: BusRecord | null = null
    try {
      for await (const records of this.#bus.read(TOPICS.pods, 0, known?.offset ?? this.#next, end)) {
        if (known !== null && !isSame(markOf(records[0]), known)) {
          this.#isAnother()
          return await this.read(take)
        }
        take(known === null ? records : records.slice(1))
        known = null
        newest = records[records.length - 1]
      }
    } catch (error) {
      if ((error as KlartextError).code === 'EXPIRED') this.#isAnother()
      throw error
    }
    this.#next = end
    if (newest !== null) this.#last = markOf(newest)
  }

  #isAnother(): void {
    this.#isOne = false
    this.rewind()
  }
}

export function isSame(one: RecordMark, other: RecordMark): boolean {
  return one.offset === other.offset && one.timestampMs === other.timestampMs && one.digest === other.digest
}
