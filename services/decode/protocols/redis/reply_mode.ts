/** Which commands get no answer: CLIENT REPLY decides for itself and for what follows (networking.c). */
import type { StateReader, StateWriter } from '../../../core/state.js'
import type { Command } from './command.js'
import { CLIENT } from './commands.js'

const ON = 0
const OFF = 1
const SKIP_NEXT = 2
/** What CLIENT REPLY said was lost. */
const UNKNOWN = 3

export class ReplyMode {
  #mode = ON

  get unknown(): boolean {
    return this.#mode === UNKNOWN
  }

  /** Why no answer to this one is due, `''` if one is. */
  silent(command: Command): string {
    if (command.kind === CLIENT && command.method === 'CLIENT REPLY') {
      const mode = command.word.toUpperCase()
      if (mode === 'ON') {
        this.#mode = ON
        return ''
      }
      if (mode === 'OFF') this.#mode = OFF
      else if (mode === 'SKIP' && this.#mode !== OFF) this.#mode = SKIP_NEXT
      else if (mode === '') {
        this.#mode = UNKNOWN
        return 'unknown'
      }
      if (mode === 'OFF' || mode === 'SKIP') return mode.toLowerCase()
    }
    if (this.#mode === OFF) return 'off'
    if (this.#mode !== SKIP_NEXT) return ''
    this.#mode = ON
    return 'skip'
  }

  save(out: StateWriter): void {
    out.u8(this.#mode)
  }

  restore(state: StateReader): void {
    this.#mode = state.u8()
  }
}
