/** Keys that belong to a name: mostly one, which then takes no set. */
export class KeyIndex {
  readonly #keys = new Map<string, string | Set<string>>()

  of(name: string): ReadonlySet<string> {
    const keys = this.#keys.get(name)
    if (keys === undefined) return NO_KEYS
    return typeof keys === 'string' ? new Set([keys]) : keys
  }

  add(name: string, key: string): void {
    const keys = this.#keys.get(name)
    if (keys === undefined) this.#keys.set(name, key)
    else if (typeof keys !== 'string') keys.add(key)
    else if (keys !== key) this.#keys.set(name, new Set([keys, key]))
  }

  remove(name: string, key: string): void {
    const keys = this.#keys.get(name)
    if (keys === undefined) return
    if (typeof keys !== 'string') keys.delete(key)
    if (keys === key || (typeof keys !== 'string' && keys.size === 0)) this.#keys.delete(name)
  }
}

export const NO_KEYS: ReadonlySet<string> = new Set()
