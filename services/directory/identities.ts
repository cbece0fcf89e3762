/**
 * Puts identities together from what the watches see: a pod's workload is at the end of its owners, its zone is its node's,
 * its services are those whose slices name it. Whatever arrives later than the pod makes its identity anew; what is told is
 * told once, until it changes. A pod that leaves keeps the names it had: that its owner or its slice went first is no news.
 */
import { type Identity, type IdentityKind, STILL_VALID_US } from '../core/pods.js'
import { KeyIndex, NO_KEYS } from './key_index.js'
import { type Draft, Lives } from './lives.js'
import {
  isSamePod,
  type NamespaceObject,
  type NodeObject,
  type OwnedObject,
  type PodObject,
  type ServiceObject,
  type SliceObject,
} from './objects.js'
import { NO_WORKLOAD, Owners, type Workload } from './owners.js'

export interface IdentityTimes {
  nowUs(): number
  /** What was there then has been seen; what is gone now has gone later than that. */
  seenUs(): number
}

export class Identities {
  readonly #cluster: string
  readonly #times: IdentityTimes
  readonly #lives: Lives
  readonly #pods = new Map<string, PodObject>()
  readonly #owners = new Owners()
  readonly #nodes = new Map<string, NodeObject>()
  readonly #services = new Map<string, ServiceObject>()
  readonly #namespaces = new Map<string, NamespaceObject>()
  readonly #slices = new Map<string, SliceObject>()
  readonly #podsByOwner = new KeyIndex()
  readonly #podsByNode = new KeyIndex()
  readonly #slicesByPod = new KeyIndex()
  readonly #slicesByService = new KeyIndex()
  /** Services to be told of on release: until then each of their pods would have all the others looked at again. */
  #heldServices: Set<string> | null = null

  constructor(cluster: string, times: IdentityTimes, tell: (identity: Identity) => void) {
    this.#cluster = cluster
    this.#times = times
    this.#lives = new Lives(tell)
  }

  get podCount(): number {
    return this.#pods.size
  }

  /** How much is held, by kind: each must be near what is in the cluster. */
  get sizes(): Readonly<Record<string, number>> {
    return {
      pods: this.#pods.size,
      owners: this.#owners.size,
      nodes: this.#nodes.size,
      services: this.#services.size,
      namespaces: this.#namespaces.size,
      slices: this.#slices.size,
      lives: this.#lives.size,
    }
  }

  /** Until `release` nothing is told; `restore` says what was told by a process before this one. */
  hold(): void {
    this.#heldServices = new Set()
    this.#lives.hold()
  }

  restore(identity: Identity): void {
    this.#lives.restore(identity)
  }

  /** All there is has been seen: what was told and is not there has gone. */
  release(): void {
    for (const object of this.#lives.objects()) {
      if (!this.#isThere(object)) this.#gone(object, this.#times.seenUs())
    }
    const services = this.#heldServices ?? NO_KEYS
    this.#heldServices = null
    this.#servicesAgainBy(services)
    this.#lives.release()
  }

  #isThere(object: string): boolean {
    const life = this.#lives.of(object)
    if (life === null) return false
    if (life.kind === 'pod') return this.#pods.has(object)
    if (life.kind === 'node') return this.#nodes.get(life.name)?.uid === object
    if (life.kind === 'namespace') return this.#namespaces.get(life.name)?.uid === object
    const service = this.#services.get(`${life.namespace}/${life.name}`)
    return service !== undefined && (object === service.uid || object === ingressOf(service.uid))
  }

