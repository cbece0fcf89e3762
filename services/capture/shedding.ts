/**
 * Which connections are left out while the bus is slow: whole connections, chosen by their id, more of them the fuller the
 * queue. The others stay complete, which is worth more than a piece of each.
 */
import { Segment, SegmentFlag } from '../core/segment.js'

/** `bus_behind`: of a connection that was chosen to be left out; `bus_full`: nothing more fitted. */
export type ShedReason = 'bus_behind' | 'bus_full'

const LEVELS = 16
/** Shares of the queue: from here on connections are left out; down here all are taken again. */
const BEGIN = 0.5
const END = 0.25
/** Directions that wait to be told of their gap; beyond it the jump of positions alone tells. */
const CUT_MAX = 65_536

export class Shedding {
  #level = 0
  /** Directions that lost bytes, as `id * 2 + direction`. */
  readonly #cut = new Set<bigint>()
  readonly shed: Record<ShedReason, { count: number; bytes: number }> = {
    bus_behind: { count: 0, bytes: 0 },
    bus_full: { count: 0, bytes: 0 },
  }

  /** `fill`: share of the queue that is taken. */
  look(fill: number): void {
    if (fill < END) this.#level = 0
    else if (fill >= BEGIN) {
      this.#level = Math.max(this.#level, Math.min(LEVELS, 1 + Math.floor(((fill - BEGIN) / (1 - BEGIN)) * LEVELS)))
    }
  }

  /** Everything passes unchanged. */
  get idle(): boolean {
    return this.#level === 0 && this.#cut.size === 0
  }

  /** The segment to publish; null where it is left out. */
  pass(segment: Segment, full: boolean): Segment | null {
    const { id } = segment.connection
    const chosen = this.#level > 0 && Number(BigInt.asUintN(32, (id ^ (id >> 32n)) * SPREAD) >> 28n) < this.#level
    // Ends and addresses carry no bytes: where there is room they tell what was left out before them.
    if (full || (chosen && segment.length > 0)) {
      this.#leaveOut(segment, full ? 'bus_full' : 'bus_behind')
      return null
    }
    if (this.#cut.size === 0) return segment
    if (!this.#cut.delete(cutKey(segment))) return segment
    const { connection, direction, position, length, payload, timeUs, timeRestNs, flags } = segment
    const told = flags | SegmentFlag.GAP_BEFORE
    return new Segment(connection, direction, position, length, payload, timeUs, timeRestNs, told)
  }

  #leaveOut(segment: Segment, reason: ShedReason): void {
    this.shed[reason].count += 1
    this.shed[reason].bytes += segment.length
    if (this.#cut.size >= CUT_MAX) {
      for (const oldest of this.#cut) {
        this.#cut.delete(oldest)
        break
      }
    }
    this.#cut.add(cutKey(segment))
  }
}

/** Fibonacci hashing: ids that follow each other are spread. */
const SPREAD = 0x9e3779b9n

function cutKey({ connection, direction }: Segment): bigint {
  return (connection.id << 1n) | BigInt(direction)
}
