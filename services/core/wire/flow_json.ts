/** One flow as one JSON object with all columns in order: the form of `klartext read` and of every JSON output. */
import type { HeaderList } from '../exchange.js'
import type { Flow } from '../flow.js'
import { JsonBytes } from './json_bytes.js'

const encoder = new TextEncoder()
/** A copy outside the shared pool: what is written often should lie in few cache lines. */
const piece = (text: string): Uint8Array => encoder.encode(text)
const json = (text: string): string => JSON.stringify(text)

/**
 * What flows of one connection repeat, kept as bytes once it has come twice in a row. `from` is where the part begins in
 * `out`, which has just been written.
 */
class Kept {
  bytes: Uint8Array | null = null

  keep(out: JsonBytes, from: number): void {
    if (out.size - from <= KEPT_BYTES_MAX) this.bytes = new Uint8Array(out.bytes.subarray(from, out.size))
  }
}

const KEPT_BYTES_MAX = 4096

/** Headers: a peer repeats them, and the decoder then hands out the same list. */
class KeptHeaders extends Kept {
  #list: HeaderList | null = null

  write(list: HeaderList, out: JsonBytes): void {
    const same = list === this.#list
    if (same && this.bytes !== null) return out.raw(this.bytes)
    const from = out.size
    out.pairs(list)
    if (same) this.keep(out, from)
    else this.bytes = null
    this.#list = list
  }
}

/** From `l7_version` to the name of `resource`. */
class KeptCall extends Kept {
  #version = ''
  #method = ''
  #host = ''
  #endpoint = ''

  write(flow: Flow, out: JsonBytes): void {
    const { l7_version, method, host, endpoint } = flow
    const same =
      endpoint === this.#endpoint && method === this.#method && host === this.#host && l7_version === this.#version
    if (same && this.bytes !== null) return out.raw(this.bytes)
    const from = out.size
    text(out, KEYS.l7_version, l7_version)
    text(out, KEYS.method, method)
    text(out, KEYS.host, host)
    text(out, KEYS.endpoint, endpoint)
    out.raw(KEYS.resource)
    if (same) return this.keep(out, from)
    this.bytes = null
    this.#version = l7_version
    this.#method = method
    this.#host = host
    this.#endpoint = endpoint
  }
}

/** From `status_code` to the name of `req_bytes`. */
class KeptAnswer extends Kept {
  #status = -1
  #outcome = ''
  #error = ''
  #userAgent = ''
  #contentType = ''

  write(flow: Flow, out: JsonBytes): void {
    const { status_code, outcome, error, user_agent, content_type } = flow
    const same =
      status_code === this.#status &&
      outcome === this.#outcome &&
      error === this.#error &&
      user_agent === this.#userAgent &&
      content_type === this.#contentType
    if (same && this.bytes !== null) return out.raw(this.bytes)
    const from = out.size
    count(out, KEYS.status_code, status_code)
    text(out, KEYS.outcome, outcome)
    text(out, KEYS.error, error)
    text(out, KEYS.user_agent, user_agent)
    text(out, KEYS.content_type, content_type)
    out.raw(KEYS.req_bytes)
    if (same) return this.keep(out, from)
    this.bytes = null
    this.#status = status_code
    this.#outcome = outcome
    this.#error = error
    this.#userAgent = user_agent
    this.#contentType = content_type
  }
}

/** What every flow of a connection repeats; made anew when one of its values changed. */
class Fixed {
  readonly #clientIp: string
  readonly #serverIp: string
  readonly #tlsVersion: string
  readonly #comm: string
  readonly #protocol: string
  readonly #names: Flow
  /** From `cluster` to the name of `exchange_seq`; from there to `protocol`. */
  readonly where: Uint8Array
  readonly ends: Uint8Array
  /** From `tls_version` to the name of `req_headers`, of a flow that is whole and has nothing special. */
  readonly plain: Uint8Array
  /** `pid` and `comm`; the same to the end, where there is no evidence. */
  readonly process: Uint8Array
  readonly processAlone: Uint8Array
  /** What follows the evidence. */
  readonly end: Uint8Array
  readonly call = new KeptCall()
  readonly answer = new KeptAnswer()
  readonly requestHeaders = new KeptHeaders()
  readonly responseHeaders = new KeptHeaders()

