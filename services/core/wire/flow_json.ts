/** One flow as one JSON object with all columns in order: the form of `klartext read` and of every JSON output. */
import type { Flow, FlowOrigin } from '../flow.js'
import { KEYS } from './flow_json_keys.js'
import { writePlace } from './flow_json_place.js'
import { type Shape, shapeOf } from './flow_json_shape.js'
import { JsonBytes, Piece } from './json_bytes.js'

const BEGIN = Piece.of('{"ts":"')
const TS = Piece.of('"ts":"')
/** Appends the flow to `out`, without a line end. `head` stands for its opening brace, with fields of its own before the columns. */
export function writeFlowJson(
  flow: Flow,
  out: JsonBytes,
  origin: FlowOrigin | null = null,
  head: Piece | null = null,
): void {
  const shape = shapeOf(flow, origin)
  const call = shape.call(flow)
  if (head === null) out.raw(BEGIN)
  else {
    out.raw(head)
    out.raw(TS)
  }
  writeTime(flow.ts, out)
  count(out, KEYS.latency_us, flow.latency_us)
  count(out, KEYS.ttfb_us, flow.ttfb_us)
  writePlace(flow, shape, origin, out)
  call.write(shape.workloads, out)
  out.text(flow.resource)
  call.answer.write(flow, out)
  out.number(flow.req_bytes)
  count(out, KEYS.resp_bytes, flow.resp_bytes)
  const whole = isWhole(flow)
  if (whole && isUncorrelated(flow)) out.raw(shape.ordinary)
  else {
    call.correlation.write(flow, out)
    if (whole) out.raw(shape.whole)
    else writeSpecial(flow, out)
  }
  call.attributes.write(flow.attrs, out)
  if (flow.req_headers.length === 0 && flow.resp_headers.length === 0 && !hasEvidence(flow)) {
    return out.raw(shape.withoutHeaders)
  }
  out.raw(KEYS.req_headers)
  call.requestHeaders.write(flow.req_headers, out)
  out.raw(KEYS.resp_headers)
  call.responseHeaders.write(flow.resp_headers, out)
  writeEvidence(flow, shape, out)
}

function text(out: JsonBytes, key: Piece, value: string): void {
  out.raw(key)
  out.text(value)
}

function count(out: JsonBytes, key: Piece, value: number): void {
  out.raw(key)
  out.number(value)
}

function texts(out: JsonBytes, key: Piece, values: readonly string[]): void {
  out.raw(key)
  out.texts(values)
}

function isUncorrelated({ trace_id, span_id, request_id, principal }: Flow): boolean {
  return trace_id === '' && span_id === '' && request_id === '' && principal === ''
}

function isWhole(flow: Flow): boolean {
  const { sni, findings, pii, redactions, complete, gaps, truncated } = flow
  if (sni !== '' || findings.length > 0 || pii.length > 0 || redactions.length > 0) return false
  return complete === 1 && gaps === 0 && truncated === 0
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
}

function hasEvidence({ seg_partition, seg_first, seg_last, in_partition, batch_first }: Flow): boolean {
  return seg_partition !== 0 || seg_first !== 0 || seg_last !== 0 || in_partition !== 0 || batch_first !== 0
}

function writeEvidence(flow: Flow, shape: Shape, out: JsonBytes): void {
  if (!hasEvidence(flow)) return out.raw(shape.processAlone)
  out.raw(shape.process)
  count(out, KEYS.seg_partition, flow.seg_partition)
  count(out, KEYS.seg_first, flow.seg_first)
  count(out, KEYS.seg_last, flow.seg_last)
  count(out, KEYS.in_partition, flow.in_partition)
  count(out, KEYS.batch_first, flow.batch_first)
  out.raw(shape.end)
}

const line = new JsonBytes()

export function flowToJson(flow: Flow): string {
  line.clear()
  writeFlowJson(flow, line)
  return line.toString()
}

let lastSecond = -1
let lastPrefix: Piece = Piece.of('')

/** ISO 8601 in UTC with µs and the closing quote: `2026-01-02T03:04:05.000006Z"`. Capture files may hold times no Date can show: those become the epoch's. */
export function writeTime(us: number, out: JsonBytes): void {
  const second = Math.floor(us / 1e6)
  if (second !== lastSecond) {
    const valid = second >= 0 && second <= 253_402_300_799
    lastSecond = second
    lastPrefix = Piece.of(new Date(valid ? second * 1000 : 0).toISOString().slice(0, 20))
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
