/** Builds the stored row from an exchange and its connection. */
import type { Exchange, HeaderList } from '../core/exchange.js'
import { DECODER_VERSION, type Flow, plainFlow, SCHEMA_VERSION, type Scope, type WorkloadKind } from '../core/flow.js'
import type { CaptureSide, Transport } from '../core/segment.js'
import { endpointOf } from './endpoints.js'
import { type FlowContext, NO_TEXTS } from './flow_context.js'
import { eachOnce } from './header_list.js'
import type { End } from './naming.js'

/** What a row holds of a count of 16 bits. */
const GAPS_MAX = 0xffff
const NO_MAP: Record<string, string> = Object.freeze({}) as Record<string, string>

/**
 * What an exchange has of its own is kept in the row; what all flows of its connection share is read where it stands: half of
 * a row's columns would be copies. A decoder may go on with an exchange that it handed over (a body that still comes): the row
 * keeps what was said by then. A class, so that all rows have one hidden shape; `plainFlow` makes an object of all columns.
 */
export class FlowRow implements Flow {
  readonly #context: FlowContext
  /** The ends as they were named when the row was made. */
  readonly #client: End
  readonly #server: End
  readonly scope: Scope
  ts: number
  latency_us: number
  ttfb_us: number
  exchange_seq: number
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
  attrs: Record<string, string>
  req_headers: HeaderList
  resp_headers: HeaderList
  seg_partition = 0
  seg_first = 0
  seg_last = 0
  in_partition = 0
  batch_first = 0

  constructor(context: FlowContext, exchange: Exchange, seq: number) {
    const { reqStartUs, reqEndUs, respStartUs, respEndUs } = exchange
    const begin = reqStartUs !== 0 ? reqStartUs : respStartUs
    const bothSeen = reqStartUs !== 0 && respStartUs !== 0
    this.#context = context
    this.#client = context.client
    this.#server = context.server
    this.scope = context.scope === '' ? 'unknown' : context.scope
    this.ts = begin
    // Two clocks of one capture (write entry, read exit) may cross by a few µs: never negative.
    this.latency_us = bothSeen ? Math.max(0, respEndUs - reqStartUs) : 0
    this.ttfb_us = bothSeen ? Math.max(0, respStartUs - reqEndUs) : 0
    this.exchange_seq = seq
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
    // A connection or a long body may have lost more pieces than the column holds.
    this.gaps = Math.min(GAPS_MAX, exchange.gaps)
    this.truncated = exchange.truncated ? 1 : 0
    this.attrs = exchange.attrs ?? NO_MAP
    const { reqHeaders, respHeaders } = exchange
    if (reqHeaders === context.requestHeaders) this.req_headers = reqHeaders
    else this.req_headers = context.requestHeaders = eachOnce(reqHeaders)
    if (respHeaders === context.responseHeaders) this.resp_headers = respHeaders
    else this.resp_headers = context.responseHeaders = eachOnce(respHeaders)
  }

  toJSON(): Flow {
    return plainFlow(this)
  }

  get cluster(): string {
    return this.#context.cluster
  }

  get node(): string {
    return this.#context.node
  }

  get capture_side(): CaptureSide {
    return this.#context.captureSide
  }

  get capture_source(): string {
    return this.#context.captureSource
  }

  get conn_id(): string {
    return this.#context.connId
  }

  get client_ip(): string {
    return this.#context.clientIp
  }

  get client_port(): number {
    return this.#context.clientPort
  }

  get server_ip(): string {
    return this.#context.serverIp
  }

  get server_port(): number {
    return this.#context.serverPort
  }

  get transport(): Transport {
    return this.#context.transport
  }

  get client_kind(): WorkloadKind {
    return this.#client.kind
  }

  get client_cluster(): string {
    return this.#client.cluster
  }

  get client_ns(): string {
    return this.#client.namespace
  }

  get client_workload(): string {
    return this.#client.workload
  }

  get client_pod(): string {
    return this.#client.pod
  }

  get client_container(): string {
    return this.#client.container
  }

  get client_node(): string {
    return this.#client.node
  }

  get client_zone(): string {
    return this.#client.zone
  }

  get client_region(): string {
    return this.#client.region
  }

  get client_service(): string {
    return this.#client.service
  }

  get client_sa(): string {
    return this.#client.serviceAccount
  }

  get server_kind(): WorkloadKind {
    return this.#server.kind
  }

  get server_cluster(): string {
    return this.#server.cluster
  }

  get server_ns(): string {
    return this.#server.namespace
  }

  get server_workload(): string {
    return this.#server.workload
  }

  get server_pod(): string {
    return this.#server.pod
  }

  get server_container(): string {
    return this.#server.container
  }

  get server_node(): string {
    return this.#server.node
  }

  get server_zone(): string {
    return this.#server.zone
  }

  get server_region(): string {
    return this.#server.region
  }

  get server_service(): string {
    return this.#server.service
  }

  get server_sa(): string {
    return this.#server.serviceAccount
  }

  get decoder_version(): string {
    return DECODER_VERSION
  }

  get schema_version(): number {
    return SCHEMA_VERSION
  }

  get pid(): number {
    return this.#context.pid
  }

  get comm(): string {
    return this.#context.comm
  }
}
