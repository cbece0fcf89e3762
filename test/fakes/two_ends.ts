/**
 * Calls as two capturers tell them, each with its own clock, and the truth beside them. What one end did not see is left out;
 * how the two rows of a call find each other is not said here, but for `request_id`, which holds the number of the call.
 */
import type { Flow } from '../../services/core/flow.js'
import { Random } from '../../services/core/random.js'
import { seededFlow } from './flows.js'

export interface Peer {
  readonly cluster: string
  readonly node: string
  /** '' = no pod that anybody knows. */
  readonly pod: string
  readonly ip: string
}

export interface TwoEndedCall {
  readonly client: Peer
  readonly server: Peer
  readonly clientPort: number
  readonly serverPort?: number
  /** Of the client's and the server's connection. */
  readonly connections: readonly [number, number]
  /** What each end counts. */
  readonly seqs?: readonly [number, number]
  /** When the first byte is sent; true time, µs. */
  readonly atUs: number
  readonly upUs?: number
  readonly serverUs?: number
  readonly downUs?: number
  readonly sides?: 'both' | 'client' | 'server'
  /** The client addressed a service: its address and name. */
  readonly service?: { readonly ip: string; readonly port: number; readonly name: string; readonly workload: string }
  readonly more?: Partial<Flow>
  readonly moreAtClient?: Partial<Flow>
  readonly moreAtServer?: Partial<Flow>
}

export interface Truth {
  readonly upUs: number
  readonly serverUs: number
  readonly downUs: number
  readonly sides: 'both' | 'client' | 'server'
  readonly bytes: number
}

const REST_US = 40

const workloadOf = (pod: string) => pod.replace(/-[^-]+$/, '')

export class TwoEnds {
  readonly flows: Flow[] = []
  readonly truths: Truth[] = []
  /** What a node's clock is ahead by, at a true time. */
  readonly #clocks = new Map<string, (us: number) => number>()
  readonly random: Random
  readonly #seed: number

  /** Connections of two worlds with different seeds are never the same. */
  constructor(seed: number) {
    this.#seed = seed
    this.random = new Random(seed)
  }

  #connection(number: number): string {
    return String(this.#seed * 1_000_000 + number)
  }

  clock(node: string, aheadUs: (us: number) => number): void {
    this.#clocks.set(node, aheadUs)
  }

  /** As the node's clock has it. */
  #read(node: string, us: number): number {
    return Math.round(us + (this.#clocks.get(node)?.(us) ?? 0))
  }

  call(call: TwoEndedCall): void {
    const { client, server, upUs = 100, serverUs = 1000, downUs = 100, sides = 'both', seqs = [0, 0], service } = call
    // Sizes tell calls apart no more than polling does.
    const bytes = 1000 + 10_000 * this.random.below(2)
    const id = this.truths.push({ upUs, serverUs, downUs, sides, bytes }) - 1
    const shared: Flow = {
      ...seededFlow(this.random, 0, call.atUs),
      client_ip: client.ip,
      client_port: call.clientPort,
      server_ip: server.ip,
      server_port: call.serverPort ?? 8080,
      protocol: 'http1',
      method: 'GET',
      resource: '/health',
      endpoint: '/health',
      status_code: 200,
      outcome: 'ok',
      error: '',
      trace_id: '',
      span_id: '',
      request_id: String(id),
      req_bytes: bytes,
      resp_bytes: 2 * bytes,
      attrs: {},
      ...named('client', client),
      ...named('server', server),
      ...call.more,
    }
    const addressed: Partial<Flow> =
      service === undefined
        ? {}
        : {
            ...named('server', { ...server, pod: '', node: '' }),
            server_ip: service.ip,
            server_port: service.port,
            server_kind: 'service',
            server_cluster: server.cluster,
            server_ns: 'shop',
            server_service: service.name,
            server_workload: service.workload,
          }
    const [begin, end] = [call.atUs, call.atUs + upUs + REST_US + serverUs + downUs]
    const at = (node: string, fromUs: number, toUs: number) => {
      const ts = this.#read(node, fromUs)
      return { ts, latency_us: this.#read(node, toUs) - ts }
    }
    if (sides !== 'server')
      this.flows.push({
        ...shared,
        ...addressed,
        ...at(client.node, begin, end),
        ttfb_us: end - begin,
        cluster: client.cluster,
        node: client.node,
        capture_side: 'client',
        conn_id: this.#connection(call.connections[0]),
        exchange_seq: seqs[0],
        ...call.moreAtClient,
      })
    if (sides !== 'client')
      this.flows.push({
        ...shared,
        ...at(server.node, begin + upUs, end - downUs),
        ttfb_us: serverUs,
        cluster: server.cluster,
        node: server.node,
        capture_side: 'server',
        conn_id: this.#connection(call.connections[1]),
        exchange_seq: seqs[1],
        ...call.moreAtServer,
      })
  }
}

function named(end: 'client' | 'server', { cluster, node, pod }: Peer): Partial<Flow> {
  const isPod = pod !== ''
  return {
    [`${end}_kind`]: isPod ? 'pod' : 'unknown',
    [`${end}_cluster`]: isPod ? cluster : '',
    [`${end}_ns`]: isPod ? 'shop' : '',
    [`${end}_workload`]: workloadOf(pod),
    [`${end}_pod`]: pod,
    [`${end}_container`]: '',
    [`${end}_node`]: isPod ? node : '',
    [`${end}_service`]: end === 'server' && isPod ? workloadOf(pod) : '',
    [`${end}_zone`]: '',
    [`${end}_sa`]: '',
  }
}
