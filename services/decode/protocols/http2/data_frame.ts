import type { StateReader, StateWriter } from '../../../core/state.js'

/** The frame under way whose payload is counted as it comes by and not gathered: DATA, or one that is passed over. */
export class DataFrame {
  open = false
  /** 0 = of no stream: passed over. */
  stream = 0
  /** Bytes still to come, padding included. */
  left = 0
  #padding = 0
  /** The last of its stream and direction. */
  ends = false

  begin(stream: number, length: number, padding: number, ends: boolean): void {
    this.open = true
    this.stream = stream
    this.left = length
    this.#padding = padding
    this.ends = ends
  }

  /** `size` more bytes are here; answers how many of them are payload. */
  take(size: number): number {
    const payload = Math.max(0, Math.min(size, this.left - this.#padding))
    this.left -= size
    return payload
  }

  save(out: StateWriter): void {
    out.bool(this.open)
    out.bool(this.ends)
    for (const value of [this.stream, this.left, this.#padding]) out.number(value)
  }

  restore(state: StateReader): void {
    this.open = state.bool()
    this.ends = state.bool()
    this.stream = state.number()
    this.left = state.number()
    this.#padding = state.number()
  }
}
