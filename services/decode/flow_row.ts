/** Builds the stored row from an exchange and its connection. */
import type { Exchange, HeaderList } from '../core/exchange.js'
import { DECODER_VERSION, type Flow, SCHEMA_VERSION, type Scope, type WorkloadKind } from '../core/flow.js'
import type { Identity } from '../core/pods.js'
import type { CaptureSide, ConnectionInfo, Transport } from '../core/segment.js'
import { endpointOf } from './endpoints.js'
import { type End, UNKNOWN_END } from './naming.js'

/** The columns that all flows of one connection share. */
export class FlowContext {
  readonly connId: string
  readonly cluster: string
  readonly node: string
  readonly captureSide: CaptureSide
  readonly captureSource: string
  readonly clientIp: string
  readonly clientPort: number
  readonly serverIp: string
  readonly serverPort: number
  readonly transport: Transport
  readonly container: string
  readonly tlsVersion: string
  readonly pid: number
  readonly comm: string
  readonly podUid: string
  /** Set by `nameEnds`. */
  client: End = UNKNOWN_END
  server: End = UNKNOWN_END
  scope: Scope | '' = ''
  /** The captured pod, as the view with this number knows it. */
  own: Identity | null = null
  ownView = -1
  readonly requestHeaders = new HeaderMemo()
  readonly responseHeaders = new HeaderMemo()

  constructor(info: ConnectionInfo, turned: boolean) {
    this.connId = info.id.toString()
    this.cluster = info.cluster
    this.node = info.node
    this.captureSide = turned ? turnedSide(info.side) : info.side
    this.captureSource = info.source
    this.clientIp = turned ? info.serverIp : info.clientIp
    this.clientPort = turned ? info.serverPort : info.clientPort
    this.serverIp = turned ? info.clientIp : info.serverIp
    this.serverPort = turned ? info.clientPort : info.serverPort
    this.transport = info.transport
    this.container = info.containerId
    this.podUid = info.podUid
    this.tlsVersion = info.tlsVersion
    this.pid = info.pid
    this.comm = info.comm
  }
}

function turnedSide(side: CaptureSide): CaptureSide {
  return side === 'client' ? 'server' : side === 'server' ? 'client' : 'unknown'
}

const NO_TEXTS: readonly string[] = Object.freeze([])
const NO_MAP: Record<string, string> = Object.freeze({}) as Record<string, string>

/** A class, so that all rows have one hidden shape; property order is column order. */
export class FlowRow implements Flow {
  ts: number
  latency_us: number
  ttfb_us: number
  cluster: string
  node: string
  capture_side: CaptureSide
  capture_source: string
  conn_id: string
  exchange_seq: number
  client_ip: string
  client_port: number
  server_ip: string
  server_port: number
  transport: Transport
  client_kind: WorkloadKind
  client_cluster: string
  client_ns: string
  client_workload: string
  client_pod: string
  client_container: string
  client_node: string
  client_zone: string
  client_service: string
  client_sa: string
  server_kind: WorkloadKind
  server_cluster: string
  server_ns: string
  server_workload: string
  server_pod: string
  server_container: string
  server_node: string
  server_zone: string
  server_service: string
  server_sa: string
  protocol: string
  l7_version: string
  method: string
  host: string
  endpoint: string
  resource: string
  status_code: number
  outcome: Flow['outcome']
  error: string
  user_agent: string
  content_type: string
  req_bytes: number
  resp_bytes: number
  trace_id: string
  span_id: string
  request_id: string
  principal: string
  tls_version: string
  sni: string
  findings: readonly string[]
  pii = NO_TEXTS
  redactions = NO_TEXTS
  complete: number
  gaps: number
  truncated: number
  decoder_version = DECODER_VERSION
  schema_version = SCHEMA_VERSION
  attrs: Record<string, string>
  req_headers: HeaderList
  resp_headers: HeaderList
  pid: number
  comm: string
  seg_partition = 0
  seg_first = 0
  seg_last = 0
  in_partition = 0
  batch_first = 0
  client_region: string
  server_region: string
  scope: Flow['scope']

