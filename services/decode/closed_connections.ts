/**
 * How many exchanges connections had that are over: a late segment opens one again, and it counts on. Bounded, the oldest are
 * forgotten. Kept in numbered parts, so that a checkpoint writes what changed and a part that is used again replaces its old
 * content.
 */
import { StateReader, StateWriter } from '../core/state.js'
import { CLOSED_MAX } from './limits.js'

const PARTS = 64
const PART_MAX = CLOSED_MAX / PARTS

export class ClosedConnections {
  /** By number; those that hold nothing yet are not there. */
  readonly #parts: (Map<bigint, number> | undefined)[] = []
  readonly #partOf = new Map<bigint, number>()
  readonly #changed = new Set<number>()
  /** Number of the part that is being filled. */
  #filling = 0

  #part(number: number): Map<bigint, number> {
    const part = this.#parts[number] ?? new Map<bigint, number>()
    this.#parts[number] = part
    return part
  }

  remember(id: bigint, exchanges: number): void {
    this.take(id)
    if (this.#part(this.#filling).size >= PART_MAX) {
      this.#filling = (this.#filling + 1) % PARTS
      for (const old of this.#part(this.#filling).keys()) this.#partOf.delete(old)
      this.#part(this.#filling).clear()
    }
    this.#part(this.#filling).set(id, exchanges)
    this.#partOf.set(id, this.#filling)
    this.#changed.add(this.#filling)
  }

  /** The number of exchanges, and the connection is forgotten here; undefined where it is not known. */
  take(id: bigint): number | undefined {
    const part = this.#partOf.get(id)
    if (part === undefined) return undefined
    const exchanges = this.#part(part).get(id)
    this.#part(part).delete(id)
    this.#partOf.delete(id)
    this.#changed.add(part)
    return exchanges
  }

  /** Parts that changed since the last call, by number. */
  takeChanges(): Map<number, Buffer> {
    const states = new Map<number, Buffer>()
    for (const part of this.#changed) {
      const out = new StateWriter()
      out.number(this.#part(part).size)
      for (const [id, exchanges] of this.#part(part)) {
        out.bigint(id)
        out.number(exchanges)
      }
      states.set(part, out.finish())
    }
    this.#changed.clear()
    return states
  }

  get filling(): number {
    return this.#filling
  }

  restore(filling: number, parts: ReadonlyMap<number, Buffer>): void {
    this.#filling = filling % PARTS
    for (const [part, bytes] of parts) {
      const state = new StateReader(bytes)
      for (let count = state.number(); count > 0 && !state.failed; count--) {
        const id = state.bigint()
        this.#part(part % PARTS).set(id, state.number())
        this.#partOf.set(id, part % PARTS)
      }
    }
  }
}
