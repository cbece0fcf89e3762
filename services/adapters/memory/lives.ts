/** What was known of whoever had one address, container or pod uid. Times lie together: a lookup reads few places of memory. */
import { type Identity, STILL_VALID_US } from '../../core/pods.js'
import type { Unnamed } from '../../core/ports/pods.js'

/** Kept of one address; more within hours is a fault of the source. */
const VERSIONS_MAX = 1024
/** Times of Kubernetes are whole seconds, rounded down. */
const SECOND_US = 1_000_000

/** Places of the times of one version, all µs since 1970: valid from and to, known from, known until. */
const FROM = 0
const TO = 1
const KNOWN = 2
const UNTIL = 3
const TIMES = 4

export class Lives {
  readonly #identities: Identity[] = []
  /** `TIMES` numbers per identity. */
  readonly #times: number[] = []

  get size(): number {
    return this.#identities.length
  }

  add(identity: Identity, knownUs: number, untilUs: number): void {
    if (this.#identities.length >= VERSIONS_MAX) this.#removeAt(0)
    this.#identities.push(identity)
    this.#times.push(identity.validFromUs, identity.validToUs, knownUs, untilUs)
  }

  /** From then on something else is known instead of this. */
  supersede(identity: Identity, untilUs: number): void {
    const at = this.#identities.lastIndexOf(identity)
    if (at >= 0) this.#times[at * TIMES + UNTIL] = untilUs
  }

  remove(identity: Identity): void {
    const at = this.#identities.lastIndexOf(identity)
    if (at >= 0) this.#removeAt(at)
  }

  #removeAt(at: number): void {
    this.#identities.splice(at, 1)
    this.#times.splice(at * TIMES, TIMES)
  }

  /** As known then, whenever it was valid: for what is never used again. */
  known(knownUs: number): Identity | null {
    const times = this.#times
    for (let i = times.length - TIMES; i >= 0; i -= TIMES) {
      if (times[i + KNOWN] <= knownUs && times[i + UNTIL] > knownUs) return this.#identities[i / TIMES]
    }
    return null
  }

  /**
   * Two lives of an address cannot overlap. Where the end of one is not known, the next one's beginning ends it, though not
   * in the second of that beginning; where both are known and overlap, nobody knows whose the address was in between.
   */
  at(timeUs: number, knownUs: number): Identity | Unnamed {
    const times = this.#times
    let found = -1
    for (let i = 0; i < times.length; i += TIMES) {
      if (times[i + FROM] > timeUs || times[i + TO] <= timeUs) continue
      if (times[i + KNOWN] > knownUs || times[i + UNTIL] <= knownUs) continue
      if (found < 0) {
        found = i
        continue
      }
      const earlier = times[i + FROM] < times[found + FROM] ? i : found
      const later = earlier === i ? found : i
      const isEnded = times[earlier + TO] === STILL_VALID_US && times[earlier + FROM] < times[later + FROM]
      if (!isEnded || timeUs < times[later + FROM] + SECOND_US) return 'unknown'
      found = later
    }
    return found < 0 ? 'nobody' : this.#identities[found / TIMES]
  }
}

/** Lives by what they are found by. */
export class LivesIndex {
  readonly #lives = new Map<string, Lives>()

  of(name: string): Lives | null {
    return this.#lives.get(name) ?? null
  }

  has(name: string): boolean {
    return this.#lives.has(name)
  }

  add(name: string, identity: Identity, knownUs: number, untilUs: number): void {
    let lives = this.#lives.get(name)
    if (lives === undefined) {
      lives = new Lives()
      this.#lives.set(name, lives)
    }
    lives.add(identity, knownUs, untilUs)
  }

  remove(name: string, identity: Identity): void {
    const lives = this.#lives.get(name)
    lives?.remove(identity)
    if (lives?.size === 0) this.#lives.delete(name)
  }
}
