/**
 * Puts identities together from what the watches see: a pod's workload is at the end of its owners, its zone is its node's,
 * its services are those whose slices name it. Whatever arrives later than the pod makes its identity anew; what is told is
 * told once, until it changes.
 */
import { type Identity, STILL_VALID_US } from '../core/pods.js'
import type { NodeObject, OwnedObject, PodObject, ServiceObject, SliceObject } from './objects.js'

/** Owners of owners: ReplicaSet, Deployment and whatever controls that. */
const OWNERS_MAX = 8

export class Identities {
  readonly #cluster: string
  readonly #tell: (identity: Identity) => void
  readonly #nowUs: () => number
  readonly #pods = new Map<string, PodObject>()
  readonly #owners = new Map<string, OwnedObject & { readonly kind: string }>()
  readonly #nodes = new Map<string, NodeObject>()
  readonly #services = new Map<string, ServiceObject>()
  readonly #slices = new Map<string, SliceObject>()
  readonly #podsByOwner = new Index()
  readonly #podsByNode = new Index()
  readonly #slicesByPod = new Index()
  readonly #slicesByService = new Index()
  /** What was told last, by key, as text: an object changes often, its identity seldom. */
  readonly #told = new Map<string, string>()

  constructor(cluster: string, nowUs: () => number, tell: (identity: Identity) => void) {
    this.#cluster = cluster
    this.#nowUs = nowUs
    this.#tell = tell
  }

  get podCount(): number {
    return this.#pods.size
  }

  pod(pod: PodObject): void {
    this.#pods.set(pod.uid, pod)
    if (pod.owner !== null) this.#podsByOwner.add(pod.owner.uid, pod.uid)
    if (pod.node !== '') this.#podsByNode.add(pod.node, pod.uid)
    this.#tellPod(pod, pod.endedUs === 0 ? STILL_VALID_US : pod.endedUs)
  }

  podGone(uid: string): void {
    const pod = this.#pods.get(uid)
    if (pod === undefined) return
    this.#tellPod(pod, pod.endedUs === 0 ? this.#nowUs() : pod.endedUs)
    this.#pods.delete(uid)
    this.#told.delete(uid)
    if (pod.owner !== null) this.#podsByOwner.remove(pod.owner.uid, uid)
    this.#podsByNode.remove(pod.node, uid)
  }

  /** A ReplicaSet, Job or the like: something between a pod and its workload. */
  owner(kind: string, owner: OwnedObject): void {
    this.#owners.set(owner.uid, { ...owner, kind })
    this.#podsAgain(this.#podsByOwner.of(owner.uid))
  }

  ownerGone(uid: string): void {
    this.#owners.delete(uid)
  }

