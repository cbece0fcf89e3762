/** Calls between the pods of simulated clusters, as capturers at both ends publish them, with what their names must be. */
import { partitionOf } from '../../services/core/partitioner.js'
import type { Random } from '../../services/core/random.js'
import { ConnectionInfo, type Direction, Segment, SegmentFlag } from '../../services/core/segment.js'
import { SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import type { Cluster, Node, Pod } from './clusters.js'
import type { Published } from './traffic.js'

const MS = 1_000
const EXCHANGES_MAX = 4
const LATENCY_US_MAX = 300 * MS
const PAUSE_US_MAX = 500 * MS

/** The columns that name an end, as they must be. */
export interface Name {
  readonly kind: string
  readonly cluster: string
  readonly ns: string
  readonly workload: string
  readonly pod: string
  readonly node: string
  readonly zone: string
  readonly region: string
  readonly service: string
  readonly sa: string
}

const NOBODY: Name = {
  kind: 'unknown',
  cluster: '',
  ns: '',
  workload: '',
  pod: '',
  node: '',
  zone: '',
  region: '',
  service: '',
  sa: '',
}
const EXTERNAL: Name = { ...NOBODY, kind: 'external' }

/** What one end saw of one exchange. */
export interface Truth {
  readonly atUs: number
  readonly client: Name
  readonly server: Name
}

interface Side {
  readonly info: ConnectionInfo
  readonly positions: [number, number]
}

function nameOfPod({ cluster, workload, name, node }: Pod): Name {
  const { zone, region } = node
  const { namespace: ns, name: service } = workload
  const place = { node: node.name, zone, region }
  return {
    kind: 'pod',
    cluster: cluster.name,
    ns,
    workload: service,
    pod: name,
    ...place,
    service,
    sa: `${service}-sa`,
  }
}

function nameOfService(cluster: Cluster, { workload }: Pod): Name {
  const { namespace: ns, name } = workload
  return { ...NOBODY, kind: 'service', cluster: cluster.name, ns, workload: name, service: name }
}

function nameOfNode(cluster: Cluster, { name, zone, region }: Node): Name {
  return { ...NOBODY, kind: 'node', cluster: cluster.name, workload: name, node: name, zone, region }
}

/** By its address: a pod on the network of its node is its node. */
function nameByAddress(pod: Pod): Name {
  return pod.workload.isHost ? nameOfNode(pod.cluster, pod.node) : nameOfPod(pod)
}

export class ClusterTraffic {
  /** By end and resource. */
  readonly truths = new Map<string, Truth>()
  readonly #clusters: readonly Cluster[]
  readonly #random: Random
  readonly #partitions: number
  /** By time. */
  #coming: Segment[] = []
  #connections = 0
  #calls = 0
  #sequence = 0

  constructor(clusters: readonly Cluster[], random: Random, partitions: number) {
    this.#clusters = clusters
    this.#random = random
    this.#partitions = partitions
  }

  /** One more connection with its exchanges, from now on. */
  connect(nowUs: number): void {
    const random = this.#random
    const cluster = random.pick(this.#clusters)
    const clients = cluster.alive(nowUs, nowUs + LATENCY_US_MAX)
    if (clients.length === 0) return
    const client = random.pick(clients)
    const way = random.pick(['direct', 'direct', 'direct', 'service', 'service', 'across', 'out'])
    if (way === 'out') return this.#talk(nowUs, client, null, '8.8.8.8', EXTERNAL, EXTERNAL)
    const target =
      way === 'across' ? this.#clusters[(this.#clusters.indexOf(cluster) + 1) % this.#clusters.length] : cluster
    const servers = target
      .alive(nowUs, nowUs + LATENCY_US_MAX)
      .filter((pod) => pod !== client && (way !== 'across' || pod.workload === target.workloads[0]))
    if (servers.length === 0) return
    const server = random.pick(servers)
    if (way === 'across') {
      return this.#talk(nowUs, client, server, target.publicIp, nameOfService(target, server), EXTERNAL, '52.20.0.9')
    }
    const seenClient = nameByAddress(client)
    if (way === 'direct') return this.#talk(nowUs, client, server, server.ip, nameByAddress(server), seenClient)
    this.#talk(nowUs, client, server, server.workload.clusterIp, nameOfService(cluster, server), seenClient)
  }

  /** `seenServer`: who the client's end sees behind `serverIp`; `seenClient`: who the server's end sees. */
  #talk(
    nowUs: number,
    client: Pod,
    server: Pod | null,
    serverIp: string,
    seenServer: Name,
    seenClient: Name,
    natIp = client.ip,
  ): void {
    const random = this.#random
    const port = 20_000 + random.below(40_000)
    const clientSide = this.#side('client', client, { clientIp: client.ip, clientPort: port, serverIp })
    const serverSide =
      server === null ? null : this.#side('server', server, { clientIp: natIp, clientPort: port, serverIp: server.ip })
    let atUs = nowUs
    for (let count = 1 + random.below(EXCHANGES_MAX); count > 0; count--) {
      const latencyUs = 10 * MS + random.below(LATENCY_US_MAX - 20 * MS)
      // Whoever is about to leave is not asked any more.
      if ([client, server].some((pod) => pod !== null && !pod.cluster.alive(atUs, atUs + latencyUs).includes(pod)))
        break
      const resource = `/call/${this.#calls++}`
      this.#exchange(clientSide, resource, atUs, latencyUs)
      this.truths.set(`client ${resource}`, { atUs, client: nameOfPod(client), server: seenServer })
      if (server !== null && serverSide !== null) {
        this.#exchange(serverSide, resource, atUs + 2 * MS, latencyUs - 4 * MS)
        this.truths.set(`server ${resource}`, { atUs: atUs + 2 * MS, client: seenClient, server: nameOfPod(server) })
      }
      atUs += latencyUs + random.below(PAUSE_US_MAX)
    }
  }

  #side(side: 'client' | 'server', pod: Pod, ends: Partial<ConnectionInfo>): Side {
    this.#connections += 1
    const info = new ConnectionInfo((BigInt(this.#connections) * 0x9e3779b97f4a7c15n) & 0xffff_ffff_ffff_ffffn)
    Object.assign(info, {
      side,
      source: 'socket',
      serverPort: 8080,
      containerId: pod.containerId,
      podUid: pod.uid,
      cluster: pod.cluster.name,
      node: pod.node.name,
      ...ends,
    })
    return { info, positions: [0, 0] }
  }

  #exchange(side: Side, resource: string, atUs: number, latencyUs: number): void {
    this.#say(side, 0, `GET ${resource} HTTP/1.1\r\nHost: h\r\n\r\n`, atUs)
    this.#say(side, 1, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', atUs + latencyUs)
  }

  #say({ info, positions }: Side, direction: Direction, text: string, atUs: number): void {
    const payload = Buffer.from(text)
    const flags = direction === 0 && positions[0] === 0 ? SegmentFlag.OPEN : 0
    const segment = new Segment(info, direction, positions[direction], payload.length, payload, atUs, 0, flags)
    positions[direction] += payload.length
    let at = this.#coming.length
    while (at > 0 && this.#coming[at - 1].timeUs > atUs) at--
    this.#coming.splice(at, 0, segment)
  }

  /** What capturers publish of all that was said until then, a batch per node and partition. */
  published(untilUs: number): Published[] {
    const writers = new Map<string, { partition: number; writer: SegmentBatchWriter }>()
    while (this.#coming.length > 0 && this.#coming[0].timeUs <= untilUs) {
      const segment = this.#coming.shift() as Segment
      const { cluster, node, id } = segment.connection
      const partition = partitionOf(id, this.#partitions)
      const key = `${cluster}/${node}/${partition}`
      let found = writers.get(key)
      if (found === undefined) {
        const header = { cluster, node, bootId: '', capturerVersion: '0', sequence: this.#sequence++ }
        found = { partition, writer: new SegmentBatchWriter(header) }
        writers.set(key, found)
      }
      found.writer.add(segment)
    }
    return [...writers.values()].map(({ partition, writer }) => ({ partition, value: writer.finish() }))
  }
}
