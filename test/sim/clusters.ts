/**
 * Clusters whose pods come and go while they talk, made from a seed. It tells each API server what a kubelet and controllers
 * would, some time later and in whole seconds, and keeps its own log of what really was: that alone judges the names.
 */
import type { Clock } from '../../services/core/ports/clock.js'
import type { Random } from '../../services/core/random.js'
import { FakeKubernetes } from '../fakes/kubernetes.js'

const MS = 1_000
const S = 1_000_000
const REPLICAS = 3
const NODES = 6
const NAMESPACES = ['shop', 'pay']
/** Few addresses, so that each is soon used again. */
const SPARE_ADDRESSES = 6
/** Between the end of one pod and the first container of the next with its address. */
const REUSE_US_MIN = S
const REUSE_US_MAX = 4 * S
/** From what happens on a node to its pod's status in the API. */
const STATUS_US_MIN = 100 * MS
const STATUS_US_MAX = 1_800 * MS

export const PATHS = {
  pods: '/api/v1/pods',
  services: '/api/v1/services',
  slices: '/apis/discovery.k8s.io/v1/endpointslices',
  nodes: '/api/v1/nodes',
  namespaces: '/api/v1/namespaces',
  replicaSets: '/apis/apps/v1/replicasets',
} as const

/** What really was. */
export interface Pod {
  readonly cluster: Cluster
  readonly workload: Workload
  readonly name: string
  readonly uid: string
  readonly node: Node
  readonly ip: string
  readonly containerId: string
  /** Its container runs, and may talk. µs since 1970. */
  readonly fromUs: number
  /** Nobody talks to it or from it any more. */
  quietUs: number
  endUs: number
}

export interface Workload {
  readonly name: string
  readonly namespace: string
  readonly clusterIp: string
  /** On the network of its node. */
  readonly isHost: boolean
  readonly pods: Pod[]
  generation: number
  replicaSet: { readonly name: string; readonly uid: string } | null
}

export interface Node {
  readonly name: string
  readonly ip: string
  readonly zone: string
  readonly region: string
}

interface Event {
  readonly atUs: number
  readonly run: () => void
}

export class Cluster {
  readonly name: string
  readonly api: FakeKubernetes
  readonly nodes: Node[]
  readonly workloads: Workload[] = []
  /** Of the first workload, as the world reaches it. */
  readonly publicIp: string
  /** All pods that ever were. */
  readonly pods: Pod[] = []
  readonly #random: Random
  #events: Event[] = []
  #freeAddresses: { ip: string; endUs: number }[] = []
  #addresses = 0
  #uids = 0

