/** A PodDirectory in memory, fed with identities as they become known: from a topic, from Kubernetes, by a test. */
import { isPublicAddress } from '../../core/address.js'
import type { Followed, Identity, KnownPod } from '../../core/pods.js'
import type { PodDirectory, PodSink, PodView, Unnamed } from '../../core/ports/pods.js'
import { ClusterPods, upperBound, type Version } from './cluster_pods.js'

/** Flows are named as of their first byte: a request that is decoded when it ends may have begun so much earlier. */
export const KEPT_AFTER_END_US = 3600_000_000
/** As of when all is known: below what stands for "until for ever". */
const ALL_US = Number.MAX_VALUE
/** A view's number is the count of changes it knows, below this, and how often changes came in behind later ones, above it. */
const COUNT_MAX = 2 ** 26

export class PodTable implements PodDirectory, PodSink {
  readonly #clusters = new Map<string, ClusterPods>()
  /** When changes became known, ascending, without those that all views know. */
  #changes: number[] = []
  #knownToAll = 0
  /** Changes behind later ones: with each, all views get other numbers. */
  #late = 0
  #puts = 0

  get size(): number {
    let size = 0
    for (const cluster of this.#clusters.values()) size += cluster.size
    return size
  }

  put(identity: Identity, knownUs = 0): void {
    this.#of(identity.cluster).put(identity, knownUs, this.#puts++)
    this.#changed(knownUs)
  }

  follow(followed: Followed, knownUs = 0): void {
    this.#of(followed.cluster).follow(followed, knownUs)
    this.#changed(knownUs)
  }

  remove(cluster: string, key: string): void {
    this.#clusters.get(cluster)?.remove(key)
    this.#late += 1
  }

  expire(knownUs: number): void {
    const unseen = upperBound(this.#changes, knownUs)
    this.#changes = this.#changes.slice(unseen)
    this.#knownToAll += unseen
    for (const cluster of this.#clusters.values()) cluster.expire(knownUs, knownUs - KEPT_AFTER_END_US)
  }

  seenFrom(knownUs: number): KnownPod[] {
    const versions: Version[] = []
    const followed: KnownPod[] = []
    for (const [cluster, pods] of this.#clusters) {
      for (const { knownUs: sinceUs, untilUs } of pods.seenFrom(knownUs, knownUs - KEPT_AFTER_END_US, versions)) {
        const record = { type: 'followed', followed: { cluster, network: pods.network, untilUs } } as const
        followed.push({ knownUs: sinceUs, record })
      }
    }
    versions.sort((a, b) => a.order - b.order)
    followed.sort((a, b) => a.knownUs - b.knownUs)
    return merged(versions, followed)
  }

  at(asOfUs = Number.POSITIVE_INFINITY): PodView {
    const knownUs = Math.min(asOfUs, ALL_US)
    const count = this.#knownToAll + upperBound(this.#changes, knownUs)
    return new TableView(this.#clusters, knownUs, this.#late * COUNT_MAX + (count % COUNT_MAX))
  }

  #of(name: string): ClusterPods {
    let cluster = this.#clusters.get(name)
    if (cluster === undefined) {
      cluster = new ClusterPods()
      this.#clusters.set(name, cluster)
    }
    return cluster
  }

  #changed(knownUs: number): void {
    const changes = this.#changes
    if (changes.length === 0 || changes[changes.length - 1] <= knownUs) {
      changes.push(knownUs)
      return
    }
    changes.splice(upperBound(changes, knownUs), 0, knownUs)
    this.#late += 1
  }
}

/** By time as far as the versions are: each change behind a later one costs. */
function merged(versions: readonly Version[], followed: readonly KnownPod[]): KnownPod[] {
  const all: KnownPod[] = []
  let next = 0
  for (const { identity, knownUs } of versions) {
    while (next < followed.length && followed[next].knownUs < knownUs) all.push(followed[next++])
    all.push({ knownUs, record: { type: 'identity', identity } })
  }
  while (next < followed.length) all.push(followed[next++])
  return all
}

class TableView implements PodView {
  readonly number: number
  holdsUntilUs = 0
  readonly #clusters: ReadonlyMap<string, ClusterPods>
  readonly #knownUs: number

  constructor(clusters: ReadonlyMap<string, ClusterPods>, knownUs: number, number: number) {
    this.#clusters = clusters
    this.#knownUs = knownUs
    this.number = number
  }

  /**
   * The own cluster first. Another one's address means something here only where the two share a network, or where all the
   * world agrees whose it is; and only if exactly one of them says so. One that is not followed any more says nothing, but
   * for addresses it was known to have an hour ago or later.
   */
  byAddress(cluster: string, address: string, timeUs: number): Identity | Unnamed {
    const own = this.#clusters.get(cluster)
    const found = own === undefined ? 'nobody' : own.byAddress(address, timeUs, this.#knownUs)
    this.holdsUntilUs = own === undefined ? Number.POSITIVE_INFINITY : own.holdsUntilUs
    if (found !== 'nobody') return found
    return this.#elsewhere(own, address, timeUs)
  }

  #elsewhere(own: ClusterPods | undefined, address: string, timeUs: number): Identity | Unnamed {
    const isPublic = isPublicAddress(address)
    let found: Identity | Unnamed = own === undefined ? 'unknown' : 'nobody'
    let count = 0
    // Who had ended before that may have been forgotten, or not: all tables answer alike.
    const endedUs = this.#knownUs === ALL_US ? Number.NEGATIVE_INFINITY : this.#knownUs - KEPT_AFTER_END_US
    for (const other of this.#clusters.values()) {
      const isShared = own !== undefined && own.network !== '' && own.network === other.network
      if (other === own || !(isPublic || isShared)) continue
      const there = other.byAddress(address, timeUs, this.#knownUs)
      this.holdsUntilUs = Math.min(this.holdsUntilUs, other.holdsUntilUs)
      if (there === 'nobody' || (there === 'unknown' && !other.knows(address, this.#knownUs, endedUs))) continue
      found = there
      count += 1
    }
    return count > 1 ? 'unknown' : found
  }

  byContainer(cluster: string, containerId: string): Identity | null {
    return this.#clusters.get(cluster)?.byContainer(containerId, this.#knownUs) ?? null
  }

  byPod(cluster: string, podUid: string): Identity | null {
    return this.#clusters.get(cluster)?.byPod(podUid, this.#knownUs) ?? null
  }
}
