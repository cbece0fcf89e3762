/** klartext.segments as a log to replay from: read partition by partition, outside of any group, so that nobody live notices. */
import type { Bus, BusRecord } from '../core/ports/bus.js'
import type { LogPiece, SegmentLog } from '../core/ports/segment_log.js'
import type { ReplayPart } from '../core/replay.js'
import { TOPICS } from '../core/topics.js'

export class BusSegmentLog implements SegmentLog {
  readonly isBus = true
  readonly #bus: Bus

  constructor(bus: Bus) {
    this.#bus = bus
  }

  /**
   * By the time messages were sent: segments are captured before that, so that none lies further ahead. What is sent after
   * `untilUs`, however late, is not looked for; who reads the result is told so.
   */
  async parts(fromUs: number, untilUs: number): Promise<ReplayPart[]> {
    const parts: ReplayPart[] = []
    const partitions = await this.#bus.partitions(TOPICS.segments)
    for (let part = 0; part < partitions; part++) {
      const end = await this.#bus.endOffset(TOPICS.segments, part)
      const first = await this.#bus.offsetAt(TOPICS.segments, part, fromUs / 1000)
      if (first === null || first.offset >= end) continue
      const behind = await this.#bus.offsetAt(TOPICS.segments, part, untilUs / 1000)
      const stop = behind === null || behind.offset > end ? end : behind.offset
      if (stop <= first.offset) continue
      const lostBeforeUs = await this.#lostBefore(part, first.offset, first.timestampMs, fromUs)
      parts.push({ part, start: Number(first.offset), stop: Number(stop), endsForGood: false, lostBeforeUs })
    }
    return parts
  }

  /** Where what was asked for begins with the oldest record that is kept, and there were older ones. */
  async #lostBefore(part: number, first: bigint, timestampMs: number, fromUs: number): Promise<number> {
    const start = await this.#bus.startOffset(TOPICS.segments, part)
    return start > 0n && first <= start && timestampMs * 1000 > fromUs ? timestampMs * 1000 : 0
  }

  async kept(part: ReplayPart): Promise<ReplayPart> {
    const start = Number(await this.#bus.startOffset(TOPICS.segments, part.part))
    if (start <= part.start) return part
    const oldest = await this.#bus.offsetAt(TOPICS.segments, part.part, 0)
    const lostBeforeUs = oldest === null ? Number.MAX_SAFE_INTEGER : oldest.timestampMs * 1000
    return { ...part, start: Math.min(start, part.stop), lostBeforeUs }
  }

  async *read({ part, stop }: ReplayPart, from: number): AsyncGenerator<readonly LogPiece[]> {
    for await (const records of this.#bus.read(TOPICS.segments, part, BigInt(from), BigInt(stop))) {
      yield records.map(piece)
    }
  }

  async extent(): Promise<string> {
    let oldestMs = Number.POSITIVE_INFINITY
    let isAny = false
    const partitions = await this.#bus.partitions(TOPICS.segments)
    for (let part = 0; part < partitions; part++) {
      const oldest = await this.#bus.offsetAt(TOPICS.segments, part, 0)
      if (oldest === null) continue
      isAny = true
      oldestMs = Math.min(oldestMs, oldest.timestampMs)
    }
    return isAny ? `${TOPICS.segments} holds what was sent since ${new Date(oldestMs).toISOString()}` : ''
  }
}

function piece({ offset, value, timestampMs = 0 }: BusRecord): LogPiece {
  return { position: Number(offset), next: Number(offset) + 1, batches: 1, bytes: value, sentUs: timestampMs * 1000 }
}
