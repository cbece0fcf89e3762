/** One copy of each text that comes again and again: names of nodes and workloads come with every pod. */

const TEXTS_MAX = 65_536

export class SharedTexts {
  readonly #texts = new Map<string, string>()

  /** The text itself, or one that is equal. Beyond `TEXTS_MAX` different ones it begins anew. */
  of(text: string): string {
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    if (this.#texts.size >= TEXTS_MAX) this.#texts.clear()
    this.#texts.set(text, text)
    return text
  }
}
