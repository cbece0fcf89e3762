/**
 * Tells identities: each once, and again when it changes. An object whose addresses change begins another life, under a key of
 * its own, so that who had an address in the past stays known.
 */
import { type Identity, STILL_VALID_US } from '../core/pods.js'

/** What is to be told of an object, but for the key and the beginning. */
export type Draft = Omit<Identity, 'key' | 'validFromUs'>

export class Lives {
  readonly #tell: (identity: Identity) => void
  /** By object, its present life as it was told last, or is to be told on release. */
  readonly #present = new Map<string, Identity>()
  /** Objects to tell of on release; null where all is told at once. */
  #held: Set<string> | null = null

  constructor(tell: (identity: Identity) => void) {
    this.#tell = tell
  }

  /** What was told before this process began. Of the lives of an object the last one counts. */
  restore(identity: Identity): void {
    const object = objectOf(identity.key)
    const known = this.#present.get(object)
    if (known === undefined || numberOf(known.key) <= numberOf(identity.key)) this.#present.set(object, identity)
  }

  /** Nothing is told until `release`: in between it would be half of the truth. */
  hold(): void {
    this.#held = new Set()
  }

  release(): void {
    const held = this.#held ?? NOTHING
    this.#held = null
    for (const object of held) this.#tell(this.#present.get(object) as Identity)
  }

  /** The present life. */
  of(object: string): Identity | null {
    return this.#present.get(object) ?? null
  }

  get size(): number {
    return this.#present.size
  }

  objects(): string[] {
    return [...this.#present.keys()]
  }

  /** `firstFromUs`: when its first life began; `changedUs`: when its addresses changed, should they just have. */
  say(object: string, draft: Draft, firstFromUs: number, changedUs: number): void {
    const known = this.#present.get(object)
    if (known === undefined) return this.#set(object, { ...draft, key: object, validFromUs: firstFromUs })
    const hadAddresses = known.addresses.length > 0
    if (hadAddresses && !isSameList(known.addresses, draft.addresses)) {
      this.end(object, changedUs)
      const key = `${object}.${numberOf(known.key) + 1}`
      return this.#set(object, { ...draft, key, validFromUs: changedUs })
    }
    let validFromUs = firstFromUs
    if (numberOf(known.key) > 1) {
      validFromUs = !hadAddresses && draft.addresses.length > 0 ? changedUs : known.validFromUs
    }
    const identity = { ...draft, key: known.key, validFromUs }
    if (!isSame(known, identity)) this.#set(object, identity)
  }

  /** Its present life ends, if it has no end yet; it never ends before it began. */
  end(object: string, atUs: number): void {
    const known = this.#present.get(object)
    if (known === undefined || known.validToUs !== STILL_VALID_US) return
    this.#set(object, { ...known, validToUs: Math.max(known.validFromUs, atUs) })
    // A life that begins next must not take its place before it was told.
    if (this.#held?.delete(object) === true) this.#tell(this.#present.get(object) as Identity)
  }

  /** There will be no other life of it. */
  forget(object: string): void {
    if (this.#held?.delete(object) === true) this.#tell(this.#present.get(object) as Identity)
    this.#present.delete(object)
  }

  #set(object: string, identity: Identity): void {
    this.#present.set(object, identity)
    if (this.#held !== null) this.#held.add(object)
    else this.#tell(identity)
  }
}

const NOTHING: ReadonlySet<string> = new Set()

/** `uid`, `uid.2`, `uid.3`: lives of one object. */
function objectOf(key: string): string {
  return key.replace(/\.\d+$/, '')
}

function numberOf(key: string): number {
  return Number(/\.(\d+)$/.exec(key)?.[1] ?? 1)
}

function isSame(a: Identity, b: Identity): boolean {
  return (
    a.validFromUs === b.validFromUs &&
    a.validToUs === b.validToUs &&
    a.workload === b.workload &&
    a.workloadKind === b.workloadKind &&
    a.node === b.node &&
    a.zone === b.zone &&
    a.region === b.region &&
    a.service === b.service &&
    a.serviceAccount === b.serviceAccount &&
    a.podUid === b.podUid &&
    a.name === b.name &&
    a.namespace === b.namespace &&
    a.cluster === b.cluster &&
    a.kind === b.kind &&
    isSameList(a.addresses, b.addresses) &&
    a.containers.length === b.containers.length &&
    a.containers.every(({ id, name }, i) => id === b.containers[i].id && name === b.containers[i].name)
  )
}

/** In whatever order. */
function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text) => b.includes(text))
}
