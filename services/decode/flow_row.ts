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
 * What all flows of a connection share, and what the exchange says, is read where it stands; the row keeps what policy may
 * change, and what is known of it alone. A class, so that all rows have one hidden shape; `plainFlow` makes an object of all
 * columns.
 */
export class FlowRow implements Flow {
  readonly #context: FlowContext
  /** The ends as they were named when the row was made. */
  readonly #client: End
  readonly #server: End
  readonly #exchange: Exchange
  readonly scope: Scope
  readonly exchange_seq: number
  readonly endpoint: string
  resource: string
  principal: string
  pii = NO_TEXTS
  redactions = NO_TEXTS
  attrs: Record<string, string>
  req_headers: HeaderList
  resp_headers: HeaderList
  seg_partition = 0
  seg_first = 0
  seg_last = 0
  in_partition = 0
  batch_first = 0

  /** `exchange` is not changed any more. */
  constructor(context: FlowContext, exchange: Exchange, seq: number) {
    this.#context = context
    this.#client = context.client
    this.#server = context.server
    this.#exchange = exchange
    this.scope = context.scope === '' ? 'unknown' : context.scope
    this.exchange_seq = seq
    this.endpoint = exchange.endpoint !== '' ? exchange.endpoint : endpointOf(exchange.resource)
    this.resource = exchange.resource
    this.principal = exchange.principal
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

  get ts(): number {
    const { reqStartUs, respStartUs } = this.#exchange
    return reqStartUs !== 0 ? reqStartUs : respStartUs
  }

  /** Two clocks of one capture (write entry, read exit) may cross by a few µs: never negative. */
  get latency_us(): number {
    const { reqStartUs, respStartUs, respEndUs } = this.#exchange
    return reqStartUs !== 0 && respStartUs !== 0 ? Math.max(0, respEndUs - reqStartUs) : 0
  }

  get ttfb_us(): number {
    const { reqStartUs, reqEndUs, respStartUs } = this.#exchange
    return reqStartUs !== 0 && respStartUs !== 0 ? Math.max(0, respStartUs - reqEndUs) : 0
  }

  get tls_version(): string {
    const { tlsVersion } = this.#exchange
    return tlsVersion !== '' ? tlsVersion : this.#context.tlsVersion
  }

  get complete(): number {
    return this.#exchange.complete ? 1 : 0
  }

  get truncated(): number {
    return this.#exchange.truncated ? 1 : 0
  }

  get protocol(): string {
    return this.#exchange.protocol
  }

  get l7_version(): string {
    return this.#exchange.l7Version
  }

  get method(): string {
    return this.#exchange.method
  }

  get host(): string {
    return this.#exchange.host
  }

  get status_code(): number {
    return this.#exchange.statusCode
  }

  get outcome(): Flow['outcome'] {
    return this.#exchange.outcome
  }

  get error(): string {
    return this.#exchange.error
  }

  get user_agent(): string {
    return this.#exchange.userAgent
  }

  get content_type(): string {
    return this.#exchange.contentType
  }

  get req_bytes(): number {
    return this.#exchange.reqBytes
  }

  get resp_bytes(): number {
    return this.#exchange.respBytes
  }

  get trace_id(): string {
    return this.#exchange.traceId
  }

  get span_id(): string {
    return this.#exchange.spanId
  }

  get request_id(): string {
    return this.#exchange.requestId
  }

  get sni(): string {
    return this.#exchange.sni
  }

  get findings(): readonly string[] {
    return this.#exchange.anomalies
  }

  /** A connection or a long body may have lost more pieces than the column holds. */
  get gaps(): number {
    return Math.min(GAPS_MAX, this.#exchange.gaps)
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
