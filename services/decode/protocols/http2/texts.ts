/** Texts in a saved state: what stands in tables and in many streams is written once. */
import type { StateReader, StateWriter } from '../../../core/state.js'

export class TextWriter {
  readonly #numbers = new Map<string, number>()

  write(out: StateWriter, text: string): void {
    const known = this.#numbers.get(text)
    if (known !== undefined) return out.u32(known)
    out.u32(this.#numbers.size)
    this.#numbers.set(text, this.#numbers.size)
    out.string(text)
  }
}

export class TextReader {
  readonly #texts: string[] = []

  read(state: StateReader): string {
    const number = state.u32()
    if (number < this.#texts.length) return this.#texts[number]
    if (number > this.#texts.length) {
      state.failed = true
      return ''
    }
    const text = state.string()
    this.#texts.push(text)
    return text
  }
}
