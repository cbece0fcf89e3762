/**
 * Kubernetes objects, reduced to the few fields that names are made of. What comes from the API is not trusted to have any
 * shape: a field of another type counts as missing, an object without a uid as unreadable.
 */

export interface Owner {
  readonly kind: string
  readonly name: string
  readonly uid: string
}

interface Common {
  readonly uid: string
  readonly namespace: string
  readonly name: string
}

export interface PodObject extends Common {
  readonly owner: Owner | null
  readonly node: string
  readonly serviceAccount: string
  readonly addresses: readonly string[]
  readonly containers: readonly { readonly id: string; readonly name: string }[]
  /** µs since 1970; 0 = the kubelet has not taken it up. */
  readonly startedUs: number
  /** When its last container ended, if all have; 0 otherwise. Whole seconds, rounded up. */
  readonly endedUs: number
}

export interface OwnedObject extends Common {
  readonly owner: Owner | null
}

export interface ServiceObject extends Common {
  readonly addresses: readonly string[]
  readonly createdUs: number
}

export interface SliceObject extends Common {
  readonly service: string
  /** Uids of the pods behind it. */
  readonly pods: readonly string[]
}

export interface NodeObject extends Common {
  readonly addresses: readonly string[]
  readonly zone: string
  readonly region: string
  readonly createdUs: number
}

type Fields = Record<string, unknown>

/** Lists and texts of an object are cut at these: a pod has a few containers and addresses. */
const LIST_MAX = 1000
const TEXT_CHARS_MAX = 512

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, LIST_MAX) : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, TEXT_CHARS_MAX) : ''
}

/** RFC 3339 to µs; 0 for anything else. */
function timeUs(value: unknown): number {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(ms) ? 0 : ms * 1000
}

function common(object: unknown): Common | null {
  const metadata = fields(fields(object).metadata)
  const [uid, name] = [text(metadata.uid), text(metadata.name)]
  return uid === '' || name === '' ? null : { uid, name, namespace: text(metadata.namespace) }
}

/** The owner that controls it; there is at most one. */
function ownerOf(object: unknown): Owner | null {
  for (const each of list(fields(fields(object).metadata).ownerReferences)) {
    const { kind, name, uid, controller } = fields(each)
    if (controller === true) return { kind: text(kind), name: text(name), uid: text(uid) }
  }
  return null
}

export function readPod(object: unknown): PodObject | null {
  const named = common(object)
  if (named === null) return null
  const spec = fields(fields(object).spec)
  const status = fields(fields(object).status)
  const statuses = [...list(status.containerStatuses), ...list(status.initContainerStatuses)].map(fields)
  return {
    ...named,
    owner: ownerOf(object),
    node: text(spec.nodeName),
    serviceAccount: text(spec.serviceAccountName),
    // Its node's addresses are not the pod's alone.
    addresses: spec.hostNetwork === true ? [] : podAddresses(status),
    containers: statuses
      .map(({ name, containerID }) => ({ name: text(name), id: bareId(text(containerID)) }))
      .filter(({ id }) => id !== ''),
    startedUs: timeUs(status.startTime),
    endedUs: endOf(list(status.containerStatuses).map(fields)),
  }
}

function podAddresses(status: Fields): string[] {
  const all = list(status.podIPs).map((each) => text(fields(each).ip))
  return [...new Set([...all, text(status.podIP)])].filter((address) => address !== '')
}

/** `containerd://3f4a…` names the runtime first. */
function bareId(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1)
}

function endOf(statuses: readonly Fields[]): number {
  let last = 0
  for (const status of statuses) {
    const finished = timeUs(fields(fields(status.state).terminated).finishedAt)
    if (finished === 0) return 0
    last = Math.max(last, finished)
  }
  return last === 0 ? 0 : last + 1_000_000
}

export function readOwned(object: unknown): OwnedObject | null {
  const named = common(object)
  return named === null ? null : { ...named, owner: ownerOf(object) }
}

const NO_ADDRESS = new Set(['', 'None'])

export function readService(object: unknown): ServiceObject | null {
  const named = common(object)
  if (named === null) return null
  const spec = fields(fields(object).spec)
  const clusterIps = [text(spec.clusterIP), ...list(spec.clusterIPs).map(text)]
  const ingress = list(fields(fields(fields(object).status).loadBalancer).ingress).map((each) => text(fields(each).ip))
  return {
    ...named,
    addresses: [...new Set([...clusterIps, ...ingress])].filter((address) => !NO_ADDRESS.has(address)),
    createdUs: timeUs(fields(fields(object).metadata).creationTimestamp),
  }
}

export function readSlice(object: unknown): SliceObject | null {
  const named = common(object)
  if (named === null) return null
  const labels = fields(fields(fields(object).metadata).labels)
  const pods = list(fields(object).endpoints).map((each) => {
    const { kind, uid } = fields(fields(each).targetRef)
    return kind === 'Pod' ? text(uid) : ''
  })
  return { ...named, service: text(labels['kubernetes.io/service-name']), pods: pods.filter((uid) => uid !== '') }
}

export function readNode(object: unknown): NodeObject | null {
  const named = common(object)
  if (named === null) return null
  const labels = fields(fields(fields(object).metadata).labels)
  const addresses = list(fields(fields(object).status).addresses).map(fields)
  return {
    ...named,
    addresses: addresses
      .filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
      .map(({ address }) => text(address)),
    zone: text(labels['topology.kubernetes.io/zone']),
    region: text(labels['topology.kubernetes.io/region']),
    createdUs: timeUs(fields(fields(object).metadata).creationTimestamp),
  }
}
