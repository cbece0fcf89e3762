/** The identities of one cluster, each with what was known of it when. */
import type { Followed, Identity } from '../../core/pods.js'
import type { Unnamed } from '../../core/ports/pods.js'
import { LivesIndex } from './lives.js'

/** What was known of one identity, from when on; by that time, ascending. */
export interface Version {
  readonly identity: Identity
  readonly knownUs: number
  /** Later ones have a larger number. */
  readonly order: number
}

export interface KnownFollowed {
  readonly knownUs: number
  readonly untilUs: number
}

export class ClusterPods {
  network = ''
  readonly #versions = new Map<string, Version[]>()
  readonly #byAddress = new LivesIndex('addresses')
  readonly #byContainer = new LivesIndex('texts')
  readonly #byPod = new LivesIndex('texts')
  /** How far it was followed, and since when that is known; both ascending. Without any it is as if all were known. */
  #untilUs: number[] = []
  #untilKnownUs: number[] = []
  /** `followedUs` of the last `knownUs`: many lookups ask for the same. NaN where it has to be found anew. */
  #askedKnownUs = Number.NaN
  #askedUntilUs = 0
  /** Of the last answer of `byAddress`: it is the same for all times from the one that was asked for to this one, exclusive. */
  holdsUntilUs = 0

  get size(): number {
    return this.#versions.size
  }

  put(identity: Identity, knownUs: number, order: number): void {
    let versions = this.#versions.get(identity.key)
    if (versions === undefined) {
      versions = []
      this.#versions.set(identity.key, versions)
    }
    let at = versions.length
    while (at > 0 && versions[at - 1].knownUs > knownUs) at--
    // Of equal times the later call counts.
    if (at > 0 && versions[at - 1].knownUs === knownUs) {
      at -= 1
      this.#unlink(versions[at].identity)
      versions.splice(at, 1)
    }
    const before = at > 0 ? versions[at - 1].identity : null
    if (before !== null) this.#supersede(before, knownUs)
    versions.splice(at, 0, { identity, knownUs, order })
    this.#link(identity, knownUs, at + 1 < versions.length ? versions[at + 1].knownUs : Number.POSITIVE_INFINITY)
  }

  #link(identity: Identity, knownUs: number, untilUs: number): void {
    for (const address of identity.addresses) this.#byAddress.add(address, identity, knownUs, untilUs)
    for (const { id } of identity.containers) this.#byContainer.add(id, identity, knownUs, untilUs)
    if (identity.podUid !== '') this.#byPod.add(identity.podUid, identity, knownUs, untilUs)
  }

  #supersede(identity: Identity, untilUs: number): void {
    for (const address of identity.addresses) this.#byAddress.supersede(address, identity, untilUs)
    for (const { id } of identity.containers) this.#byContainer.supersede(id, identity, untilUs)
    if (identity.podUid !== '') this.#byPod.supersede(identity.podUid, identity, untilUs)
  }

  #unlink(identity: Identity): void {
    for (const address of identity.addresses) this.#byAddress.remove(address, identity)
    for (const { id } of identity.containers) this.#byContainer.remove(id, identity)
    if (identity.podUid !== '') this.#byPod.remove(identity.podUid, identity)
  }

  follow({ network, untilUs }: Followed, knownUs: number): void {
    this.network = network
    let at = this.#untilKnownUs.length
    while (at > 0 && this.#untilKnownUs[at - 1] > knownUs) at--
    const before = at === 0 ? 0 : this.#untilUs[at - 1]
    this.#untilKnownUs.splice(at, 0, knownUs)
    this.#untilUs.splice(at, 0, Math.max(before, untilUs))
    this.#askedKnownUs = Number.NaN
  }

  /** How far the cluster was followed, as known at `knownUs`. */
  followedUs(knownUs: number): number {
    if (knownUs === this.#askedKnownUs) return this.#askedUntilUs
    const known = this.#untilKnownUs
    const at = upperBound(known, knownUs)
    const before = at === 0 ? Number.NEGATIVE_INFINITY : this.#untilUs[at - 1]
    this.#askedUntilUs = known.length === 0 ? Number.POSITIVE_INFINITY : before
    this.#askedKnownUs = knownUs
    return this.#askedUntilUs
  }

  byAddress(address: string, timeUs: number, knownUs: number): Identity | Unnamed {
    const followedUs = this.followedUs(knownUs)
    this.holdsUntilUs = Number.POSITIVE_INFINITY
    if (timeUs > followedUs) return 'unknown'
    const found = this.#byAddress.at(address, timeUs, knownUs)
    this.holdsUntilUs = Math.min(this.#byAddress.holdsUntilUs, followedUs)
    return found
  }

  /** As known then, somebody has the address, or had it until after `endedUs`. */
  knows(address: string, knownUs: number, endedUs: number): boolean {
    return this.#byAddress.has(address, knownUs, endedUs)
  }

  byContainer(id: string, knownUs: number): Identity | null {
    return this.#byContainer.known(id, knownUs)
  }

  byPod(uid: string, knownUs: number): Identity | null {
    return this.#byPod.known(uid, knownUs)
  }

  remove(key: string): void {
    for (const { identity } of this.#versions.get(key) ?? []) this.#unlink(identity)
    this.#versions.delete(key)
  }

  /** As of `expire`: adds the versions that it would leave, and answers how far the cluster was followed by then and later. */
  seenFrom(knownUs: number, endedUs: number, versions: Version[]): KnownFollowed[] {
    for (const all of this.#versions.values()) {
      let first = all.length - 1
      while (first > 0 && all[first].knownUs > knownUs) first--
      if (first === all.length - 1 && all[first].identity.validToUs <= endedUs) continue
      for (let i = first; i < all.length; i++) versions.push(all[i])
    }
    const first = Math.max(0, upperBound(this.#untilKnownUs, knownUs) - 1)
    return this.#untilKnownUs.slice(first).map((known, i) => ({ knownUs: known, untilUs: this.#untilUs[first + i] }))
  }

  /** Drops what nobody sees from `knownUs` on: older versions, and identities that had ended by `endedUs`. */
  expire(knownUs: number, endedUs: number): void {
    const unseen = upperBound(this.#untilKnownUs, knownUs) - 1
    if (unseen > 0) {
      this.#untilKnownUs = this.#untilKnownUs.slice(unseen)
      this.#untilUs = this.#untilUs.slice(unseen)
      this.#askedKnownUs = Number.NaN
    }
    for (const [key, versions] of this.#versions) {
      while (versions.length > 1 && versions[1].knownUs <= knownUs) this.#unlink((versions.shift() as Version).identity)
      if (versions.length === 1 && versions[0].identity.validToUs <= endedUs) this.remove(key)
    }
  }
}

/** How many of these ascending numbers are at most `value`. Mostly all. */
export function upperBound(numbers: readonly number[], value: number): number {
  let low = 0
  let high = numbers.length
  if (high === 0 || numbers[high - 1] <= value) return high
  while (low < high) {
    const middle = (low + high) >> 1
    if (numbers[middle] <= value) low = middle + 1
    else high = middle
  }
  return low
}
