/** Messages of one partition between the bus and the pipeline: in order, each as soon as it is known how to name its flows. */
import { KlartextError } from '../core/errors.js'
import type { BusRecord } from '../core/ports/bus.js'
import { decodeSegmentBatch, type SegmentBatch } from '../core/wire/segment_batch.js'
import { knownUsOf, type Names } from './names.js'

export interface Message {
  readonly record: BusRecord
  /** Null where it cannot be read, which `error` explains. */
  readonly batch: SegmentBatch | null
  readonly error: KlartextError | null
  /** Its flows are named by what was known of pods at that time, µs since 1970. */
  readonly knownUs: number
  readonly arrivedUs: number
}

export class Inbox {
  readonly #names: Names | null
  #messages: Message[] = []
  #bytes = 0
  /** Of the message taken last. */
  #takenKnownUs = Number.POSITIVE_INFINITY

  constructor(names: Names | null) {
    this.#names = names
  }

  /** Of the messages that wait. */
  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#messages.length
  }

  /** What was known earlier nobody here will ask for. */
  get neededUs(): number {
    return this.#messages.length > 0 ? this.#messages[0].knownUs : this.#takenKnownUs
  }

  add(record: BusRecord, nowUs: number): void {
    this.#messages.push(read(record, this.#names?.waitUs ?? 0, nowUs))
    this.#bytes += record.value.length
  }

  /** The next one, or null where it waits. */
  take(): Message | null {
    const [message] = this.#messages
    if (message === undefined || !this.#isReady(message)) return null
    this.#messages.shift()
    this.#bytes -= message.record.value.length
    this.#takenKnownUs = message.knownUs
    return message
  }

  #isReady({ batch, knownUs, arrivedUs }: Message): boolean {
    if (this.#names === null || batch === null) return true
    return this.#names.isReady(batch.cluster, knownUs, arrivedUs)
  }

  clear(): void {
    this.#messages = []
    this.#bytes = 0
  }
}

function read(record: BusRecord, waitUs: number, arrivedUs: number): Message {
  try {
    const batch = decodeSegmentBatch(record.value)
    return { record, batch, error: null, knownUs: knownUsOf(batch.segments, waitUs), arrivedUs }
  } catch (error) {
    if (!(error instanceof KlartextError)) throw error
    return { record, batch: null, error, knownUs: Number.POSITIVE_INFINITY, arrivedUs }
  }
}
