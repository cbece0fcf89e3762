/** Streams that were reset and wait for what the other end said before it knew; and which ones were, of late. RFC 9113 section 5.4.2. */
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import type { Stream } from './stream.js'

/** What was under way when the other end learned of it comes within a round trip. */
const REMEMBERED_MAX = 256

export class ResetStreams {
  /** By who reset them, in order of time. */
  readonly #waiting: readonly [Stream[], Stream[]] = [[], []]
  readonly #past = new Set<number>()

  add(stream: Stream): void {
    this.#waiting[stream.resetBy].push(stream)
  }

  /** The first one that gets nothing more from `direction`, where time has come to `timeUs`. */
  due(direction: Direction, timeUs: number): Stream | null {
    const waiting = this.#waiting[direction === TO_SERVER ? TO_CLIENT : TO_SERVER]
    return waiting.length > 0 && waiting[0].resetUs < timeUs ? waiting[0] : null
  }

  /** It has been handed over. */
  remove(stream: Stream): void {
    const waiting = this.#waiting[stream.resetBy]
    const at = waiting.indexOf(stream)
    if (at === 0) waiting.shift()
    else if (at > 0) waiting.splice(at, 1)
    this.#remember(stream.id)
  }

  #remember(id: number): void {
    this.#past.add(id)
    if (this.#past.size <= REMEMBERED_MAX) return
    for (const oldest of this.#past) {
      this.#past.delete(oldest)
      return
    }
  }

  wasReset(id: number): boolean {
    return this.#past.size > 0 && this.#past.has(id)
  }

  save(out: StateWriter): void {
    for (const waiting of this.#waiting) {
      out.u32(waiting.length)
      for (const { id } of waiting) out.u32(id)
    }
    out.u32(this.#past.size)
    for (const id of this.#past) out.u32(id)
  }

  restore(state: StateReader, open: ReadonlyMap<number, Stream>): void {
    for (const waiting of this.#waiting) {
      waiting.length = 0
      for (let left = state.u32(); left > 0 && !state.failed; left--) {
        const stream = open.get(state.u32())
        if (stream !== undefined) waiting.push(stream)
      }
    }
    this.#past.clear()
    for (let left = state.u32(); left > 0 && !state.failed; left--) this.#past.add(state.u32())
  }
}
