/**
 * Kubernetes objects, reduced to the few fields that names are made of. What comes from the API is not trusted to have any
 * shape: a field of another type counts as missing, an object without a uid as unreadable.
 */
import { isIP } from 'node:net'
import { addressToBytes, addressToText } from '../core/address.js'
import { SharedTexts } from '../core/shared_texts.js'

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

/** Times are µs since 1970, of whole seconds as Kubernetes tells them, rounded down; 0 = not told. */
export interface PodObject extends Common {
  /** Uid as the kubelet names cgroups: static pods have another one in the API. */
  readonly podUid: string
  readonly owner: Owner | null
  readonly node: string
  readonly serviceAccount: string
  readonly addresses: readonly string[]
  readonly containers: readonly { readonly id: string; readonly name: string }[]
  readonly createdUs: number
  /** The kubelet has taken it up; its network comes later, with volumes to be mounted minutes later. */
  readonly startedUs: number
  /** Its network was up. */
  readonly networkUs: number
  /** The first of its containers began; 0 also where a container has ended so often that this is not told any more. */
  readonly firstRunUs: number
  /** The first of the containers that run now began. */
  readonly runningUs: number
  /** The kubelet tells of containers. */
  readonly hasContainers: boolean
  /** It is being deleted or has run to its end: its containers do not come back. */
  readonly isLeaving: boolean
  /** It has run to its end. */
  readonly isOver: boolean
  /** When its last container ended, if all have; they may be started again. Rounded up. */
  readonly stoppedUs: number
  /** The same of a leaving pod, whose containers are not. */
  readonly endedUs: number
}

export interface OwnedObject extends Common {
  readonly owner: Owner | null
}

export interface ServiceObject extends Common {
  /** Its cluster IPs. */
  readonly addresses: readonly string[]
  /** Of load balancers, which may come and go. */
  readonly ingressAddresses: readonly string[]
  readonly createdUs: number
}

export interface SliceObject extends Common {
  readonly service: string
  /** Uids of the pods behind it. */
  readonly pods: readonly string[]
}

export interface NamespaceObject extends Common {
  readonly createdUs: number
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
const SECOND_US = 1_000_000

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, LIST_MAX) : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, TEXT_CHARS_MAX) : ''
}

const shared = new SharedTexts()

/** Of what comes with many objects. */
function sharedText(value: unknown): string {
  return shared.of(text(value))
}

/** RFC 3339 to µs; 0 for anything else. */
function timeUs(value: unknown): number {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(ms) ? 0 : ms * 1000
}

/** What Kubernetes makes; other texts could not be told from keys that are made of them. */
const UID = /^[\w-]{1,128}$/

function common(object: unknown): Common | null {
  const metadata = fields(fields(object).metadata)
  const [uid, name] = [text(metadata.uid), text(metadata.name)]
  return UID.test(uid) && name !== '' ? { uid, name, namespace: sharedText(metadata.namespace) } : null
}

/** In the form in which flows have them; what is no address, or anybody's, is left out. */
function addressesOf(values: readonly unknown[]): string[] {
  const all = new Set<string>()
  for (const value of values) {
    if (isIP(text(value)) === 0) continue
    const address = addressToText(addressToBytes(text(value)))
    if (!/^(127\.|0\.|::1?$)/.test(address)) all.add(address)
  }
  return [...all]
}

/** The owner that controls it; there is at most one. */
function ownerOf(object: unknown): Owner | null {
  for (const each of list(fields(fields(object).metadata).ownerReferences)) {
    const { kind, name, uid, controller } = fields(each)
    if (controller === true) return { kind: sharedText(kind), name: sharedText(name), uid: sharedText(uid) }
  }
  return null
}

export function readPod(object: unknown): PodObject | null {
  const named = common(object)
  if (named === null) return null
  const metadata = fields(fields(object).metadata)
  const spec = fields(fields(object).spec)
  const status = fields(fields(object).status)
  const app = list(status.containerStatuses).map(fields)
  const statuses = [...app, ...list(status.initContainerStatuses).map(fields)]
  const isOver = status.phase === 'Succeeded' || status.phase === 'Failed'
  const isLeaving = isOver || timeUs(metadata.deletionTimestamp) !== 0
  const stoppedUs = endOf(app)
  return {
    ...named,
    podUid: cgroupUid(metadata) || named.uid,
    owner: ownerOf(object),
    node: sharedText(spec.nodeName),
    serviceAccount: sharedText(spec.serviceAccountName),
    // Its node's addresses are not the pod's alone.
    addresses: spec.hostNetwork === true ? [] : podAddresses(status),
    containers: statuses.flatMap(containersOf),
    createdUs: timeUs(metadata.creationTimestamp),
    startedUs: timeUs(status.startTime),
    networkUs: conditionUs(status, 'PodReadyToStartContainers'),
    firstRunUs: firstRun(statuses),
    runningUs: earliest(statuses.map(({ state }) => timeUs(fields(fields(state).running).startedAt))),
    hasContainers: statuses.length > 0,
    isLeaving,
    isOver,
    stoppedUs,
    endedUs: isLeaving ? stoppedUs || (isOver && app.length === 0 ? lastChange(status) : 0) : 0,
  }
}

/** Of a static pod: the kubelet made it before the API server gave it a uid. */
function cgroupUid(metadata: Fields): string {
  const annotations = fields(metadata.annotations)
  const uid = text(annotations['kubernetes.io/config.hash'])
  return text(annotations['kubernetes.io/config.mirror']) !== '' && UID.test(uid) ? uid : ''
}

