/**
 * Small numbers by IPv4 address: open addressing over one flat array of key and value side by side, so that a lookup reads one
 * place of memory, compares no text and allocates nothing.
 */

/** Of all places at most this share is taken: then a free one is near. */
const FILL_MAX = 0.5
const PLACES_MIN = 16
/** 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming 6.4): neighbours land far from each other. */
const SCATTER = 0x9e3779b1

/** Keys are the 32 bits of an address as a signed number; values are 0 to 2^31 - 1. */
export class V4Numbers {
  /** Key and value + 1 of each place, by turns; 0 where it is free. */
  #places = new Int32Array(2 * PLACES_MIN)
  #shift = 32 - Math.log2(PLACES_MIN)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** -1 where there is none. */
  get(key: number): number {
    const places = this.#places
    const last = places.length / 2 - 1
    for (let at = Math.imul(key, SCATTER) >>> this.#shift; ; at = (at + 1) & last) {
      const value = places[at * 2 + 1] - 1
      if (value < 0 || places[at * 2] === key) return value
    }
  }

  set(key: number, value: number): void {
    if (this.#put(key, value) && ++this.#size > (this.#places.length / 2) * FILL_MAX) this.#grow()
  }

  /** Whether the key is new. */
  #put(key: number, value: number): boolean {
    const places = this.#places
    const last = places.length / 2 - 1
    let at = Math.imul(key, SCATTER) >>> this.#shift
    while (places[at * 2 + 1] !== 0 && places[at * 2] !== key) at = (at + 1) & last
    const isNew = places[at * 2 + 1] === 0
    places[at * 2] = key
    places[at * 2 + 1] = value + 1
    return isNew
  }

  #grow(): void {
    const before = this.#places
    this.#places = new Int32Array(before.length * 2)
    this.#shift -= 1
    for (let i = 0; i < before.length; i += 2) if (before[i + 1] !== 0) this.#put(before[i], before[i + 1] - 1)
  }

  /** What stands behind the gap and was pushed away by what leaves moves up: no place is left that only says "once taken". */
  delete(key: number): void {
    const places = this.#places
    const last = places.length / 2 - 1
    let gap = Math.imul(key, SCATTER) >>> this.#shift
    while (places[gap * 2 + 1] !== 0 && places[gap * 2] !== key) gap = (gap + 1) & last
    if (places[gap * 2 + 1] === 0) return
    this.#size -= 1
    for (let at = (gap + 1) & last; places[at * 2 + 1] !== 0; at = (at + 1) & last) {
      const home = Math.imul(places[at * 2], SCATTER) >>> this.#shift
      if (((at - home) & last) < ((at - gap) & last)) continue
      places[gap * 2] = places[at * 2]
      places[gap * 2 + 1] = places[at * 2 + 1]
      gap = at
    }
    places[gap * 2 + 1] = 0
  }
}
