import type { Followed, Identity, KnownPod } from '../pods.js'

/**
 * What is known of addresses and containers. Synchronous, since it is asked for every flow; what is not known, or not
 * certain, is never guessed.
 */
export interface PodDirectory {
  /** As it was known at that time (µs since 1970): the same time gives the same names, whenever it is asked. */
  at(knownUs: number): PodView
}

/** `nobody`: the cluster was followed, and nobody in it had the address. `unknown`: that cannot be said. */
export type Unnamed = 'nobody' | 'unknown'

export interface PodView {
  /** Two views with the same number know the same: they answer alike. */
  readonly number: number
  /**
   * Of the last answer of `byAddress` (µs since 1970): it is the same for all times from the one that was asked for to this
   * one, exclusive. What lives as long as a connection need not be asked for with every flow.
   */
  readonly holdsUntilUs: number
  /** Who had the address at that time (µs since 1970), as seen from within `cluster`. */
  byAddress(cluster: string, address: string, timeUs: number): Identity | Unnamed
  /** Whose container this is; ids are never used again, so that no time is needed. */
  byContainer(cluster: string, containerId: string): Identity | null
  byPod(cluster: string, podUid: string): Identity | null
}

/** Where a directory gets its knowledge from. */
export interface PodSink {
  /** Known since `knownUs`; replaces what was known under its key before that. */
  put(identity: Identity, knownUs: number): void
  follow(followed: Followed, knownUs: number): void
  /** The identity with this key is of no use any more. */
  remove(cluster: string, key: string): void
  /** Nobody will ask any more what was known before `knownUs`, nor who had an address an hour before that. */
  expire(knownUs: number): void
  /**
   * What can be seen of `knownUs` and later, in the order in which it came. Told to another one in that order, it answers for
   * those times as this one does. What comes later changes nothing of what was answered here.
   */
  seenFrom(knownUs: number): readonly KnownPod[]
}
