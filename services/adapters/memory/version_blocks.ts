/**
 * Versions of identities in one flat array, those of one name side by side: times, and beside them the identities. A block has
 * room for 2^k - 1 versions behind a head that says how many there are; one that is full moves to the next larger size.
 */
import type { Identity } from '../../core/pods.js'

/** Kept of one name; more within hours is a fault of the source: the oldest leaves. */
const VERSIONS_MAX = 1023
/** Numbers of one version, all µs since 1970: valid from and to, known from, known until. */
export const TIMES = 4
export const FROM = 0
export const TO = 1
export const KNOWN = 2
export const UNTIL = 3
/** A block's head, at its first four numbers. */
const COUNT = 0
const UNITS = 1
const UNITS_MIN = 4
const ALL_UNITS_MIN = 1024

export class VersionBlocks {
  /** `TIMES` numbers per unit; a block is its head and its versions, one unit each. */
  times = new Float64Array(ALL_UNITS_MIN * TIMES)
  /** One per unit; null at heads and where there is none. */
  readonly identities: (Identity | null)[] = []
  #units = 0
  /** Blocks that are free, by log2 of their size. */
  readonly #free: number[][] = []

  /** A block with nothing in it. A block is named by its first unit. */
  make(units = UNITS_MIN): number {
    const block = this.#free[Math.log2(units)]?.pop() ?? this.#append(units)
    this.times[block * TIMES + COUNT] = 0
    this.times[block * TIMES + UNITS] = units
    return block
  }

  #append(units: number): number {
    const block = this.#units
    this.#units += units
    while (this.identities.length < this.#units) this.identities.push(null)
    if (this.#units * TIMES > this.times.length) {
      const before = this.times
      this.times = new Float64Array(Math.max(this.#units * TIMES, Math.ceil(before.length * 1.5)))
      this.times.set(before)
    }
    return block
  }

  drop(block: number): void {
    const units = this.times[block * TIMES + UNITS]
    this.identities.fill(null, block, block + units)
    const size = Math.log2(units)
    while (this.#free.length <= size) this.#free.push([])
    this.#free[size].push(block)
  }

  count(block: number): number {
    return this.times[block * TIMES + COUNT]
  }

  /** Answers the block, which may be another one now. */
  add(block: number, identity: Identity, knownUs: number, untilUs: number): number {
    if (this.count(block) >= VERSIONS_MAX) this.#removeAt(block, 1)
    const into = this.count(block) + 1 < this.times[block * TIMES + UNITS] ? block : this.#moved(block)
    const { times } = this
    const unit = into + ++times[into * TIMES + COUNT]
    this.identities[unit] = identity
    times[unit * TIMES + FROM] = identity.validFromUs
    times[unit * TIMES + TO] = identity.validToUs
    times[unit * TIMES + KNOWN] = knownUs
    times[unit * TIMES + UNTIL] = untilUs
    return into
  }

  #moved(block: number): number {
    const count = this.count(block)
    const into = this.make(this.times[block * TIMES + UNITS] * 2)
    const { times } = this
    times.copyWithin((into + 1) * TIMES, (block + 1) * TIMES, (block + 1 + count) * TIMES)
    times[into * TIMES + COUNT] = count
    for (let i = 1; i <= count; i++) this.identities[into + i] = this.identities[block + i]
    this.drop(block)
    return into
  }

  /** The unit of the newest version with this identity; -1 where there is none. */
  find(block: number, identity: Identity): number {
    for (let unit = block + this.count(block); unit > block; unit--) if (this.identities[unit] === identity) return unit
    return -1
  }

  remove(block: number, identity: Identity): void {
    const unit = this.find(block, identity)
    if (unit >= 0) this.#removeAt(block, unit - block)
  }

  /** `number`: of the version, from 1. */
  #removeAt(block: number, number: number): void {
    const { times, identities } = this
    const count = this.count(block)
    times.copyWithin((block + number) * TIMES, (block + number + 1) * TIMES, (block + count + 1) * TIMES)
    identities.copyWithin(block + number, block + number + 1, block + count + 1)
    identities[block + count] = null
    times[block * TIMES + COUNT] = count - 1
  }
}