function podAddresses(status: Fields): string[] {
  return addressesOf([...list(status.podIPs).map((each) => fields(each).ip), status.podIP])
}

/** The present one, and the one before it that has ended. */
function containersOf(status: Fields): { id: string; name: string }[] {
  const before = fields(fields(status.lastState).terminated)
  const name = sharedText(status.name)
  return [text(before.containerID), text(status.containerID)]
    .map((id) => ({ name, id: bareId(id) }))
    .filter(({ id }) => id !== '')
}

/** `containerd://3f4a…` names the runtime first. */
function bareId(id: string): string {
  // A slice would keep the whole text.
  return Buffer.from(id.slice(id.lastIndexOf('/') + 1)).toString()
}

function earliest(times: readonly number[]): number {
  const told = times.filter((time) => time !== 0)
  return told.length === 0 ? 0 : Math.min(...told)
}

function firstRun(statuses: readonly Fields[]): number {
  // Two restarts on, the first run is not told of.
  if (statuses.some(({ restartCount }) => Number(restartCount) > 1)) return 0
  const times = statuses.flatMap(({ state, lastState }) => [
    fields(fields(state).running).startedAt,
    fields(fields(state).terminated).startedAt,
    fields(fields(lastState).terminated).startedAt,
  ])
  return earliest(times.map(timeUs))
}

/** Since when a condition holds. */
function conditionUs(status: Fields, wanted: string): number {
  const condition = list(status.conditions)
    .map(fields)
    .find(({ type }) => type === wanted)
  return condition?.status === 'True' ? timeUs(condition.lastTransitionTime) : 0
}

function endOf(statuses: readonly Fields[]): number {
  let last = 0
  for (const status of statuses) {
    const finished = timeUs(fields(fields(status.state).terminated).finishedAt)
    if (finished === 0) return 0
    last = Math.max(last, finished)
  }
  return last === 0 ? 0 : last + SECOND_US
}

/** An evicted pod has no containers to tell of; its conditions changed when it ended. */
function lastChange(status: Fields): number {
  const times = list(status.conditions).map((each) => timeUs(fields(each).lastTransitionTime))
  const last = Math.max(0, ...times)
  return last === 0 ? 0 : last + SECOND_US
}

export function readOwned(object: unknown): OwnedObject | null {
  const named = common(object)
  return named === null ? null : { ...named, owner: ownerOf(object) }
}

export function readService(object: unknown): ServiceObject | null {
  const named = common(object)
  if (named === null) return null
  const spec = fields(fields(object).spec)
  const ingress = list(fields(fields(fields(object).status).loadBalancer).ingress).map((each) => fields(each).ip)
  // A headless one has the cluster IP "None".
  const addresses = addressesOf([spec.clusterIP, ...list(spec.clusterIPs)])
  return {
    ...named,
    addresses,
    ingressAddresses: addressesOf(ingress).filter((address) => !addresses.includes(address)),
    createdUs: timeUs(fields(fields(object).metadata).creationTimestamp),
  }
}

export function readNamespace(object: unknown): NamespaceObject | null {
  const named = common(object)
  return named === null ? null : { ...named, createdUs: timeUs(fields(fields(object).metadata).creationTimestamp) }
}

export function readSlice(object: unknown): SliceObject | null {
  const named = common(object)
  if (named === null) return null
  const labels = fields(fields(fields(object).metadata).labels)
  const pods = list(fields(object).endpoints).map((each) => {
    const { kind, uid } = fields(fields(each).targetRef)
    return kind === 'Pod' ? text(uid) : ''
  })
  return { ...named, service: sharedText(labels['kubernetes.io/service-name']), pods: pods.filter((uid) => uid !== '') }
}

export function readNode(object: unknown): NodeObject | null {
  const named = common(object)
  if (named === null) return null
  const labels = fields(fields(fields(object).metadata).labels)
  const addresses = list(fields(fields(object).status).addresses).map(fields)
  return {
    ...named,
    addresses: addressesOf(
      addresses.filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP').map(({ address }) => address),
    ),
    zone: text(labels['topology.kubernetes.io/zone']),
    region: text(labels['topology.kubernetes.io/region']),
    createdUs: timeUs(fields(fields(object).metadata).creationTimestamp),
  }
}

/** What is told of the pod would be the same. */
export function isSamePod(a: PodObject, b: PodObject): boolean {
  return (
    a.name === b.name &&
    a.podUid === b.podUid &&
    a.owner?.uid === b.owner?.uid &&
    a.node === b.node &&
    a.startedUs === b.startedUs &&
    a.networkUs === b.networkUs &&
    a.firstRunUs === b.firstRunUs &&
    a.runningUs === b.runningUs &&
    a.hasContainers === b.hasContainers &&
    a.isLeaving === b.isLeaving &&
    a.isOver === b.isOver &&
    a.stoppedUs === b.stoppedUs &&
    a.endedUs === b.endedUs &&
    a.serviceAccount === b.serviceAccount &&
    a.addresses.length === b.addresses.length &&
    a.addresses.every((address, i) => address === b.addresses[i]) &&
    a.containers.length === b.containers.length &&
    a.containers.every(({ id, name }, i) => id === b.containers[i].id && name === b.containers[i].name)
  )
}