  constructor(flow: Flow) {
    this.#clientIp = flow.client_ip
    this.#serverIp = flow.server_ip
    this.#tlsVersion = flow.tls_version
    this.#comm = flow.comm
    this.#protocol = flow.protocol
    this.#names = flow
    this.where = piece(
      `,"cluster":${json(flow.cluster)},"node":${json(flow.node)},"capture_side":${json(flow.capture_side)}` +
        `,"capture_source":${json(flow.capture_source)},"conn_id":"${flow.conn_id}","exchange_seq":`,
    )
    this.ends = piece(
      `,"client_ip":${json(flow.client_ip)},"client_port":${flow.client_port}` +
        `,"server_ip":${json(flow.server_ip)},"server_port":${flow.server_port},"transport":${json(flow.transport)}` +
        `${workload(flow, 'client')}${workload(flow, 'server')},"protocol":${json(flow.protocol)}`,
    )
    this.plain = piece(
      `,"tls_version":${json(flow.tls_version)},"sni":"","findings":[],"pii":[],"redactions":[]` +
        `,"complete":1,"gaps":0,"truncated":0,${versions(flow)},"attrs":{},"req_headers":`,
    )
    const process = `,"pid":${flow.pid},"comm":${json(flow.comm)}`
    this.process = piece(process)
    this.end = piece(
      `,"client_region":${json(flow.client_region)},"server_region":${json(flow.server_region)}` +
        `,"scope":${json(flow.scope)}}`,
    )
    this.processAlone = Buffer.concat([
      piece(`${process},"seg_partition":0,"seg_first":0,"seg_last":0,"in_partition":0,"batch_first":0`),
      this.end,
    ])
  }

