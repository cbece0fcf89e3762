/** How well what was found fits what was planted. */

export class Score {
  right = 0
  wrong: string[] = []
  missed: string[] = []

  /** Of one world: what was found, each once or more, and what was planted there. */
  add(found: Iterable<string>, planted: Iterable<string>, where = ''): this {
    const left = new Set(planted)
    for (const each of found) {
      if (left.delete(each)) this.right += 1
      else this.wrong.push(`${where}${each}`)
    }
    this.missed.push(...[...left].map((each) => `${where}${each}`))
    return this
  }

  get isPerfect(): boolean {
    return this.right > 0 && this.wrong.length === 0 && this.missed.length === 0
  }

  toString(): string {
    const share = (of: number) => (of === 0 ? '1' : (this.right / of).toFixed(3).replace(/\.?0+$/, ''))
    const precision = share(this.right + this.wrong.length)
    return `precision ${precision}, recall ${share(this.right + this.missed.length)} (${this.right} plants)`
  }
}
