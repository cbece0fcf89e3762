/**
 * Where in klartext.segments the bytes of a flow are: offsets of the first and last message of its connection that may hold
 * them. The span may be wider than needed, never too narrow.
 */
import type { StateReader, StateWriter } from '../core/state.js'

/** Beyond it every second one of the older half goes: the further back, the coarser. */
const MARKS_MAX = 16

export class Evidence {
  /** Offsets of messages with segments of the connection, rising. */
  readonly #offsets: number[] = []
  /** Latest capture time (µs) of the connection before each of them. */
  readonly #beforeUs: number[] = []

  /** A message at `offset` holds segments of the connection; `beforeUs`: the latest time seen until now, -1 = none. */
  mark(offset: number, beforeUs: number): void {
    if (this.last === offset) return
    this.#offsets.push(offset)
    this.#beforeUs.push(beforeUs)
    if (this.#offsets.length > MARKS_MAX) this.#thin()
  }

  #thin(): void {
    let kept = 0
    for (let i = 0; i < this.#offsets.length; i++) {
      if (i < MARKS_MAX / 2 && i % 2 === 1) continue
      this.#offsets[kept] = this.#offsets[i]
      this.#beforeUs[kept] = this.#beforeUs[i]
      kept += 1
    }
    this.#offsets.length = kept
    this.#beforeUs.length = kept
  }

  /** -1: none yet. */
  get last(): number {
    return this.#offsets.length === 0 ? -1 : this.#offsets[this.#offsets.length - 1]
  }

  /** The newest message before which everything is older than `timeUs`. */
  firstFor(timeUs: number): number {
    let at = this.#offsets.length - 1
    while (at > 0 && this.#beforeUs[at] >= timeUs) at--
    return at < 0 ? 0 : this.#offsets[at]
  }

  save(out: StateWriter): void {
    out.number(this.#offsets.length)
    for (const [i, offset] of this.#offsets.entries()) {
      out.number(offset)
      out.number(this.#beforeUs[i])
    }
  }

  restore(state: StateReader): void {
    const count = state.number()
    for (let i = 0; i < count && !state.failed; i++) {
      this.#offsets.push(state.number())
      this.#beforeUs.push(state.number())
    }
  }
}
