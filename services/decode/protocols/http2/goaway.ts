import type { StateReader, StateWriter } from '../../../core/state.js'
import type { Stream } from './stream.js'

/** What the server said when it left. RFC 9113 section 6.8. */
export class GoAway {
  /** The highest stream that it will answer, and when it said so. */
  #last = Number.POSITIVE_INFINITY
  lastUs = 0
  /** The error that it ends the connection for, 0 = none. */
  code = 0
  codeUs = 0

  said(last: number, code: number, timeUs: number): void {
    if (code !== 0) {
      this.code = code
      this.codeUs = timeUs
    }
    if (last >= this.#last) return
    this.#last = last
    this.lastUs = timeUs
  }

  /** It will not be answered: the server did not look at it. */
  refuses({ id, response }: Stream): boolean {
    return id > this.#last && id % 2 === 1 && !response.begun
  }

  save(out: StateWriter): void {
    for (const value of [this.#last, this.lastUs, this.code, this.codeUs]) out.number(value)
  }

  restore(state: StateReader): void {
    this.#last = state.number()
    this.lastUs = state.number()
    this.code = state.number()
    this.codeUs = state.number()
  }
}
