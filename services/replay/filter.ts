/** Which segments a replay has to look at, and which rows it keeps. */
import type { Flow } from '../core/flow.js'
import type { PodDirectory } from '../core/ports/pods.js'
import type { ReplayFilter, ReplayRequest } from '../core/replay.js'
import type { ConnectionRow } from '../core/rows.js'
import { ConnectionInfo, type Segment } from '../core/segment.js'
import { FlowContext } from '../decode/flow_context.js'
import { type End, nameEnds } from '../decode/naming.js'

/** Empty lists admit all. */
class Either<T> {
  readonly #values: ReadonlySet<T> | null

  constructor(values: readonly T[]) {
    this.#values = values.length === 0 ? null : new Set(values)
  }

  get all(): boolean {
    return this.#values === null
  }

  has(one: T, other: T = one): boolean {
    return this.#values === null || this.#values.has(one) || this.#values.has(other)
  }
}

export class RowFilter {
  readonly #fromUs: number
  readonly #toUs: number
  readonly #namespaces: Either<string>
  readonly #workloads: Either<string>
  readonly #addresses: Either<string>
  readonly #ports: Either<number>
  readonly #protocols: Either<string>
  readonly #connIds: Either<string>
  readonly #pods: PodDirectory | null
  /** What was known of pods then names the connections. */
  knownUs = Number.POSITIVE_INFINITY
  /** Segments need not be looked at one by one. */
  readonly #takesAll: boolean
  /** Answer for the connection that was asked for last. */
  #last: ConnectionInfo | null = null
  #lastTaken = false

  constructor({ fromUs, toUs, filter }: Pick<ReplayRequest, 'fromUs' | 'toUs' | 'filter'>, pods: PodDirectory | null) {
    this.#fromUs = fromUs
    this.#toUs = toUs
    this.#namespaces = new Either(filter.namespaces)
    this.#workloads = new Either(filter.workloads)
    this.#addresses = new Either(filter.addresses)
    this.#ports = new Either(filter.ports)
    this.#protocols = new Either(filter.protocols)
    this.#connIds = new Either(filter.connIds)
    this.#pods = pods
    this.#takesAll = this.#connIds.all && this.#addresses.all && this.#ports.all
  }

  /** What need not be decoded is left out; what may turn out to be wanted is kept. */
  segments(segments: readonly Segment[]): readonly Segment[] {
    return this.#takesAll ? segments : segments.filter(({ connection }) => this.takes(connection))
  }

  takes(info: ConnectionInfo): boolean {
    if (info === this.#last) return this.#lastTaken
    this.#last = info
    // Of a TLS object whose socket is not known yet nobody can say.
    const isBound = info.clientIp !== '' || info.serverIp !== ''
    this.#lastTaken =
      (this.#connIds.all || this.#connIds.has(info.id.toString())) &&
      (!isBound ||
        (this.#addresses.has(info.clientIp, info.serverIp) && this.#ports.has(info.clientPort, info.serverPort)))
    return this.#lastTaken
  }

  flow(flow: Flow): boolean {
    return (
      flow.ts >= this.#fromUs &&
      flow.ts < this.#toUs &&
      this.#ends(flow) &&
      this.#namespaces.has(flow.client_ns, flow.server_ns) &&
      this.#workloads.has(flow.client_workload, flow.server_workload)
    )
  }

  /** Connections that overlap the window. */
  connection(row: ConnectionRow): boolean {
    if (row.end_ts < this.#fromUs || row.ts >= this.#toUs || !this.#ends(row)) return false
    if (this.#namespaces.all && this.#workloads.all) return true
    const { client, server } = this.names(row)
    return (
      this.#namespaces.has(client.namespace, server.namespace) && this.#workloads.has(client.workload, server.workload)
    )
  }

  #ends(row: Flow | ConnectionRow): boolean {
    return (
      this.#connIds.has(row.conn_id) &&
      this.#addresses.has(row.client_ip, row.server_ip) &&
      this.#ports.has(row.client_port, row.server_port) &&
      this.#protocols.has(row.protocol)
    )
  }

  /** A row of a connection has no names: they are as of its beginning. */
  names(row: ConnectionRow): { readonly client: End; readonly server: End } {
    const info = Object.assign(new ConnectionInfo(BigInt(row.conn_id)), {
      side: row.capture_side,
      clientIp: row.client_ip,
      serverIp: row.server_ip,
      containerId: row.container,
      cluster: row.cluster,
      node: row.node,
    })
    const context = new FlowContext(info, false)
    nameEnds(context, this.#pods?.at(this.knownUs) ?? null, row.ts)
    return context
  }
}

/** The same for rows of klartext.flows, as an SQL condition. */
export function flowCondition({ fromUs, toUs, filter }: Pick<ReplayRequest, 'fromUs' | 'toUs' | 'filter'>): string {
  const conditions: string[] = []
  if (fromUs > 0) conditions.push(`ts >= fromUnixTimestamp64Micro(${fromUs}, 'UTC')`)
  if (toUs < Number.MAX_SAFE_INTEGER) conditions.push(`ts < fromUnixTimestamp64Micro(${toUs}, 'UTC')`)
  const either = (columns: readonly string[], values: readonly (string | number)[], literal = quoted) => {
    if (values.length === 0) return
    const list = values.map(literal).join(', ')
    conditions.push(`(${columns.map((column) => `${column} IN (${list})`).join(' OR ')})`)
  }
  either(['client_ns', 'server_ns'], filter.namespaces)
  either(['client_workload', 'server_workload'], filter.workloads)
  either(['client_ip', 'server_ip'], filter.addresses)
  either(['client_port', 'server_port'], filter.ports, String)
  either(['protocol'], filter.protocols)
  either(['conn_id'], filter.connIds, String)
  return conditions.length === 0 ? '1' : conditions.join(' AND ')
}

function quoted(value: string | number): string {
  return `'${String(value).replace(/[\\']/g, '\\$&')}'`
}

/** One line for people: `namespace shop, port 443`; `''` where there is none. */
export function filterText(filter: ReplayFilter): string {
  const kinds: readonly (readonly [string, readonly (string | number)[]])[] = [
    ['namespace', filter.namespaces],
    ['workload', filter.workloads],
    ['address', filter.addresses],
    ['port', filter.ports],
    ['protocol', filter.protocols],
    ['conn_id', filter.connIds],
  ]
  return kinds
    .filter(([, values]) => values.length > 0)
    .map(([kind, values]) => `${kind} ${values.join(' or ')}`)
    .join(', ')
}
