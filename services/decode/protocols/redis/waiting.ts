/** Commands that wait for their answers, in the order in which they were sent, and a bound on them. */
import type { StateReader, StateWriter } from '../../../core/state.js'
import { Command } from './command.js'

/** Commands without an answer: below 100 bytes each and what they say, so that the deepest pipeline stays below 1 MiB. */
export const PENDING_MAX = 4096
/** What they may say in all, in characters, looked at now and then. */
const PENDING_CHARS_MAX = 128 * 1024
const LOOK_EVERY = 64
/** Answered ones stay in the list until they are so many, and half of it. */
const ANSWERED_MAX = 512

export class Waiting {
  readonly #open: Command[] = []
  #head = 0
  /** Those that wait say more than may be kept. */
  #sayTooMuch = false
  /** How many waited when that was found out. */
  #lookedAt = 0

  get count(): number {
    return this.#open.length - this.#head
  }

  /** The one that has waited longest, undefined if none does. */
  get first(): Command | undefined {
    return this.#open[this.#head]
  }

  get last(): Command {
    return this.#open[this.#open.length - 1]
  }

  get second(): Command | undefined {
    return this.#open[this.#head + 1]
  }

  /** `index` 0 is the first; below `count`. */
  at(index: number): Command {
    return this.#open[this.#head + index]
  }

  /** Index of the first of those that were sent together, last before `atUs`; -1 if none was. */
  newestUntil(atUs: number): number {
    let index = this.count - 1
    while (index >= 0 && this.at(index).startUs > atUs) index--
    while (index > 0 && this.at(index - 1).startUs === this.at(index).startUs) index--
    return index
  }

  all(): Command[] {
    return this.#open.slice(this.#head)
  }

  get isFull(): boolean {
    const { count } = this
    if (count >= PENDING_MAX) return true
    if (count % LOOK_EVERY === 0 && count !== this.#lookedAt) {
      let chars = 0
      for (let i = this.#head; i < this.#open.length; i++) chars += this.#open[i].chars
      this.#sayTooMuch = chars > PENDING_CHARS_MAX
      this.#lookedAt = count
    }
    return this.#sayTooMuch
  }

  push(command: Command): void {
    this.#open.push(command)
  }

  /** The first does not wait any more. */
  shift(): void {
    const open = this.#open
    this.#head += 1
    if (this.#head === open.length) this.clear()
    else if (this.#head >= ANSWERED_MAX && this.#head * 2 > open.length) {
      open.splice(0, this.#head)
      this.#head = 0
    }
  }

  clear(): void {
    this.#open.length = 0
    this.#head = 0
  }

  save(out: StateWriter): void {
    out.number(this.count)
    for (let i = this.#head; i < this.#open.length; i++) this.#open[i].save(out)
    out.bool(this.#sayTooMuch)
    out.number(this.#lookedAt)
  }

  restore(state: StateReader): void {
    const count = state.number()
    for (let i = 0; i < count && !state.failed; i++) this.#open.push(Command.restore(state))
    this.#sayTooMuch = state.bool()
    this.#lookedAt = state.number()
  }
}
