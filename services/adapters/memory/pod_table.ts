/** A PodDirectory in memory, fed with identities as they become known: from Kubernetes, a topic, a test. */

import { type Identity, STILL_VALID_US } from '../../core/pods.js'
import type { PodDirectory } from '../../core/ports/pods.js'

/** Identities that ended longer ago are forgotten: later than that no segment is decoded live. */
const KEPT_AFTER_END_US = 3600_000_000
/** Lives of one address that are kept; more in the time above is a fault of the source. */
const LIVES_MAX = 1024

export class PodTable implements PodDirectory {
  version = 0
  readonly #byKey = new Map<string, Identity>()
  readonly #byContainer = new Map<string, Identity>()
  /** By cluster and address, in the order of their beginnings. */
  readonly #byAddress = new Map<string, Map<string, Identity[]>>()

  get size(): number {
    return this.#byKey.size
  }

  /** Takes what is known of an identity; replaces what was known before under its key. */
  put(identity: Identity): void {
    this.version += 1
    const key = `${identity.cluster}/${identity.key}`
    const before = this.#byKey.get(key)
    if (before !== undefined) this.#unlink(before)
    this.#byKey.set(key, identity)
    for (const { id } of identity.containers) this.#byContainer.set(id, identity)
    for (const address of identity.addresses) this.#link(address, identity)
  }

  /** Forgets what ended long before `nowUs`. */
  expire(nowUs: number): void {
    for (const [key, identity] of this.#byKey) {
      if (identity.validToUs > nowUs - KEPT_AFTER_END_US) continue
      this.#unlink(identity)
      this.#byKey.delete(key)
    }
  }

  byContainer(containerId: string): Identity | null {
    return this.#byContainer.get(containerId) ?? null
  }

  /**
   * Two lives of an address cannot overlap. Where the end of one is not known, the next one's beginning ends it; where both
   * are known and overlap (times of Kubernetes are whole seconds), nobody knows whose the address was in between.
   */
  byAddress(cluster: string, address: string, timeUs: number): Identity | null {
    const lives = this.#byAddress.get(cluster)?.get(address)
    if (lives === undefined) return null
    let found: Identity | null = null
    for (let i = lives.length - 1; i >= 0; i--) {
      const life = lives[i]
      if (life.validFromUs > timeUs || life.validToUs <= timeUs) continue
      if (found === null) found = life
      else if (life.validToUs !== STILL_VALID_US) return null
    }
    return found
  }

  #link(address: string, identity: Identity): void {
    let addresses = this.#byAddress.get(identity.cluster)
    if (addresses === undefined) {
      addresses = new Map()
      this.#byAddress.set(identity.cluster, addresses)
    }
    const lives = addresses.get(address)
    if (lives === undefined) {
      addresses.set(address, [identity])
      return
    }
    let at = lives.length
    while (at > 0 && lives[at - 1].validFromUs > identity.validFromUs) at--
    lives.splice(at, 0, identity)
    if (lives.length > LIVES_MAX) lives.shift()
  }

  #unlink(identity: Identity): void {
    for (const { id } of identity.containers) {
      if (this.#byContainer.get(id) === identity) this.#byContainer.delete(id)
    }
    const addresses = this.#byAddress.get(identity.cluster)
    for (const address of identity.addresses) {
      const lives = addresses?.get(address)
      const at = lives?.indexOf(identity) ?? -1
      if (lives === undefined || at < 0) continue
      lives.splice(at, 1)
      if (lives.length === 0) addresses?.delete(address)
    }
  }
}
