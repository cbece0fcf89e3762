/** Sends to one partition: one batch under way at a time, in order; what comes meanwhile goes together in the next. */
import type { BusMessage } from '../../core/ports/bus.js'
import { messageBytesMax } from './record_batch.js'

/** Before compression; brokers take 1 MiB (`max.message.bytes`) by default. A larger single message goes alone. */
const BATCH_BYTES_MAX = 900_000

/** Sends one batch and answers the offset of its first message. */
export type SendBatch = (messages: readonly BusMessage[]) => Promise<bigint>

interface Waiting {
  readonly messages: readonly BusMessage[]
  /** Of the messages: how many are sent. */
  sent: number
  first: bigint | null
  resolve(offset: bigint): void
  reject(error: unknown): void
}

export class PartitionSender {
  readonly #sendBatch: SendBatch
  #waiting: Waiting[] = []
  #isSending = false

  constructor(sendBatch: SendBatch) {
    this.#sendBatch = sendBatch
  }

  /** Resolves when all are stored, with the offset of the first. */
  send(messages: readonly BusMessage[]): Promise<bigint> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ messages, sent: 0, first: null, resolve, reject })
      if (!this.#isSending) void this.#drain()
    })
  }

  async #drain(): Promise<void> {
    this.#isSending = true
    while (this.#waiting.length > 0) {
      const { batch, parts } = this.#nextBatch()
      try {
        const base = await this.#sendBatch(batch)
        let offset = base
        for (const { of, count } of parts) {
          of.first ??= offset
          offset += BigInt(count)
        }
      } catch (error) {
        // What was behind a batch that failed must not overtake it.
        for (const { reject } of this.#waiting.splice(0)) reject(error)
        break
      }
      while (this.#waiting.length > 0 && this.#waiting[0].sent === this.#waiting[0].messages.length) {
        const { resolve, first } = this.#waiting.shift()!
        resolve(first ?? -1n)
      }
    }
    this.#isSending = false
  }

  #nextBatch(): { batch: BusMessage[]; parts: { of: Waiting; count: number }[] } {
    const batch: BusMessage[] = []
    const parts: { of: Waiting; count: number }[] = []
    let left = BATCH_BYTES_MAX
    for (const of of this.#waiting) {
      const from = of.sent
      while (of.sent < of.messages.length) {
        const size = messageBytesMax(of.messages[of.sent])
        if (size > left && batch.length > 0) break
        left -= size
        batch.push(of.messages[of.sent++])
      }
      parts.push({ of, count: of.sent - from })
      if (of.sent < of.messages.length || left <= 0) break
    }
    return { batch, parts }
  }
}