  fits(flow: Flow): boolean {
    return (
      flow.client_ip === this.#clientIp &&
      flow.server_ip === this.#serverIp &&
      flow.tls_version === this.#tlsVersion &&
      flow.comm === this.#comm &&
      flow.protocol === this.#protocol &&
      sameNames(flow, this.#names)
    )
  }
}

/** Pods may change during a connection, and what is known of them. */
function sameNames(a: Flow, b: Flow): boolean {
  return (
    a.client_kind === b.client_kind &&
    a.client_cluster === b.client_cluster &&
    a.client_ns === b.client_ns &&
    a.client_workload === b.client_workload &&
    a.client_pod === b.client_pod &&
    a.client_container === b.client_container &&
    a.client_node === b.client_node &&
    a.client_zone === b.client_zone &&
    a.client_region === b.client_region &&
    a.client_service === b.client_service &&
    a.client_sa === b.client_sa &&
    a.server_kind === b.server_kind &&
    a.server_cluster === b.server_cluster &&
    a.server_ns === b.server_ns &&
    a.server_workload === b.server_workload &&
    a.server_pod === b.server_pod &&
    a.server_container === b.server_container &&
    a.server_node === b.server_node &&
    a.server_zone === b.server_zone &&
    a.server_region === b.server_region &&
    a.server_service === b.server_service &&
    a.server_sa === b.server_sa &&
    a.scope === b.scope
  )
}

const versions = (flow: Flow): string =>
  `"decoder_version":${json(flow.decoder_version)},"schema_version":${flow.schema_version}`

const FIXED_MAX = 16_384
const fixedParts = new Map<string, Fixed>()

function fixedOf(flow: Flow): Fixed {
  let fixed = fixedParts.get(flow.conn_id)
  if (fixed === undefined || !fixed.fits(flow)) {
    if (fixedParts.size >= FIXED_MAX) fixedParts.clear()
    fixed = new Fixed(flow)
    fixedParts.set(flow.conn_id, fixed)
  }
  return fixed
}

function workload(flow: Flow, end: 'client' | 'server'): string {
  let text = ''
  for (const part of [
    'kind',
    'cluster',
    'ns',
    'workload',
    'pod',
    'container',
    'node',
    'zone',
    'service',
    'sa',
  ] as const) {
    text += `,"${end}_${part}":${json(flow[`${end}_${part}`])}`
  }
  return text
}

const KEYS = Object.fromEntries(
  [
    'latency_us',
    'ttfb_us',
    'l7_version',
    'method',
    'host',
    'endpoint',
    'resource',
    'status_code',
    'outcome',
    'error',
    'user_agent',
    'content_type',
    'req_bytes',
    'resp_bytes',
    'trace_id',
    'span_id',
    'request_id',
    'principal',
    'tls_version',
    'sni',
    'findings',
    'pii',
    'redactions',
    'complete',
    'gaps',
    'truncated',
    'decoder_version',
    'schema_version',
    'attrs',
    'req_headers',
    'resp_headers',
    'seg_partition',
    'seg_first',
    'seg_last',
    'in_partition',
    'batch_first',
  ].map((name) => [name, piece(`,"${name}":`)]),
) as Record<string, Uint8Array>
const BEGIN = piece('{')
const TS = piece('"ts":"')
/** Most flows name no trace. */
const NO_CORRELATION = piece(',"trace_id":"","span_id":"","request_id":"","principal":""')

/** Appends the flow to `out`, without a line end. `head` stands for its opening brace, with fields of its own before the columns. */
export function writeFlowJson(flow: Flow, out: JsonBytes, head: Uint8Array | null = null): void {
  const fixed = fixedOf(flow)
  out.raw(head ?? BEGIN)
  out.raw(TS)
  writeTime(flow.ts, out)
  count(out, KEYS.latency_us, flow.latency_us)
  count(out, KEYS.ttfb_us, flow.ttfb_us)
  count(out, fixed.where, flow.exchange_seq)
  out.raw(fixed.ends)
  fixed.call.write(flow, out)
  out.text(flow.resource)
  fixed.answer.write(flow, out)
  out.number(flow.req_bytes)
  count(out, KEYS.resp_bytes, flow.resp_bytes)
  writeCorrelation(flow, out)
  if (isPlain(flow)) out.raw(fixed.plain)
  else writeSpecial(flow, out)
  fixed.requestHeaders.write(flow.req_headers, out)
  out.raw(KEYS.resp_headers)
  fixed.responseHeaders.write(flow.resp_headers, out)
  writeEvidence(flow, fixed, out)
}

function text(out: JsonBytes, key: Uint8Array, value: string): void {
  out.raw(key)
  out.text(value)
}

function count(out: JsonBytes, key: Uint8Array, value: number): void {
  out.raw(key)
  out.number(value)
}

function texts(out: JsonBytes, key: Uint8Array, values: readonly string[]): void {
  out.raw(key)
  out.texts(values)
}

function writeCorrelation(flow: Flow, out: JsonBytes): void {
  const { trace_id, span_id, request_id, principal } = flow
  if (trace_id === '' && span_id === '' && request_id === '' && principal === '') return out.raw(NO_CORRELATION)
  text(out, KEYS.trace_id, trace_id)
  text(out, KEYS.span_id, span_id)
  text(out, KEYS.request_id, request_id)
  text(out, KEYS.principal, principal)
}

function isPlain(flow: Flow): boolean {
  const { sni, findings, pii, redactions, complete, gaps, truncated, attrs } = flow
  if (sni !== '' || findings.length > 0 || pii.length > 0 || redactions.length > 0) return false
  if (complete !== 1 || gaps !== 0 || truncated !== 0) return false
  for (const _ in attrs) return false
  return true
}

function writeSpecial(flow: Flow, out: JsonBytes): void {
  text(out, KEYS.tls_version, flow.tls_version)
  text(out, KEYS.sni, flow.sni)
  texts(out, KEYS.findings, flow.findings)
  texts(out, KEYS.pii, flow.pii)
  texts(out, KEYS.redactions, flow.redactions)
  count(out, KEYS.complete, flow.complete)
  count(out, KEYS.gaps, flow.gaps)
  count(out, KEYS.truncated, flow.truncated)
  text(out, KEYS.decoder_version, flow.decoder_version)
  count(out, KEYS.schema_version, flow.schema_version)
  out.raw(KEYS.attrs)
  out.map(flow.attrs)
  out.raw(KEYS.req_headers)
}

function writeEvidence(flow: Flow, fixed: Fixed, out: JsonBytes): void {
  const { seg_partition, seg_first, seg_last, in_partition, batch_first } = flow
  if (seg_partition === 0 && seg_first === 0 && seg_last === 0 && in_partition === 0 && batch_first === 0) {
    return out.raw(fixed.processAlone)
  }
  out.raw(fixed.process)
  count(out, KEYS.seg_partition, seg_partition)
  count(out, KEYS.seg_first, seg_first)
  count(out, KEYS.seg_last, seg_last)
  count(out, KEYS.in_partition, in_partition)
  count(out, KEYS.batch_first, batch_first)
  out.raw(fixed.end)
}

const line = new JsonBytes()

export function flowToJson(flow: Flow): string {
  line.clear()
  writeFlowJson(flow, line)
  return line.toString()
}

let lastSecond = -1
let lastPrefix: Uint8Array = piece('')

/** ISO 8601 in UTC with µs and the closing quote: `2026-01-02T03:04:05.000006Z"`. Capture files may hold times no Date can show: those become the epoch's. */
function writeTime(us: number, out: JsonBytes): void {
  const second = Math.floor(us / 1e6)
  if (second !== lastSecond) {
    const valid = second >= 0 && second <= 253_402_300_799
    lastSecond = second
    lastPrefix = piece(new Date(valid ? second * 1000 : 0).toISOString().slice(0, 20))
  }
  out.raw(lastPrefix)
  out.padded(us - second * 1e6, 6)
  out.byte(UTC)
  out.byte(QUOTE)
}

const UTC = 90
const QUOTE = 34

export function isoTime(us: number): string {
  const out = new JsonBytes()
  writeTime(us, out)
  return out.toString().slice(0, -1)
}
