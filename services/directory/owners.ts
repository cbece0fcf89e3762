/** Who owns whom: a pod's workload is at the end of its owners, which may come after it and go before it. */
import type { OwnedObject, PodObject } from './objects.js'

export interface Workload {
  readonly name: string
  readonly kind: string
}

export const NO_WORKLOAD: Workload = { name: '', kind: '' }

/** Owners of owners: ReplicaSet, Deployment and whatever controls that. */
const OWNERS_MAX = 8
/** Kinds that stand between a pod and what people call its workload. */
const BETWEEN = new Set(['ReplicaSet', 'Job'])

export class Owners {
  readonly #owners = new Map<string, OwnedObject & { readonly kind: string }>()
  /** Those that are gone while pods of theirs are not. */
  readonly #gone = new Set<string>()

  get size(): number {
    return this.#owners.size
  }

  /** A ReplicaSet, Job or the like. Answers whether its pods may have another workload now. */
  put(kind: string, owner: OwnedObject): boolean {
    const before = this.#owners.get(owner.uid)
    this.#owners.set(owner.uid, { ...owner, kind })
    this.#gone.delete(owner.uid)
    return before === undefined || before.owner?.uid !== owner.owner?.uid
  }

  /** Owners are deleted before their pods. */
  gone(uid: string, hasPods: boolean): void {
    if (hasPods) this.#gone.add(uid)
    else this.#forget(uid)
  }

  /** The last pod of an owner is gone. */
  podsGone(uid: string): void {
    if (this.#gone.has(uid)) this.#forget(uid)
  }

  #forget(uid: string): void {
    this.#owners.delete(uid)
    this.#gone.delete(uid)
  }

  /** Up the owners. One that is not known (yet) leaves the workload unknown: its name alone would be a guess. */
  workloadOf(pod: PodObject): Workload {
    if (pod.owner === null) return { name: pod.name, kind: 'Pod' }
    let { owner } = pod
    // A static pod: what the kubelet of that node was told to run.
    if (owner.kind === 'Node') return { name: withoutEnd(pod.name, `-${pod.node}`), kind: 'Pod' }
    for (let i = 0; i < OWNERS_MAX; i++) {
      if (!BETWEEN.has(owner.kind)) return { name: owner.name, kind: owner.kind }
      const known = this.#owners.get(owner.uid)
      if (known === undefined) return NO_WORKLOAD
      if (known.owner === null) return { name: known.name, kind: known.kind }
      owner = known.owner
    }
    return NO_WORKLOAD
  }
}

function withoutEnd(text: string, end: string): string {
  return text.endsWith(end) && text !== end ? text.slice(0, -end.length) : text
}