  constructor(name: string, number: number, workloads: number, clock: Clock, random: Random) {
    this.name = name
    this.#random = random
    this.api = new FakeKubernetes(clock, random)
    this.publicIp = `52.10.0.${number + 1}`
    const nowUs = clock.nowUs()
    this.nodes = Array.from({ length: NODES }, (_, i) => ({
      name: `node-${i}`,
      ip: `192.168.0.${i + 1}`,
      zone: `r${i % 2}-z${i % 3}`,
      region: `r${i % 2}`,
    }))
    for (const node of this.nodes) this.#putNode(node, nowUs)
    for (const namespace of NAMESPACES) this.api.put(PATHS.namespaces, this.#object(namespace, '', nowUs))
    for (let i = 0; i < workloads; i++) {
      const workload: Workload = {
        name: `w${i}`,
        namespace: NAMESPACES[i % NAMESPACES.length],
        clusterIp: `10.96.0.${i + 1}`,
        isHost: i === workloads - 1,
        pods: [],
        generation: 0,
        replicaSet: null,
      }
      this.workloads.push(workload)
      this.#putService(workload, i === 0 ? [this.publicIp] : [], nowUs)
      this.roll(workload, nowUs)
    }
  }

  /** Everything that happens in the cluster until then, in order. */
  advanceTo(nowUs: number): void {
    while (this.#events.length > 0 && this.#events[0].atUs <= nowUs) (this.#events.shift() as Event).run()
  }

  #at(atUs: number, run: () => void): void {
    let at = this.#events.length
    while (at > 0 && this.#events[at - 1].atUs > atUs) at--
    this.#events.splice(at, 0, { atUs, run })
  }

  #object(name: string, namespace: string, createdUs: number, more: object = {}) {
    this.#uids += 1
    const uid = `${this.name}-${this.#uids.toString(16).padStart(8, '0')}`
    const metadata = { uid, name, namespace, creationTimestamp: iso(createdUs), ...more }
    return { metadata }
  }

  #putNode(node: Node, nowUs: number): void {
    const labels = { 'topology.kubernetes.io/zone': node.zone, 'topology.kubernetes.io/region': node.region }
    const addresses = [{ type: 'InternalIP', address: node.ip }]
    this.api.put(PATHS.nodes, { ...this.#object(node.name, '', nowUs, { labels }), status: { addresses } })
  }

  #putService({ name, namespace, clusterIp }: Workload, ingress: readonly string[], nowUs: number): void {
    this.api.put(PATHS.services, {
      ...this.#object(name, namespace, nowUs),
      spec: { clusterIP: clusterIp, clusterIPs: [clusterIp] },
      status: { loadBalancer: { ingress: ingress.map((ip) => ({ ip })) } },
    })
  }

  /** A new generation of pods; those of the one before leave one after the other. */
  roll(workload: Workload, nowUs: number): void {
    const random = this.#random
    const old = workload.pods.filter(({ endUs }) => endUs === Number.POSITIVE_INFINITY)
    const before = workload.replicaSet
    workload.generation += 1
    const set = `${workload.name}-g${workload.generation}`
    const owner = [
      { kind: 'Deployment', name: workload.name, uid: `${this.name}-d-${workload.name}`, controller: true },
    ]
    const { metadata } = this.#object(set, workload.namespace, nowUs, { ownerReferences: owner })
    this.api.put(PATHS.replicaSets, { metadata })
    workload.replicaSet = { name: set, uid: metadata.uid }
    let atUs = nowUs
    for (let i = 0; i < REPLICAS; i++) {
      atUs += random.below(1_500 * MS)
      this.#start(workload, i, atUs)
      const leaving = old[i]
      if (leaving !== undefined) this.#leave(leaving, atUs + 2 * S + random.below(3 * S))
    }
    // Deleted in the background: the owner is gone before its pods are.
    if (before !== null && random.chance(0.5))
      this.#at(nowUs + 3 * S, () => this.api.delete(PATHS.replicaSets, before.uid))
  }

  /** Of those that are free the one that was used last: the hardest case. */
  #address(earliestUs: number): { ip: string; fromUs: number } {
    const free = this.#freeAddresses
    if (free.length > SPARE_ADDRESSES) {
      const { ip, endUs } = free.pop() as { ip: string; endUs: number }
      const gapUs = REUSE_US_MIN + this.#random.below(REUSE_US_MAX - REUSE_US_MIN)
      return { ip, fromUs: Math.max(earliestUs, endUs + gapUs) }
    }
    this.#addresses += 1
    return { ip: `10.1.${this.#addresses >> 8}.${this.#addresses & 255}`, fromUs: earliestUs }
  }

