/** Lists and watches over HTTP of as many objects as asked for, each as large as in real clusters. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Pods of a real cluster are 5 to 15 KB of JSON: most of it is what a directory has no use for. */
const POD_BYTES = 8_000
const PODS_PER_SET = 10
const PODS_PER_NODE = 40

export class BenchApiServer {
  readonly #pods: number
  readonly #server: Server
  readonly #watches: ServerResponse[] = []
  #version = 1000
  /** Watches that are open, by path. */
  readonly open = new Map<string, number>()

  constructor(pods: number) {
    this.#pods = pods
    this.#server = createServer((request, response) => this.#answer(request, response))
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://x')
    if (url.searchParams.get('watch') === '1') return this.#watch(url.pathname, response)
    const [make, count] = this.#kind(url.pathname)
    const from = Number(url.searchParams.get('continue') ?? 0)
    const to = Math.min(count, from + Number(url.searchParams.get('limit')))
    const items = Array.from({ length: to - from }, (_, i) => make(from + i))
    const more = to < count ? { continue: String(to) } : {}
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ kind: 'List', metadata: { resourceVersion: '1000', ...more }, items }))
  }

  #watch(path: string, response: ServerResponse): void {
    this.open.set(path, (this.open.get(path) ?? 0) + 1)
    response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' })
    response.flushHeaders()
    if (path === '/api/v1/pods') this.#watches.push(response)
  }

  /** Every pod is told of again, changed, as when a node's kubelet reports. */
  async touchAll(): Promise<void> {
    for (let i = 0; i < this.#pods; i++) {
      this.#version += 1
      const object = pod(i, this.#version)
      for (const watch of this.#watches) {
        if (!watch.write(`${JSON.stringify({ type: 'MODIFIED', object })}\n`)) {
          await new Promise((resolve) => watch.once('drain', resolve))
        }
      }
    }
  }

  #kind(path: string): [(i: number) => object, number] {
    const sets = Math.ceil(this.#pods / PODS_PER_SET)
    if (path.endsWith('/pods')) return [pod, this.#pods]
    if (path.endsWith('/replicasets')) return [replicaSet, sets]
    if (path.endsWith('/services')) return [service, sets]
    if (path.endsWith('/endpointslices')) return [slice, sets]
    if (path.endsWith('/nodes')) return [node, Math.ceil(this.#pods / PODS_PER_NODE)]
    if (path.endsWith('/namespaces')) return [namespace, 50]
    return [namespace, 0]
  }
}

const START = '2026-11-24T12:00:00Z'
const padding = 'x'.repeat(POD_BYTES - 2_000)
const namespaceOf = (set: number) => `team-${set % 50}`

export function podAddress(i: number): string {
  return `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`
}

export function podContainer(i: number): string {
  return i.toString(16).padStart(64, 'c')
}

function meta(uid: string, name: string, ns: string, more: object = {}) {
  return { metadata: { uid, name, namespace: ns, creationTimestamp: START, resourceVersion: '1000', ...more } }
}

const uid = (kind: string, i: number) => `${kind}-9d3c-4b7e-8f21-${i.toString(16).padStart(12, '0')}`

function pod(i: number, version = 1000): object {
  const set = Math.floor(i / PODS_PER_SET)
  const name = `service-${set}-7d9f8b6c5d-${i.toString(36).padStart(5, '0')}`
  const owner = { kind: 'ReplicaSet', name: `service-${set}-7d9f8b6c5d`, uid: uid('5e75', set), controller: true }
  const ip = podAddress(i)
  const container = (number: number) => ({
    name: number === 0 ? 'app' : 'proxy',
    containerID: `containerd://${number === 0 ? podContainer(i) : i.toString(16).padStart(64, 'd')}`,
    restartCount: 0,
    ready: true,
    image: `registry.example/team/service-${set}:v1.2.3`,
    state: { running: { startedAt: START } },
  })
  return {
    ...meta(uid('90d0', i), name, namespaceOf(set), {
      resourceVersion: String(version),
      ownerReferences: [owner],
      labels: { app: `service-${set}`, 'pod-template-hash': '7d9f8b6c5d' },
      managedFields: [{ manager: 'kubelet', fieldsV1: { padding } }],
    }),
    spec: { nodeName: `node-${Math.floor(i / PODS_PER_NODE)}`, serviceAccountName: `service-${set}` },
    status: {
      phase: 'Running',
      startTime: START,
      podIP: ip,
      podIPs: [{ ip }],
      containerStatuses: [container(0), container(1)],
      message: `reported with ${version}`,
    },
  }
}

function replicaSet(i: number): object {
  const owner = { kind: 'Deployment', name: `service-${i}`, uid: uid('de91', i), controller: true }
  return meta(uid('5e75', i), `service-${i}-7d9f8b6c5d`, namespaceOf(i), { ownerReferences: [owner], padding })
}

function service(i: number): object {
  const spec = { clusterIP: `10.96.${i >> 8}.${i & 255}` }
  return { ...meta(uid('5e41', i), `service-${i}`, namespaceOf(i)), spec }
}

function slice(i: number): object {
  const labels = { 'kubernetes.io/service-name': `service-${i}` }
  const endpoints = Array.from({ length: PODS_PER_SET }, (_, k) => ({
    addresses: [podAddress(i * PODS_PER_SET + k)],
    targetRef: { kind: 'Pod', uid: uid('90d0', i * PODS_PER_SET + k) },
  }))
  return { ...meta(uid('511c', i), `service-${i}-abcde`, namespaceOf(i), { labels }), endpoints }
}

function node(i: number): object {
  const labels = { 'topology.kubernetes.io/zone': `eu-1${'abc'[i % 3]}`, 'topology.kubernetes.io/region': 'eu-1' }
  const addresses = [{ type: 'InternalIP', address: `192.168.${i >> 8}.${i & 255}` }]
  return { ...meta(uid('40de', i), `node-${i}`, '', { labels, padding }), status: { addresses } }
}

function namespace(i: number): object {
  return meta(uid('4a5e', i), `team-${i}`, '')
}
