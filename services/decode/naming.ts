/**
 * Names the two ends of a connection. The end that was captured is told by its container or pod, which is exact; the other by
 * its address at that time. What the directory does not know stays unknown: only a public address that nobody of a followed
 * cluster has is said to be external.
 */
import { isPublicAddress } from '../core/address.js'
import type { Scope, WorkloadKind } from '../core/flow.js'
import type { Identity } from '../core/pods.js'
import type { PodView } from '../core/ports/pods.js'
import type { FlowContext } from './flow_context.js'

/** The columns that name one end. */
export class End {
  readonly identity: Identity | null
  readonly kind: WorkloadKind
  readonly cluster: string
  readonly namespace: string
  readonly workload: string
  readonly pod: string
  /** Name of the container, or its id where the name is not known. */
  readonly container: string
  readonly node: string
  readonly zone: string
  readonly region: string
  readonly service: string
  readonly serviceAccount: string

  constructor(kind: WorkloadKind, identity: Identity | null, container: string, node: string) {
    this.identity = identity
    this.kind = kind
    this.cluster = identity?.cluster ?? ''
    this.namespace = identity?.namespace ?? ''
    this.workload = identity?.workload ?? ''
    this.pod = identity?.kind === 'pod' ? identity.name : ''
    this.container = container
    this.node = identity === null || identity.node === '' ? node : identity.node
    this.zone = identity?.zone ?? ''
    this.region = identity?.region ?? ''
    this.service = identity?.service ?? ''
    this.serviceAccount = identity?.serviceAccount ?? ''
  }
}

export type Place = Pick<End, 'kind' | 'cluster' | 'region' | 'zone' | 'node'>

export const UNKNOWN_END: End = new End('unknown', null, '', '')

/** Sets the ends of `context` as they were at `timeUs`, as far as `view` knows. */
export function nameEnds(context: FlowContext, view: PodView | null, timeUs: number): void {
  // Without a view the names never change.
  if (view === null && context.scope !== '') return
  if (view !== null) {
    const isKnown = context.namedView === view.number
    if (isKnown && timeUs >= context.namedFromUs && timeUs < context.namedUntilUs) return
    if (!isKnown) context.own = ownIdentity(context, view)
    context.namedView = view.number
    context.namedFromUs = timeUs
    context.namedUntilUs = Number.POSITIVE_INFINITY
  }
  const client = endOf(context, view, context.captureSide === 'client', context.clientIp, timeUs, context.client)
  const server = endOf(context, view, context.captureSide === 'server', context.serverIp, timeUs, context.server)
  if (client === context.client && server === context.server && context.scope !== '') return
  context.client = client
  context.server = server
  context.scope = scopeOf(client, server, context.clientIp, context.serverIp)
  context.shape = null
}

function ownIdentity({ cluster, container, podUid }: FlowContext, view: PodView): Identity | null {
  const identity = container === '' ? null : view.byContainer(cluster, container)
  return identity !== null || podUid === '' ? identity : view.byPod(cluster, podUid)
}

/** `before`: what the end was for the flow before, which is answered again where it is the same. */
function endOf(
  context: FlowContext,
  view: PodView | null,
  observed: boolean,
  ip: string,
  timeUs: number,
  before: End,
): End {
  const container = observed ? context.container : ''
  const node = observed ? context.node : ''
  if (view === null) {
    // On the loopback both ends are on the node of the one that was seen, whoever they are.
    const isHere = observed || (context.node !== '' && isLoopback(ip))
    return isHere ? unnamed('unknown', container, context.node, before) : UNKNOWN_END
  }
  const { own } = context
  if (own !== null && observed) return named(own, container, node, before)
  if (isLoopback(ip)) {
    // Within a pod both ends are the pod; on the network of a node it may be anybody there.
    if (own !== null && own.addresses.length > 0) return named(own, container, node, before)
    return unnamed('unknown', container, context.node, before)
  }
  const found = view.byAddress(context.cluster, ip, timeUs)
  context.namedUntilUs = Math.min(context.namedUntilUs, view.holdsUntilUs)
  if (typeof found !== 'string') {
    // A pod that nobody has told of yet, on the network of its node.
    if (container !== '' && found.kind === 'node') return unnamed('unknown', container, node, before)
    return named(found, container, node, before)
  }
  return unnamed(found === 'nobody' && isPublicAddress(ip) ? 'external' : 'unknown', container, node, before)
}

function unnamed(kind: WorkloadKind, container: string, node: string, before: End): End {
  const isSame =
    before.identity === null && before.kind === kind && before.container === container && before.node === node
  return isSame ? before : new End(kind, null, container, node)
}

function named(identity: Identity, containerId: string, node: string, before: End): End {
  if (before.identity === identity && before.kind !== 'unknown') return before
  const container = identity.containers.find(({ id }) => id === containerId)
  // A namespace has no addresses.
  const kind = identity.kind === 'namespace' ? 'unknown' : identity.kind
  return new End(kind, identity, container?.name ?? containerId, node)
}

function isLoopback(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1'
}

/** Of a socket that is bound to no address and connected to nobody. */
function isUnspecified(ip: string): boolean {
  return ip === '0.0.0.0' || ip === '::'
}

/** How far a call went, of what the names and, without them, the addresses say. */
export function scopeOf(client: Place, server: Place, clientIp: string, serverIp: string): Scope {
  if (client.kind === 'external' || server.kind === 'external') return 'internet'
  if (differ(client.cluster, server.cluster)) return 'other_cluster'
  const isSameAddress = clientIp === serverIp && clientIp !== '' && !isUnspecified(clientIp)
  if (agree(client.node, server.node) || isSameAddress || isLoopback(serverIp)) return 'same_node'
  if (differ(client.region, server.region)) return 'cross_region'
  if (agree(client.zone, server.zone)) return 'same_zone'
  if (differ(client.zone, server.zone)) return 'cross_zone'
  const isAway = (end: Place, ip: string) => end.kind === 'unknown' && isPublicAddress(ip)
  return isAway(client, clientIp) || isAway(server, serverIp) ? 'internet' : 'unknown'
}

const agree = (a: string, b: string): boolean => a !== '' && a === b
const differ = (a: string, b: string): boolean => a !== '' && b !== '' && a !== b
