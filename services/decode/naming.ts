/**
 * Names the two ends of a connection. The end that was captured is told by its container, which is exact; the other by its
 * address at that time. What the directory does not know stays unknown: only a public address that it does not know is said
 * to be external.
 */
import { isPublicAddress } from '../core/address.js'
import type { WorkloadKind } from '../core/flow.js'
import { type Identity, STILL_VALID_US } from '../core/pods.js'
import type { PodDirectory } from '../core/ports/pods.js'
import type { FlowContext } from './flow_row.js'

/** The columns that name one end. */
export class End {
  readonly kind: WorkloadKind
  readonly cluster: string
  readonly namespace: string
  readonly workload: string
  readonly pod: string
  /** Name of the container, or its id where the name is not known. */
  readonly container: string
  readonly node: string
  readonly zone: string
  readonly service: string
  readonly serviceAccount: string

  constructor(kind: WorkloadKind, identity: Identity | null, container: string, node: string) {
    this.kind = kind
    this.cluster = identity?.cluster ?? ''
    this.namespace = identity?.namespace ?? ''
    this.workload = identity?.workload ?? ''
    this.pod = identity?.kind === 'pod' ? identity.name : ''
    this.container = container
    this.node = identity === null || identity.node === '' ? node : identity.node
    this.zone = identity?.zone ?? ''
    this.service = identity?.service ?? ''
    this.serviceAccount = identity?.serviceAccount ?? ''
  }
}

export const UNKNOWN_END: End = new End('unknown', null, '', '')

/** Sets the ends of `context` as they were at `timeUs`; does nothing while what it says is still good. */
export function nameEnds(context: FlowContext, directory: PodDirectory | null, timeUs: number): void {
  const version = directory?.version ?? 0
  if (context.namedVersion === version && timeUs >= context.namedFromUs && timeUs < context.namedToUs) return
  context.namedVersion = version
  context.namedFromUs = 0
  context.namedToUs = STILL_VALID_US
  const own = directory === null || context.container === '' ? null : directory.byContainer(context.container)
  context.client = endOf(context, directory, own, context.captureSide === 'client', context.clientIp, timeUs)
  context.server = endOf(context, directory, own, context.captureSide === 'server', context.serverIp, timeUs)
}

function endOf(
  context: FlowContext,
  directory: PodDirectory | null,
  own: Identity | null,
  observed: boolean,
  ip: string,
  timeUs: number,
): End {
  const container = observed ? context.container : ''
  const node = observed ? context.node : ''
  if (directory === null) return observed ? new End('unknown', null, container, node) : UNKNOWN_END
  // Within a pod both ends are the same, and the address is no one's in particular.
  if (own !== null && (observed || isLoopback(ip))) return named(own, container, node)
  const identity = directory.byAddress(context.cluster, ip, timeUs)
  if (identity === null) {
    // Whose it is from when on, nobody said: asked again for the next flow.
    context.namedToUs = 0
    return new End(isPublicAddress(ip) ? 'external' : 'unknown', null, container, node)
  }
  context.namedFromUs = Math.max(context.namedFromUs, identity.validFromUs)
  context.namedToUs = Math.min(context.namedToUs, identity.validToUs)
  return named(identity, container, node)
}

function named(identity: Identity, containerId: string, node: string): End {
  const container = identity.containers.find(({ id }) => id === containerId)
  return new End(identity.kind, identity, container?.name ?? containerId, node)
}

function isLoopback(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1'
}
