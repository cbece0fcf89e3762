/**
 * The identities of one cluster, each with what was known of it when. An identity has few versions and an address few lives,
 * so that both are short lists that are looked through.
 */
import { type Followed, type Identity, STILL_VALID_US } from '../../core/pods.js'
import type { Unnamed } from '../../core/ports/pods.js'

/** Lives of one address that are kept; more than so many within hours is a fault of the source. */
const LIVES_MAX = 1024
/** Times of Kubernetes are whole seconds, rounded down. */
const SECOND_US = 1_000_000

/** One identity through all that was known of it. */
class Entity {
  /** By the time since when they are known, ascending; never empty. */
  readonly versions: Identity[]
  readonly knownUs: number[]

  constructor(identity: Identity, knownUs: number) {
    this.versions = [identity]
    this.knownUs = [knownUs]
  }

  get newest(): Identity {
    return this.versions[this.versions.length - 1]
  }

  at(knownUs: number): Identity | null {
    for (let i = this.versions.length - 1; i >= 0; i--) if (this.knownUs[i] <= knownUs) return this.versions[i]
    return null
  }

  /** Of equal times the later call counts. */
  add(identity: Identity, knownUs: number): void {
    let at = this.versions.length
    while (at > 0 && this.knownUs[at - 1] > knownUs) at--
    this.versions.splice(at, 0, identity)
    this.knownUs.splice(at, 0, knownUs)
  }

  /** Drops what nobody sees from `knownUs` on. */
  trim(knownUs: number): void {
    let unseen = 0
    while (unseen + 1 < this.versions.length && this.knownUs[unseen + 1] <= knownUs) unseen++
    if (unseen === 0) return
    this.versions.splice(0, unseen)
    this.knownUs.splice(0, unseen)
  }
}

export class ClusterPods {
  network = ''
  readonly #byKey = new Map<string, Entity>()
  readonly #byAddress = new Map<string, Entity[]>()
  readonly #byContainer = new Map<string, Entity>()
  readonly #byPod = new Map<string, Entity>()
  /** How far it was followed, and since when that is known; both ascending. Without any it is as if all were known. */
  #untilUs: number[] = []
  #untilKnownUs: number[] = []

  get size(): number {
    return this.#byKey.size
  }

  put(identity: Identity, knownUs: number): void {
    let entity = this.#byKey.get(identity.key)
    if (entity === undefined) {
      entity = new Entity(identity, knownUs)
      this.#byKey.set(identity.key, entity)
    } else entity.add(identity, knownUs)
    for (const address of identity.addresses) this.#link(address, entity)
    for (const { id } of identity.containers) this.#byContainer.set(id, entity)
    if (identity.podUid !== '') this.#byPod.set(identity.podUid, entity)
  }

  #link(address: string, entity: Entity): void {
    const lives = this.#byAddress.get(address)
    if (lives === undefined) this.#byAddress.set(address, [entity])
    else if (!lives.includes(entity)) {
      lives.push(entity)
      if (lives.length > LIVES_MAX) lives.shift()
    }
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

  /**
   * Two lives of an address cannot overlap. Where the end of one is not known, the next one's beginning ends it, though not
   * in the second of that beginning; where both are known and overlap, nobody knows whose the address was in between.
   */
  byAddress(address: string, timeUs: number, knownUs: number): Identity | Unnamed {
    if (timeUs > this.followedUs(knownUs)) return 'unknown'
    const lives = this.#byAddress.get(address)
    if (lives === undefined) return 'nobody'
    let found: Identity | null = null
    let isContested = false
    for (let i = 0; i < lives.length; i++) {
      const life = lives[i].at(knownUs)
      if (life === null || life.validFromUs > timeUs || life.validToUs <= timeUs) continue
      if (!life.addresses.includes(address)) continue
      if (found === null) {
        found = life
        continue
      }
      const earlier: Identity = life.validFromUs < found.validFromUs ? life : found
      const later: Identity = earlier === life ? found : life
      found = later
      if (
        earlier.validToUs !== STILL_VALID_US ||
        timeUs < later.validFromUs + SECOND_US ||
        earlier.validFromUs === later.validFromUs
      )
        isContested = true
    }
    if (isContested) return 'unknown'
    return found ?? 'nobody'
  }

  /** Somebody has the address, or had it. */
  knows(address: string): boolean {
    return this.#byAddress.has(address)
  }

  byContainer(id: string, knownUs: number): Identity | null {
    const identity = this.#byContainer.get(id)?.at(knownUs) ?? null
    return identity?.containers.some((container) => container.id === id) === true ? identity : null
  }

  byPod(uid: string, knownUs: number): Identity | null {
    return this.#byPod.get(uid)?.at(knownUs) ?? null
  }

  remove(key: string): void {
    const entity = this.#byKey.get(key)
    if (entity === undefined) return
    this.#byKey.delete(key)
    for (const { addresses, containers, podUid } of entity.versions) {
      for (const { id } of containers) if (this.#byContainer.get(id) === entity) this.#byContainer.delete(id)
      if (this.#byPod.get(podUid) === entity) this.#byPod.delete(podUid)
      for (const address of addresses) this.#unlink(address, entity)
    }
  }

  #unlink(address: string, entity: Entity): void {
    const lives = this.#byAddress.get(address)
    const at = lives?.indexOf(entity) ?? -1
    if (lives === undefined || at < 0) return
    lives.splice(at, 1)
    if (lives.length === 0) this.#byAddress.delete(address)
  }

  /** Drops what nobody sees from `knownUs` on: older versions, and identities that had ended by `endedUs`. */
  expire(knownUs: number, endedUs: number): void {
    const unseen = upperBound(this.#untilKnownUs, knownUs) - 1
    if (unseen > 0) {
      this.#untilKnownUs = this.#untilKnownUs.slice(unseen)
      this.#untilUs = this.#untilUs.slice(unseen)
    }
    for (const [key, entity] of this.#byKey) {
      entity.trim(knownUs)
      if (entity.newest.validToUs <= endedUs && entity.versions.length === 1) this.remove(key)
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
