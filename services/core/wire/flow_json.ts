/** One flow as one JSON object with all columns in order: the form of `klartext read` and of every JSON output. */
import type { Flow } from '../flow.js'

/** What every flow of a connection repeats, written once; rebuilt when one of its values changed. */
class Fixed {
  readonly clientIp: string
  readonly serverIp: string
  readonly tlsVersion: string
  readonly comm: string
  readonly where: string
  readonly ends: string

  constructor(flow: Flow) {
    this.clientIp = flow.client_ip
    this.serverIp = flow.server_ip
    this.tlsVersion = flow.tls_version
    this.comm = flow.comm
    this.where =
      `,"cluster":${quote(flow.cluster)},"node":${quote(flow.node)},"capture_side":"${flow.capture_side}"` +
      `,"capture_source":${quote(flow.capture_source)},"conn_id":"${flow.conn_id}","exchange_seq":`
    this.ends =
      `,"client_ip":"${flow.client_ip}","client_port":${flow.client_port}` +
      `,"server_ip":"${flow.server_ip}","server_port":${flow.server_port},"transport":"${flow.transport}"` +
      `${workload(flow, 'client')}${workload(flow, 'server')},"protocol":"${flow.protocol}"`
  }

  fits(flow: Flow): boolean {
    return (
      flow.client_ip === this.clientIp &&
      flow.server_ip === this.serverIp &&
      flow.tls_version === this.tlsVersion &&
      flow.comm === this.comm
    )
  }
}

const FIXED_MAX = 65_536
const fixedParts = new Map<string, Fixed>()

export function flowToJson(flow: Flow): string {
  let fixed = fixedParts.get(flow.conn_id)
  if (fixed === undefined || !fixed.fits(flow)) {
    if (fixedParts.size >= FIXED_MAX) fixedParts.clear()
    fixed = new Fixed(flow)
    fixedParts.set(flow.conn_id, fixed)
  }
  return (
    `{"ts":"${isoTime(flow.ts)}","latency_us":${flow.latency_us},"ttfb_us":${flow.ttfb_us}${fixed.where}` +
    `${flow.exchange_seq}${fixed.ends},"l7_version":${quote(flow.l7_version)},"method":${quote(flow.method)}` +
    `,"host":${quote(flow.host)},"endpoint":${quote(flow.endpoint)},"resource":${quote(flow.resource)}` +
    `,"status_code":${flow.status_code},"outcome":"${flow.outcome}","error":${quote(flow.error)}` +
    `,"user_agent":${quote(flow.user_agent)},"content_type":${quote(flow.content_type)}` +
    `,"req_bytes":${flow.req_bytes},"resp_bytes":${flow.resp_bytes},"trace_id":"${flow.trace_id}"` +
    `,"span_id":"${flow.span_id}","request_id":${quote(flow.request_id)},"principal":${quote(flow.principal)}` +
    `,"tls_version":"${flow.tls_version}","sni":${quote(flow.sni)},"findings":${texts(flow.findings)}` +
    `,"pii":${texts(flow.pii)},"redactions":${texts(flow.redactions)},"complete":${flow.complete}` +
    `,"gaps":${flow.gaps},"truncated":${flow.truncated},"decoder_version":"${flow.decoder_version}"` +
    `,"schema_version":${flow.schema_version},"attrs":${map(flow.attrs)},"req_headers":${map(flow.req_headers)}` +
    `,"resp_headers":${map(flow.resp_headers)},"pid":${flow.pid},"comm":${quote(flow.comm)}` +
    `,"seg_partition":${flow.seg_partition},"seg_first":${flow.seg_first},"seg_last":${flow.seg_last}` +
    `,"in_partition":${flow.in_partition},"batch_first":${flow.batch_first}}`
  )
}

function workload(flow: Flow, end: 'client' | 'server'): string {
  let json = ''
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
    json += `,"${end}_${part}":${quote(flow[`${end}_${part}`])}`
  }
  return json
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters JSON must escape
const ESCAPED = /["\\\u0000-\u001f\ud800-\udfff]/

function quote(text: string): string {
  if (text === '') return '""'
  return ESCAPED.test(text) ? JSON.stringify(text) : `"${text}"`
}

function texts(list: readonly string[]): string {
  return list.length === 0 ? '[]' : JSON.stringify(list)
}

function map(values: Record<string, string>): string {
  let text = ''
  for (const name in values) text += `${text === '' ? '{' : ','}${quote(name)}:${quote(values[name])}`
  return text === '' ? '{}' : `${text}}`
}

let lastSecond = -1
let lastPrefix = ''

/** ISO 8601 in UTC with µs: `2026-01-02T03:04:05.000006Z`. Capture files may hold times no Date can show: those become the epoch's. */
export function isoTime(us: number): string {
  const second = Math.floor(us / 1e6)
  if (second !== lastSecond) {
    const valid = second >= 0 && second <= 253_402_300_799
    lastSecond = second
    lastPrefix = new Date(valid ? second * 1000 : 0).toISOString().slice(0, 20)
  }
  const rest = us - second * 1e6 + 1e6
  return `${lastPrefix}${String(rest).slice(1, 7)}Z`
}
