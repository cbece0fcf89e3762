/** Who had an address or a container, and when: what flows are named with. */

/** Still valid: no end is known. µs since 1970, beyond every capture; the largest that all Avro readers take. */
export const STILL_VALID_US: number = Number.MAX_SAFE_INTEGER - 1

export type IdentityKind = 'pod' | 'service' | 'node' | 'namespace'

export interface IdentityContainer {
  /** As runtimes and cgroups name it: 64 hex digits. */
  readonly id: string
  readonly name: string
}

/**
 * One life of one pod, service, node or namespace. A change of what is known of it is the same identity with the same key
 * again; with other addresses it is another life of the same object, with a key of its own.
 */
export interface Identity {
  /** Unique in its cluster: the object's uid, for later lives with a number behind it. */
  readonly key: string
  readonly kind: IdentityKind
  readonly cluster: string
  readonly namespace: string
  /** Name of the object itself. */
  readonly name: string
  /** Deployment, StatefulSet, DaemonSet, Job or CronJob at the top of the owners; the pod's own name where it has none. */
  readonly workload: string
  readonly workloadKind: string
  readonly node: string
  readonly zone: string
  readonly region: string
  /** The service's name; of a pod the service it belongs to, where that is exactly one. */
  readonly service: string
  readonly serviceAccount: string
  /** Of a pod: its uid as cgroups name it; '' otherwise. */
  readonly podUid: string
  /** Addresses that are this one's alone while it is valid. */
  readonly addresses: readonly string[]
  readonly containers: readonly IdentityContainer[]
  /** µs since 1970. `from` inclusive, `to` exclusive. */
  readonly validFromUs: number
  readonly validToUs: number
}

/** How far a cluster has been followed: what happened there up to `untilUs` has been told. */
export interface Followed {
  readonly cluster: string
  /** Clusters that route each other's addresses and use none twice share a name; '' = this one is alone. */
  readonly network: string
  /** µs since 1970. */
  readonly untilUs: number
}

/** What klartext.pods says. */
export type PodRecord =
  | { readonly type: 'identity'; readonly identity: Identity }
  | { readonly type: 'followed'; readonly followed: Followed }

/** With the time since which it is known (µs since 1970). */
export interface KnownPod {
  readonly knownUs: number
  readonly record: PodRecord
}
