/** What was known of whoever had one address, container or pod uid. */
import { v4Number } from '../../core/address.js'
import { type Identity, STILL_VALID_US } from '../../core/pods.js'
import type { Unnamed } from '../../core/ports/pods.js'
import { V4Numbers } from './v4_numbers.js'
import { FROM, KNOWN, TIMES, TO, UNTIL, VersionBlocks } from './version_blocks.js'

/** Times of Kubernetes are whole seconds, rounded down. */
const SECOND_US = 1_000_000

/** Numbers by name. */
interface Numbers {
  /** -1 where there is none. */
  get(name: string): number
  set(name: string, value: number): void
  delete(name: string): void
}

/** For names of any kind. */
class TextNumbers implements Numbers {
  readonly #numbers = new Map<string, number>()

  get(name: string): number {
    return this.#numbers.get(name) ?? -1
  }

  set(name: string, value: number): void {
    this.#numbers.set(name, value)
  }

  delete(name: string): void {
    this.#numbers.delete(name)
  }
}

/** For addresses in their one text form. */
class AddressNumbers implements Numbers {
  readonly #v4 = new V4Numbers()
  readonly #others = new TextNumbers()

  get(name: string): number {
    const v4 = v4Number(name)
    return v4 < 0 ? this.#others.get(name) : this.#v4.get(v4 | 0)
  }

  set(name: string, value: number): void {
    const v4 = v4Number(name)
    if (v4 < 0) this.#others.set(name, value)
    else this.#v4.set(v4 | 0, value)
  }

  delete(name: string): void {
    const v4 = v4Number(name)
    if (v4 < 0) this.#others.delete(name)
    else this.#v4.delete(v4 | 0)
  }
}

/** Lives by what they are found by. */
export class LivesIndex {
  readonly #blocks = new VersionBlocks()
  readonly #blockOf: Numbers
  /** Of the last answer of `at`: it is the same for all times from the one that was asked for to this one, exclusive. */
  holdsUntilUs = 0

  constructor(names: 'addresses' | 'texts') {
    this.#blockOf = names === 'addresses' ? new AddressNumbers() : new TextNumbers()
  }

  /** Somebody is known to have it, or to have had it until after `endedUs`. */
  has(name: string, knownUs: number, endedUs: number): boolean {
    const block = this.#blockOf.get(name)
    if (block < 0) return false
    const { times } = this.#blocks
    for (let unit = block + this.#blocks.count(block); unit > block; unit--) {
      const i = unit * TIMES
      if (times[i + KNOWN] <= knownUs && times[i + UNTIL] > knownUs && times[i + TO] > endedUs) return true
    }
    return false
  }

  add(name: string, identity: Identity, knownUs: number, untilUs: number): void {
    const before = this.#blockOf.get(name)
    const block = this.#blocks.add(before < 0 ? this.#blocks.make() : before, identity, knownUs, untilUs)
    if (block !== before) this.#blockOf.set(name, block)
  }

  /** From then on something else is known instead of this. */
  supersede(name: string, identity: Identity, untilUs: number): void {
    const block = this.#blockOf.get(name)
    const unit = block < 0 ? -1 : this.#blocks.find(block, identity)
    if (unit >= 0) this.#blocks.times[unit * TIMES + UNTIL] = untilUs
  }

  remove(name: string, identity: Identity): void {
    const block = this.#blockOf.get(name)
    if (block < 0) return
    this.#blocks.remove(block, identity)
    if (this.#blocks.count(block) > 0) return
    this.#blocks.drop(block)
    this.#blockOf.delete(name)
  }

  /** As known then, whenever it was valid: for what is never used again. */
  known(name: string, knownUs: number): Identity | null {
    const block = this.#blockOf.get(name)
    if (block < 0) return null
    const { times, identities } = this.#blocks
    for (let unit = block + this.#blocks.count(block); unit > block; unit--) {
      const i = unit * TIMES
      if (times[i + KNOWN] <= knownUs && times[i + UNTIL] > knownUs) return identities[unit]
    }
    return null
  }

  /**
   * Two lives of an address cannot overlap. Where the end of one is not known, the next one's beginning ends it, though not
   * in the second of that beginning; where both are known and overlap, nobody knows whose the address was in between. In
   * whatever order they were heard of.
   */
  at(name: string, timeUs: number, knownUs: number): Identity | Unnamed {
    this.holdsUntilUs = Number.POSITIVE_INFINITY
    const block = this.#blockOf.get(name)
    if (block < 0) return 'nobody'
    const { times, identities } = this.#blocks
    const last = (block + this.#blocks.count(block)) * TIMES
    let latest = -1
    let count = 0
    let isTwice = false
    // Of those that have begun before the latest one: the end is known, and it is later.
    let hasOverlap = false
    for (let i = (block + 1) * TIMES; i <= last; i += TIMES) {
      if (times[i + KNOWN] > knownUs || times[i + UNTIL] <= knownUs) continue
      const [from, to] = [times[i + FROM], times[i + TO]]
      this.#change(timeUs, from, to)
      if (from > timeUs || to <= timeUs) continue
      count += 1
      const isLater = latest < 0 || from > times[latest + FROM]
      if (latest >= 0) hasOverlap ||= times[(isLater ? latest : i) + TO] !== STILL_VALID_US
      isTwice = isLater ? false : isTwice || from === times[latest + FROM]
      if (isLater) latest = i
    }
    if (count <= 1) return count === 0 ? 'nobody' : (identities[latest / TIMES] as Identity)
    const isClear = !isTwice && !hasOverlap && timeUs >= times[latest + FROM] + SECOND_US
    return isClear ? (identities[latest / TIMES] as Identity) : 'unknown'
  }

  /** Where the answer for a later time may be another one because of this life. */
  #change(timeUs: number, from: number, to: number): void {
    const next = timeUs < from ? from : timeUs < from + SECOND_US ? Math.min(from + SECOND_US, to) : to
    if (timeUs < next && next < this.holdsUntilUs) this.holdsUntilUs = next
  }
}
