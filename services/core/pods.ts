/** Who had an address or a container, and when: what flows are named with. */
import type { WorkloadKind } from './flow.js'

/** Still valid: no end is known. µs since 1970, beyond every capture. */
export const STILL_VALID_US: number = Number.MAX_SAFE_INTEGER

export interface IdentityContainer {
  /** As runtimes and cgroups name it: 64 hex digits. */
  readonly id: string
  readonly name: string
}

/** One life of one pod, service or node. A change of what is known of it is the same identity with the same key again. */
export interface Identity {
  /** Unique in its cluster: the object's uid. */
  readonly key: string
  readonly kind: Exclude<WorkloadKind, 'unknown' | 'external'>
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
  /** Addresses that are this one's alone while it is valid. */
  readonly addresses: readonly string[]
  readonly containers: readonly IdentityContainer[]
  /** µs since 1970. `from` inclusive, `to` exclusive. */
  readonly validFromUs: number
  readonly validToUs: number
}
