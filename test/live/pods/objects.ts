/** What scheduler, controllers and kubelets would write to the API server of a small cluster. */
import { randomBytes } from 'node:crypto'
import type { Cluster } from '../../kubernetes/cluster.js'

export interface PodSpec {
  readonly namespace: string
  readonly workload: string
  readonly node: string
  readonly address: string
  readonly labels?: Readonly<Record<string, string>>
  readonly runtime: 'containerd' | 'cri-o'
  readonly containers: readonly string[]
}

export interface MadePod {
  readonly name: string
  readonly uid: string
  /** By container name, as cgroups name it. */
  readonly containerIds: Readonly<Record<string, string>>
}

type Made = { readonly metadata: { readonly uid: string } }

const app = (workload: string) => ({ app: workload })
const podTemplate = (workload: string, containers: readonly string[]) => ({
  metadata: { labels: app(workload) },
  spec: { containers: containers.map((name) => ({ name, image: 'image' })) },
})
const owner = (kind: string, name: string, uid: string) => [
  { apiVersion: 'apps/v1', kind, name, uid, controller: true },
]

const containerStatus = (name: string, containerID: string) => ({
  name,
  image: 'image',
  imageID: '',
  ready: true,
  restartCount: 0,
  containerID,
})

/** As Kubernetes tells times. */
export const wholeSecond = (ms: number): string => new Date(Math.floor(ms / 1000) * 1000).toISOString()

function running(address: string, runtime: string, containerIds: MadePod['containerIds'], since: string): object {
  const containerStatuses = Object.entries(containerIds).map(([name, id]) => ({
    ...containerStatus(name, `${runtime}://${id}`),
    state: { running: { startedAt: since } },
  }))
  return { phase: 'Running', startTime: since, podIP: address, podIPs: [{ ip: address }], containerStatuses }
}

export class ClusterObjects {
  readonly #cluster: Cluster
  /** All has been up for a minute. */
  readonly #since = wholeSecond(Date.now() - 60_000)

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  async node(name: string, zone: string, address: string): Promise<void> {
    const labels = { 'topology.kubernetes.io/zone': zone, 'topology.kubernetes.io/region': zone.slice(0, 4) }
    await this.#cluster.call('POST', '/api/v1/nodes', { metadata: { name, labels } })
    const status = { addresses: [{ type: 'InternalIP', address }] }
    await this.#status(`/api/v1/nodes/${name}`, status)
  }

  async namespace(name: string): Promise<void> {
    await this.#cluster.call('POST', '/api/v1/namespaces', { metadata: { name } })
  }

  #status(path: string, status: object): Promise<unknown> {
    return this.#cluster.call('PATCH', `${path}/status`, { status }, 'application/merge-patch+json')
  }

  /** A Deployment, its ReplicaSet, and the one pod of it, which runs; `since`: RFC 3339, for a minute where it is not said. */
  async pod(
    { namespace, workload, node, address, runtime, containers }: PodSpec,
    since = this.#since,
  ): Promise<MadePod> {
    const apps = `/apis/apps/v1/namespaces/${namespace}`
    const spec = { selector: { matchLabels: app(workload) }, template: podTemplate(workload, containers) }
    const deployment = await this.#post(`${apps}/deployments`, { metadata: { name: workload }, spec })
    const set = `${workload}-7d9f5b6c8d`
    const ownedBy = owner('Deployment', workload, deployment.metadata.uid)
    const replicaSet = await this.#post(`${apps}/replicasets`, {
      metadata: { name: set, ownerReferences: ownedBy },
      spec,
    })
    const name = `${set}-x2k4p`
    const path = `/api/v1/namespaces/${namespace}/pods`
    const template = podTemplate(workload, containers)
    const pod = await this.#post(path, {
      metadata: {
        name,
        labels: template.metadata.labels,
        ownerReferences: owner('ReplicaSet', set, replicaSet.metadata.uid),
      },
      spec: { ...template.spec, nodeName: node, serviceAccountName: workload },
    })
    const containerIds = Object.fromEntries(containers.map((each) => [each, randomBytes(32).toString('hex')]))
    await this.#status(`${path}/${name}`, running(address, runtime, containerIds, since))
    return { name, uid: pod.metadata.uid, containerIds }
  }

  /** Its container has ended, and it is removed. */
  async end({ namespace, runtime }: PodSpec, { name, containerIds }: MadePod): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`
    const terminated = { exitCode: 0, startedAt: this.#since, finishedAt: wholeSecond(Date.now()) }
    const statuses = Object.entries(containerIds).map(([container, id]) => ({
      ...containerStatus(container, `${runtime}://${id}`),
      ready: false,
      state: { terminated },
    }))
    await this.#status(path, { containerStatuses: statuses })
    await this.#cluster.call('DELETE', `${path}?gracePeriodSeconds=0`)
  }

  async service(namespace: string, name: string, clusterIP: string, pods: readonly MadePod[]): Promise<void> {
    const ports = [
      { name: 'tls', port: 443 },
      { name: 'plain', port: 80 },
    ]
    const path = `/api/v1/namespaces/${namespace}/services`
    await this.#post(path, { metadata: { name }, spec: { clusterIP, selector: app(name), ports } })
    await this.#post(`/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`, {
      metadata: { name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports,
      endpoints: pods.map((pod) => ({
        addresses: ['10.0.0.1'],
        targetRef: { kind: 'Pod', namespace, name: pod.name, uid: pod.uid },
      })),
    })
  }

  async #post(path: string, object: object): Promise<Made> {
    return (await this.#cluster.call('POST', path, object)) as Made
  }
}