  constructor(context: FlowContext, exchange: Exchange, seq: number) {
    const { reqStartUs, reqEndUs, respStartUs, respEndUs } = exchange
    const begin = reqStartUs !== 0 ? reqStartUs : respStartUs
    const bothSeen = reqStartUs !== 0 && respStartUs !== 0
    this.ts = begin
    // Two clocks of one capture (write entry, read exit) may cross by a few µs: never negative.
    this.latency_us = bothSeen ? Math.max(0, respEndUs - reqStartUs) : 0
    this.ttfb_us = bothSeen ? Math.max(0, respStartUs - reqEndUs) : 0
    this.cluster = context.cluster
    this.node = context.node
    this.capture_side = context.captureSide
    this.capture_source = context.captureSource
    this.conn_id = context.connId
    this.exchange_seq = seq
    this.client_ip = context.clientIp
    this.client_port = context.clientPort
    this.server_ip = context.serverIp
    this.server_port = context.serverPort
    this.transport = context.transport
    const { client, server } = context
    this.client_kind = client.kind
    this.client_cluster = client.cluster
    this.client_ns = client.namespace
    this.client_workload = client.workload
    this.client_pod = client.pod
    this.client_container = client.container
    this.client_node = client.node
    this.client_zone = client.zone
    this.client_service = client.service
    this.client_sa = client.serviceAccount
    this.server_kind = server.kind
    this.server_cluster = server.cluster
    this.server_ns = server.namespace
    this.server_workload = server.workload
    this.server_pod = server.pod
    this.server_container = server.container
    this.server_node = server.node
    this.server_zone = server.zone
    this.server_service = server.service
    this.server_sa = server.serviceAccount
    this.protocol = exchange.protocol
    this.l7_version = exchange.l7Version
    this.method = exchange.method
    this.host = exchange.host
    this.endpoint = exchange.endpoint !== '' ? exchange.endpoint : endpointOf(exchange.resource)
    this.resource = exchange.resource
    this.status_code = exchange.statusCode
    this.outcome = exchange.outcome
    this.error = exchange.error
    this.user_agent = exchange.userAgent
    this.content_type = exchange.contentType
    this.req_bytes = exchange.reqBytes
    this.resp_bytes = exchange.respBytes
    this.trace_id = exchange.traceId
    this.span_id = exchange.spanId
    this.request_id = exchange.requestId
    this.principal = exchange.principal
    this.tls_version = exchange.tlsVersion !== '' ? exchange.tlsVersion : context.tlsVersion
    this.sni = exchange.sni
    this.findings = exchange.anomalies
    this.complete = exchange.complete ? 1 : 0
    this.gaps = exchange.gaps
    this.truncated = exchange.truncated ? 1 : 0
    this.attrs = exchange.attrs ?? NO_MAP
    this.req_headers = context.requestHeaders.eachOnce(exchange.reqHeaders)
    this.resp_headers = context.responseHeaders.eachOnce(exchange.respHeaders)
    this.pid = context.pid
    this.comm = context.comm
    this.client_region = client.region
    this.server_region = server.region
    this.scope = context.scope === '' ? 'unknown' : context.scope
  }
}

/** Decoders hand out the same list again for a peer that repeats its headers: what was made of it last is kept. */
class HeaderMemo {
  #list: HeaderList = NO_TEXTS
  #once: HeaderList = NO_TEXTS

  eachOnce(list: HeaderList): HeaderList {
    if (list !== this.#list) {
      this.#once = eachOnce(list)
      this.#list = list
    }
    return this.#once
  }
}

/** Repeated fields are joined with ', ' as RFC 9110 section 5.3 allows; cookies, which HTTP/2 cuts up, as RFC 9113 section 8.2.3 says. */
function eachOnce(list: HeaderList): HeaderList {
  if (list.length > COMPARED_MAX) return joined(list)
  for (let i = 2; i < list.length; i += 2) {
    for (let j = 0; j < i; j += 2) if (list[i] === list[j]) return joined(list)
  }
  return list
}

/** Longer lists are put into a map at once: comparing each name with each would take too long. */
const COMPARED_MAX = 48

function joined(list: HeaderList): HeaderList {
  const values = new Map<string, string>()
  for (let i = 0; i < list.length; i += 2) {
    const before = values.get(list[i])
    const between = list[i] === 'cookie' ? '; ' : ', '
    values.set(list[i], before === undefined ? list[i + 1] : `${before}${between}${list[i + 1]}`)
  }
  return [...values].flat()
}