  node(node: NodeObject): void {
    this.#nodes.set(node.name, node)
    this.#say({
      ...this.#identity('node', node),
      node: node.name,
      zone: node.zone,
      region: node.region,
      workload: node.name,
      workloadKind: 'Node',
      addresses: node.addresses,
      validFromUs: node.createdUs,
    })
    this.#podsAgain(this.#podsByNode.of(node.name))
  }

  nodeGone(name: string): void {
    const node = this.#nodes.get(name)
    if (node === undefined) return
    this.#nodes.delete(name)
    this.#end(node.uid)
  }

  service(service: ServiceObject): void {
    this.#services.set(`${service.namespace}/${service.name}`, service)
    this.#tellService(service)
  }

  serviceGone(namespace: string, name: string): void {
    const service = this.#services.get(`${namespace}/${name}`)
    if (service === undefined) return
    this.#services.delete(`${namespace}/${name}`)
    this.#end(service.uid)
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
    const touched = new Set<string>([...(before?.pods ?? []), ...(now?.pods ?? [])])
    for (const pod of before?.pods ?? []) this.#slicesByPod.remove(pod, (before as SliceObject).uid)
    for (const pod of now?.pods ?? []) this.#slicesByPod.add(pod, (now as SliceObject).uid)
    for (const slice of [before, now]) {
      if (slice === null) continue
      const name = `${slice.namespace}/${slice.service}`
      if (slice === now) this.#slicesByService.add(name, slice.uid)
      else this.#slicesByService.remove(name, slice.uid)
      const service = this.#services.get(name)
      if (service !== undefined) this.#tellService(service)
    }
    this.#podsAgain(touched)
  }

  #podsAgain(uids: Iterable<string>): void {
    for (const uid of uids) {
      const pod = this.#pods.get(uid)
      if (pod !== undefined) this.#tellPod(pod, pod.endedUs === 0 ? STILL_VALID_US : pod.endedUs)
    }
  }

  #tellPod(pod: PodObject, validToUs: number): void {
    // Nothing can be named by it yet.
    if (pod.startedUs === 0 || (pod.addresses.length === 0 && pod.containers.length === 0)) return
    const node = this.#nodes.get(pod.node)
    const { name, kind } = this.#workloadOf(pod)
    const services = new Set(this.#slicesOf(pod.uid).map(({ service }) => service))
    const [service = ''] = services.size === 1 ? services : []
    this.#say({
      ...this.#identity('pod', pod),
      workload: name,
      workloadKind: kind,
      node: pod.node,
      zone: node?.zone ?? '',
      region: node?.region ?? '',
      service,
      serviceAccount: pod.serviceAccount,
      addresses: pod.addresses,
      containers: pod.containers,
      validFromUs: pod.startedUs,
      validToUs,
    })
  }

  #slicesOf(pod: string): SliceObject[] {
    return [...this.#slicesByPod.of(pod)].flatMap((uid) => this.#slices.get(uid) ?? [])
  }

  /** Up the owners. One that is not known (yet) leaves the workload unknown: its name alone would be a guess. */
  #workloadOf(pod: PodObject): { name: string; kind: string } {
    if (pod.owner === null) return { name: pod.name, kind: 'Pod' }
    let { owner } = pod
    for (let i = 0; i < OWNERS_MAX; i++) {
      if (!BETWEEN.has(owner.kind)) return { name: owner.name, kind: owner.kind }
      const known = this.#owners.get(owner.uid)
      if (known === undefined) return { name: '', kind: '' }
      if (known.owner === null) return { name: known.name, kind: known.kind }
      owner = known.owner
    }
    return { name: '', kind: '' }
  }

  /** A cluster IP stands for pods; where all of them are of one workload, for that. */
  #tellService(service: ServiceObject): void {
    const slices = [...this.#slicesByService.of(`${service.namespace}/${service.name}`)]
    const pods = slices.flatMap((uid) => this.#slices.get(uid)?.pods ?? []).flatMap((uid) => this.#pods.get(uid) ?? [])
    const workloads = new Map(
      pods.map((pod) => this.#workloadOf(pod)).map((each) => [`${each.kind}/${each.name}`, each]),
    )
    const [only = { name: '', kind: '' }] = workloads.size === 1 ? workloads.values() : []
    this.#say({
      ...this.#identity('service', service),
      workload: only.name,
      workloadKind: only.kind,
      service: service.name,
      addresses: service.addresses,
      validFromUs: service.createdUs,
    })
  }

  #identity(kind: Identity['kind'], object: { uid: string; namespace: string; name: string }): Identity {
    return {
      key: object.uid,
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
      validFromUs: 0,
      validToUs: STILL_VALID_US,
    }
  }

  #say(identity: Identity): void {
    const text = JSON.stringify(identity)
    if (this.#told.get(identity.key) === text) return
    this.#told.set(identity.key, text)
    this.#tell(identity)
  }

  #end(key: string): void {
    const text = this.#told.get(key)
    if (text === undefined) return
    this.#told.delete(key)
    this.#tell({ ...(JSON.parse(text) as Identity), validToUs: this.#nowUs() })
  }
}

/** Kinds that stand between a pod and what people call its workload. */
const BETWEEN = new Set(['ReplicaSet', 'Job'])

/** Keys that belong to a name. */
class Index {
  readonly #keys = new Map<string, Set<string>>()

  of(name: string): ReadonlySet<string> {
    return this.#keys.get(name) ?? NO_KEYS
  }

  add(name: string, key: string): void {
    const keys = this.#keys.get(name)
    if (keys === undefined) this.#keys.set(name, new Set([key]))
    else keys.add(key)
  }

  remove(name: string, key: string): void {
    const keys = this.#keys.get(name)
    keys?.delete(key)
    if (keys?.size === 0) this.#keys.delete(name)
  }
}

const NO_KEYS: ReadonlySet<string> = new Set()
