/**
 * A cluster's hour with known truths in it, and look-alikes beside them. It knows nothing of the questions that are to find
 * the truths: it says what happened, as flows of the ends that saw it.
 */
import type { Flow } from '../../services/core/flow.js'
import { Random } from '../../services/core/random.js'
import { scopeOf } from '../../services/decode/naming.js'
import { seededFlow } from './flows.js'

export interface CallOptions {
  readonly client: string
  readonly server: string
  readonly atUs: number
  readonly latencyUs?: number
  readonly networkUs?: number
  readonly serverUs?: number
  /** What the clock of the server's node is ahead by. */
  readonly skewUs?: number
  /** Which ends are captured; both where it is not said. */
  readonly seen?: 'client' | 'server'
  readonly more?: Partial<Flow>
}

export class World {
  readonly flows: Flow[] = []
  readonly startUs: number
  readonly random: Random
  readonly cluster: string
  readonly ns: string
  #connections = 0

  constructor(startUs: number, { seed = 5, cluster = 'lab', ns = 'shop' } = {}) {
    this.startUs = startUs
    this.random = new Random(seed)
    this.cluster = cluster
    this.ns = ns
  }

  at(minute: number, second = 0): number {
    return this.startUs + (minute * 60 + second) * 1_000_000
  }

  /** One call, each end that sees it with its own clock and connection id. */
  call(options: CallOptions): void {
    const { client, server, atUs, networkUs = 200, serverUs = 2000, skewUs = 0, more = {} } = options
    const latencyUs = options.latencyUs ?? networkUs + serverUs + 300
    this.#connections += 1
    const id = this.#connections
    const base: Flow = {
      ...seededFlow(this.random, 0, atUs),
      ts: atUs,
      exchange_seq: 0,
      cluster: this.cluster,
      client_ip: this.address(client),
      client_port: 10_000 + (id % 50_000),
      server_ip: this.address(server),
      server_port: 8080,
      client_kind: 'pod',
      client_cluster: this.cluster,
      client_ns: this.ns,
      client_workload: client,
      client_pod: `${client}-5d8f7c9b6d-abcde`,
      client_node: `${this.cluster}-node-1`,
      client_zone: 'eu-1a',
      server_kind: 'pod',
      server_cluster: this.cluster,
      server_ns: this.ns,
      server_workload: server,
      server_pod: `${server}-6f9d8b7c5d-fghij`,
      server_node: `${this.cluster}-node-2`,
      server_zone: 'eu-1a',
      protocol: 'http1',
      method: 'GET',
      endpoint: '/work/{id}',
      resource: `/work/${id}`,
      status_code: 200,
      outcome: 'ok',
      error: '',
      req_bytes: 100,
      resp_bytes: 1000,
      trace_id: '',
      findings: [],
      ...more,
    }
    base.scope = scope(base)
    const toServerUs = networkUs >> 1
    if (options.seen !== 'server') {
      this.flows.push({
        ...base,
        conn_id: connId(this.cluster, id * 2),
        capture_side: 'client',
        node: base.client_node,
        latency_us: latencyUs,
        ttfb_us: networkUs + serverUs,
      })
    }
    if (options.seen !== 'client') {
      this.flows.push({
        ...base,
        conn_id: connId(this.cluster, id * 2 + 1),
        capture_side: 'server',
        node: base.server_node,
        ts: atUs + toServerUs + skewUs,
        latency_us: latencyUs - networkUs,
        ttfb_us: serverUs,
      })
    }
  }

  /** A private address of its own for each name. */
  address(name: string): string {
    let hash = 7
    for (const char of this.cluster + name) hash = (hash * 31 + char.charCodeAt(0)) % 65_536
    return `10.7.${hash >> 8}.${hash & 255}`
  }

  /** The same call every so many seconds. */
  every(seconds: number, fromMinute: number, toMinute: number, make: (atUs: number, i: number) => CallOptions): void {
    let i = 0
    for (let at = this.at(fromMinute); at < this.at(toMinute); at += seconds * 1_000_000) this.call(make(at, i++))
  }
}

/** No two clusters have one. */
function connId(cluster: string, number: number): string {
  let hash = 0n
  for (const char of cluster) hash = (hash * 31n + BigInt(char.charCodeAt(0))) % 65_536n
  return ((hash << 32n) + BigInt(number)).toString()
}

function scope(flow: Flow): Flow['scope'] {
  const end = (name: 'client' | 'server') => ({
    kind: flow[`${name}_kind`],
    cluster: flow[`${name}_cluster`],
    region: flow[`${name}_region`],
    zone: flow[`${name}_zone`],
    node: flow[`${name}_node`],
  })
  return scopeOf(end('client'), end('server'), flow.client_ip, flow.server_ip)
}