  #start(workload: Workload, index: number, createdUs: number): void {
    const random = this.#random
    const node = random.pick(this.nodes)
    const set = workload.replicaSet as { name: string; uid: string }
    const owner = [{ kind: 'ReplicaSet', name: set.name, uid: set.uid, controller: true }]
    const object = this.#object(`${set.name}-${index}`, workload.namespace, createdUs, { ownerReferences: owner })
    const wantedUs = createdUs + 300 * MS + random.below(1_500 * MS)
    const { ip, fromUs } = workload.isHost ? { ip: node.ip, fromUs: wantedUs } : this.#address(wantedUs)
    const { uid } = object.metadata
    const containerId = Buffer.from(`${uid}-container`.padEnd(32, '.')).toString('hex')
    const pod: Pod = {
      cluster: this,
      workload,
      name: object.metadata.name as string,
      uid,
      node,
      ip,
      containerId,
      fromUs,
      quietUs: Number.POSITIVE_INFINITY,
      endUs: Number.POSITIVE_INFINITY,
    }
    this.pods.push(pod)
    workload.pods.push(pod)
    const spec = { nodeName: node.name, serviceAccountName: `${workload.name}-sa`, hostNetwork: workload.isHost }
    this.#at(createdUs, () =>
      this.api.put(PATHS.pods, { ...object, spec: { ...spec, nodeName: undefined }, status: {} }),
    )
    const startTime = iso(createdUs + 100 * MS)
    this.#at(createdUs + 50 * MS, () => this.api.put(PATHS.pods, { ...object, spec, status: { startTime } }))
    const status = {
      startTime,
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      containerStatuses: [
        {
          name: 'app',
          containerID: `containerd://${containerId}`,
          restartCount: 0,
          state: { running: { startedAt: iso(fromUs) } },
        },
      ],
    }
    const toldUs = fromUs + this.#statusDelay()
    this.#at(toldUs, () => this.api.put(PATHS.pods, { ...object, spec, status }))
    this.#at(toldUs + 100 * MS, () => this.#putSlice(workload, toldUs))
    // What its end will be told with.
    this.#specs.set(pod, { object, spec, status })
  }

  readonly #specs = new Map<Pod, { object: { metadata: { uid: string } }; spec: object; status: object }>()

  #statusDelay(): number {
    return STATUS_US_MIN + this.#random.below(STATUS_US_MAX - STATUS_US_MIN)
  }

  #leave(pod: Pod, atUs: number): void {
    const random = this.#random
    const deleteUs = Math.max(atUs, pod.fromUs + 4 * S)
    const isForced = random.chance(0.1)
    pod.quietUs = deleteUs
    pod.endUs = isForced ? deleteUs + 300 * MS : deleteUs + 200 * MS + random.below(2 * S)
    if (!isForced) pod.quietUs = pod.endUs
    if (!pod.workload.isHost) this.#at(pod.endUs, () => this.#freeAddresses.push({ ip: pod.ip, endUs: pod.endUs }))
    const { object, spec, status } = this.#specs.get(pod) as {
      object: { metadata: { uid: string } }
      spec: object
      status: object
    }
    const { uid } = object.metadata
    if (isForced) return this.#at(deleteUs, () => this.api.delete(PATHS.pods, uid))
    const leaving = { ...object, metadata: { ...object.metadata, deletionTimestamp: iso(deleteUs + 30 * S) } }
    this.#at(deleteUs, () => this.api.put(PATHS.pods, { ...leaving, spec, status }))
    this.#at(deleteUs + 200 * MS, () => this.#putSlice(pod.workload, deleteUs))
    const toldUs = pod.endUs + this.#statusDelay()
    const state = { terminated: { startedAt: iso(pod.fromUs), finishedAt: iso(pod.endUs) } }
    const ended = {
      ...status,
      containerStatuses: [{ name: 'app', containerID: `containerd://${pod.containerId}`, state }],
    }
    this.#at(toldUs, () => this.api.put(PATHS.pods, { ...leaving, spec, status: ended }))
    this.#at(toldUs + 100 * MS + random.below(S), () => this.api.delete(PATHS.pods, uid))
  }

  #putSlice(workload: Workload, nowUs: number): void {
    const there = workload.pods.filter(({ fromUs, quietUs }) => fromUs <= nowUs && nowUs < quietUs)
    this.api.put(PATHS.slices, {
      metadata: {
        uid: `${this.name}-slice-${workload.name}`,
        name: `${workload.name}-slice`,
        namespace: workload.namespace,
        labels: { 'kubernetes.io/service-name': workload.name },
      },
      endpoints: there.map(({ uid }) => ({ targetRef: { kind: 'Pod', uid } })),
    })
  }

  /** Pods that may talk during all of this time. */
  alive(fromUs: number, toUs: number): Pod[] {
    return this.pods.filter((pod) => pod.fromUs + 50 * MS <= fromUs && toUs < pod.quietUs)
  }
}

/** As Kubernetes writes times. */
const iso = (us: number): string => new Date(Math.floor(us / S) * 1000).toISOString().replace('.000', '')