  #gone(object: string, atUs: number): void {
    this.#lives.end(object, atUs)
    this.#lives.forget(object)
  }

  pod(pod: PodObject): void {
    const before = this.#pods.get(pod.uid)
    if (before !== undefined) {
      // Most changes are of no interest; what is kept then stays where it is in memory.
      if (isSamePod(before, pod)) return
      this.#unlinkPod(before)
    }
    this.#pods.set(pod.uid, pod)
    if (pod.owner !== null) this.#podsByOwner.add(pod.owner.uid, pod.uid)
    if (pod.node !== '') this.#podsByNode.add(pod.node, pod.uid)
    this.#tellPod(pod)
    if (before === undefined) this.#servicesAgain([pod.uid])
  }

  #unlinkPod(pod: PodObject): void {
    if (pod.owner !== null) {
      const { uid } = pod.owner
      this.#podsByOwner.remove(uid, pod.uid)
    }
    this.#podsByNode.remove(pod.node, pod.uid)
  }

  podGone(uid: string): void {
    const pod = this.#pods.get(uid)
    if (pod === undefined) return
    this.#pods.delete(uid)
    this.#gone(uid, pod.endedUs || pod.stoppedUs || this.#times.seenUs())
    this.#unlinkPod(pod)
    const owner = pod.owner?.uid ?? ''
    if (this.#podsByOwner.of(owner).size === 0) this.#owners.podsGone(owner)
  }

  /** A ReplicaSet, Job or the like: something between a pod and its workload. */
  owner(kind: string, owner: OwnedObject): void {
    if (!this.#owners.put(kind, owner)) return
    const pods = this.#podsByOwner.of(owner.uid)
    this.#podsAgain(pods)
    this.#servicesAgain(pods)
  }

  ownerGone(uid: string): void {
    this.#owners.gone(uid, this.#podsByOwner.of(uid).size > 0)
  }

  node(node: NodeObject): void {
    const before = this.#nodes.get(node.name)
    if (before !== undefined && before.uid !== node.uid) this.#gone(before.uid, this.#times.seenUs())
    this.#nodes.set(node.name, node)
    const { name, zone, region, addresses } = node
    const place = { node: name, zone, region, workload: name, workloadKind: 'Node', addresses }
    this.#lives.say(node.uid, { ...this.#draft('node', node), ...place }, node.createdUs, this.#times.nowUs())
    if (before?.zone !== zone || before.region !== region) this.#podsAgain(this.#podsByNode.of(name))
  }

  nodeGone(name: string): void {
    const node = this.#nodes.get(name)
    if (node === undefined) return
    this.#nodes.delete(name)
    this.#gone(node.uid, this.#times.seenUs())
  }

  namespace(namespace: NamespaceObject): void {
    const before = this.#namespaces.get(namespace.name)
    if (before !== undefined && before.uid !== namespace.uid) this.#gone(before.uid, this.#times.seenUs())
    this.#namespaces.set(namespace.name, namespace)
    const draft = { ...this.#draft('namespace', namespace), namespace: namespace.name }
    this.#lives.say(namespace.uid, draft, namespace.createdUs, this.#times.nowUs())
  }

  namespaceGone(name: string): void {
    const namespace = this.#namespaces.get(name)
    if (namespace === undefined) return
    this.#namespaces.delete(name)
    this.#gone(namespace.uid, this.#times.seenUs())
  }

  service(service: ServiceObject): void {
    const path = `${service.namespace}/${service.name}`
    const before = this.#services.get(path)
    if (before !== undefined && before.uid !== service.uid) this.#serviceOver(before)
    this.#services.set(path, service)
    this.#servicesAgainBy([path])
  }

  serviceGone(namespace: string, name: string): void {
    const path = `${namespace}/${name}`
    const service = this.#services.get(path)
    if (service === undefined) return
    this.#services.delete(path)
    this.#serviceOver(service)
  }

  #serviceOver({ uid }: ServiceObject): void {
    this.#gone(uid, this.#times.seenUs())
    this.#gone(ingressOf(uid), this.#times.seenUs())
  }

  slice(slice: SliceObject): void {
    const before = this.#slices.get(slice.uid)
    this.#slices.set(slice.uid, slice)
    this.#linkSlice(before ?? null, slice)
  }

  sliceGone(uid: string): void {
    const slice = this.#slices.get(uid)
    if (slice === undefined) return
    this.#slices.delete(uid)
    this.#linkSlice(slice, null)
  }

  #linkSlice(before: SliceObject | null, now: SliceObject | null): void {
    if (before !== null) {
      for (const pod of before.pods) this.#slicesByPod.remove(pod, before.uid)
      this.#slicesByService.remove(`${before.namespace}/${before.service}`, before.uid)
    }
    if (now !== null) {
      for (const pod of now.pods) this.#slicesByPod.add(pod, now.uid)
      this.#slicesByService.add(`${now.namespace}/${now.service}`, now.uid)
    }
    this.#podsAgain(new Set([...(before?.pods ?? []), ...(now?.pods ?? [])]))
    this.#servicesAgainBy(new Set([before, now].map((slice) => `${slice?.namespace}/${slice?.service}`)))
  }

  #podsAgain(uids: Iterable<string>): void {
    for (const uid of uids) {
      const pod = this.#pods.get(uid)
      if (pod !== undefined) this.#tellPod(pod)
    }
  }

  /** The services that these pods are behind. */
  #servicesAgain(pods: Iterable<string>): void {
    const paths = new Set<string>()
    for (const pod of pods) for (const slice of this.#slicesOf(pod)) paths.add(`${slice.namespace}/${slice.service}`)
    this.#servicesAgainBy(paths)
  }

  #servicesAgainBy(paths: Iterable<string>): void {
    for (const path of paths) {
      const service = this.#services.get(path)
      if (service === undefined) continue
      if (this.#heldServices === null) this.#tellService(service)
      else this.#heldServices.add(path)
    }
  }

  #tellPod(pod: PodObject): void {
    // Nothing of it runs yet.
    if (pod.node === '') return
    const life = this.#lives.of(pod.uid)
    const node = this.#nodes.get(pod.node)
    const workload = this.#workloadOf(pod, life)
    const services = new Set(this.#slicesOf(pod.uid).map(({ service }) => service))
    const [service = ''] = services.size === 1 ? services : []
    const isBare = pod.isLeaving && life !== null && pod.addresses.length < life.addresses.length
    const draft: Draft = {
      ...this.#draft('pod', pod),
      workload: workload.name,
      workloadKind: workload.kind,
      node: pod.node,
      zone: node?.zone || (life?.zone ?? ''),
      region: node?.region || (life?.region ?? ''),
      service: pod.isLeaving && life !== null ? life.service : service,
      serviceAccount: pod.serviceAccount,
      podUid: pod.podUid,
      addresses: isBare ? life.addresses : pod.addresses,
      containers: pod.containers,
      validToUs: this.#endOf(pod, life),
    }
    this.#lives.say(pod.uid, draft, this.#beginningOf(pod, life), pod.runningUs || this.#times.nowUs())
  }

  /** When it had its addresses for certain; nothing of it can have used them before its first container began. */
  #beginningOf(pod: PodObject, life: Identity | null): number {
    if (pod.addresses.length === 0) {
      return life !== null && life.addresses.length > 0 ? life.validFromUs : pod.startedUs || pod.createdUs
    }
    if (pod.firstRunUs !== 0) return pod.firstRunUs
    if (life !== null && life.addresses.length > 0) return life.validFromUs
    if (pod.networkUs !== 0) return pod.networkUs
    return pod.hasContainers ? this.#times.nowUs() : pod.startedUs || this.#times.nowUs()
  }

  #endOf(pod: PodObject, life: Identity | null): number {
    if (pod.endedUs !== 0) return pod.endedUs
    if (!pod.isOver) return STILL_VALID_US
    // It has ended, nobody said when.
    return life !== null && life.validToUs !== STILL_VALID_US ? life.validToUs : this.#times.nowUs()
  }

  #slicesOf(pod: string): SliceObject[] {
    return [...this.#slicesByPod.of(pod)].flatMap((uid) => this.#slices.get(uid) ?? [])
  }

  /** By its owners, or as it was when they were known. */
  #workloadOf(pod: PodObject, life: Identity | null): Workload {
    const workload = this.#owners.workloadOf(pod)
    return workload.name !== '' || life === null ? workload : { name: life.workload, kind: life.workloadKind }
  }

  /** A cluster IP stands for pods; where all of them are of one workload, for that, also while there are none for a time. */
  #tellService(service: ServiceObject): void {
    const slices = [...this.#slicesByService.of(`${service.namespace}/${service.name}`)]
    const pods = slices.flatMap((uid) => this.#slices.get(uid)?.pods ?? []).flatMap((uid) => this.#pods.get(uid) ?? [])
    const { name, kind } = this.#workloadBehind(pods, this.#lives.of(service.uid))
    const draft = {
      ...this.#draft('service', service),
      workload: name,
      workloadKind: kind,
      service: service.name,
      addresses: service.addresses,
    }
    this.#lives.say(service.uid, draft, service.createdUs, this.#times.nowUs())
    const ingress = ingressOf(service.uid)
    const known = this.#lives.of(ingress)
    if (service.ingressAddresses.length === 0 && known === null) return
    // Since when they are its own, nobody says.
    const nowUs = this.#times.nowUs()
    this.#lives.say(ingress, { ...draft, addresses: service.ingressAddresses }, known?.validFromUs ?? nowUs, nowUs)
  }

  #workloadBehind(pods: readonly PodObject[], life: Identity | null): Workload {
    const before: Workload = life === null ? NO_WORKLOAD : { name: life.workload, kind: life.workloadKind }
    let found = NO_WORKLOAD
    let isPartlyKnown = pods.length === 0
    for (const pod of pods) {
      const workload = this.#workloadOf(pod, this.#lives.of(pod.uid))
      if (workload.name === '') isPartlyKnown = true
      else if (found.name === '') found = workload
      else if (found.name !== workload.name || found.kind !== workload.kind) return NO_WORKLOAD
    }
    if (!isPartlyKnown) return found
    // Nothing speaks against what it was.
    return found.name === '' || (found.name === before.name && found.kind === before.kind) ? before : NO_WORKLOAD
  }

  #draft(kind: IdentityKind, object: { namespace: string; name: string }): Draft {
    return {
      kind,
      cluster: this.#cluster,
      namespace: object.namespace,
      name: object.name,
      workload: '',
      workloadKind: '',
      node: '',
      zone: '',
      region: '',
      service: '',
      serviceAccount: '',
      podUid: '',
      addresses: [],
      containers: [],
      validToUs: STILL_VALID_US,
    }
  }
}

/** Under which the addresses of a service's load balancers are told. */
const ingressOf = (uid: string): string => `${uid}.lb`
