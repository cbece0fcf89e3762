/** The identities of one cluster, each with what was known of it when. */
import type { Followed, Identity } from '../../core/pods.js'
import type { Unnamed } from '../../core/ports/pods.js'
import { LivesIndex } from './lives.js'

/** What was known of one identity, from when on; by that time, ascending. */
interface Version {
  readonly identity: Identity
  readonly knownUs: number
}

export class ClusterPods {
  network = ''
  readonly #versions = new Map<string, Version[]>()
  readonly #byAddress = new LivesIndex()
  readonly #byContainer = new LivesIndex()
  readonly #byPod = new LivesIndex()
  /** How far it was followed, and since when that is known; both ascending. Without any it is as if all were known. */
  #untilUs: number[] = []
  #untilKnownUs: number[] = []

  get size(): number {
    return this.#versions.size
  }

  put(identity: Identity, knownUs: number): void {
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
    versions.splice(at, 0, { identity, knownUs })
    this.#link(identity, knownUs, at + 1 < versions.length ? versions[at + 1].knownUs : Number.POSITIVE_INFINITY)
  }

  #link(identity: Identity, knownUs: number, untilUs: number): void {
    for (const address of identity.addresses) this.#byAddress.add(address, identity, knownUs, untilUs)
    for (const { id } of identity.containers) this.#byContainer.add(id, identity, knownUs, untilUs)
    if (identity.podUid !== '') this.#byPod.add(identity.podUid, identity, knownUs, untilUs)
  }

  #supersede(identity: Identity, untilUs: number): void {
    for (const address of identity.addresses) this.#byAddress.of(address)?.supersede(identity, untilUs)
    for (const { id } of identity.containers) this.#byContainer.of(id)?.supersede(identity, untilUs)
    if (identity.podUid !== '') this.#byPod.of(identity.podUid)?.supersede(identity, untilUs)
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
  }

  /** How far the cluster was followed, as known at `knownUs`. */
  followedUs(knownUs: number): number {
    const known = this.#untilKnownUs
    if (known.length === 0) return Number.POSITIVE_INFINITY
    const at = upperBound(known, knownUs)
    return at === 0 ? Number.NEGATIVE_INFINITY : this.#untilUs[at - 1]
  }

  byAddress(address: string, timeUs: number, knownUs: number): Identity | Unnamed {
    if (timeUs > this.followedUs(knownUs)) return 'unknown'
    return this.#byAddress.of(address)?.at(timeUs, knownUs) ?? 'nobody'
  }

  /** Somebody has the address, or had it. */
  knows(address: string): boolean {
    return this.#byAddress.has(address)
  }

  byContainer(id: string, knownUs: number): Identity | null {
    return this.#byContainer.of(id)?.known(knownUs) ?? null
  }

  byPod(uid: string, knownUs: number): Identity | null {
    return this.#byPod.of(uid)?.known(knownUs) ?? null
  }

  remove(key: string): void {
    for (const { identity } of this.#versions.get(key) ?? []) this.#unlink(identity)
    this.#versions.delete(key)
  }

  /** Drops what nobody sees from `knownUs` on: older versions, and identities that had ended by `endedUs`. */
  expire(knownUs: number, endedUs: number): void {
    const unseen = upperBound(this.#untilKnownUs, knownUs) - 1
    if (unseen > 0) {
      this.#untilKnownUs = this.#untilKnownUs.slice(unseen)
      this.#untilUs = this.#untilUs.slice(unseen)
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
