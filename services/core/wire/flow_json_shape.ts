/**
 * The parts of a JSON line that flows repeat, kept as bytes. They are shared between connections: parts of its own for each
 * of many connections would not stay in the processor's cache, and copying them would cost more than making them.
 */
import type { Flow, FlowOrigin } from '../flow.js'
import { Call, callHash } from './flow_json_call.js'
import { forgetPlaces } from './flow_json_place.js'
import { Piece } from './json_bytes.js'
import { kept } from './kept_part.js'

/** Calls kept of one shape, a power of two; a new one takes the place of another. */
const CALLS = 256

/** Flows that were seen at one place, between the same workloads, in one protocol. */
export class Shape {
  /** Its first flow, which is not changed any more. */
  readonly #sample: Flow
  /** From `cluster` to the value of `conn_id`. */
  readonly where: Piece
  /** From `transport` to `protocol`. */
  readonly workloads: Piece
  /** From `tls_version` to the name of `attrs`, of a flow that is whole and has nothing special; the same from `trace_id`. */
  readonly whole: Piece
  readonly ordinary: Piece
  /** `pid` and `comm`; to the end, where there is no evidence; the same from `req_headers`, where there are no headers. */
  readonly process: Piece
  readonly processAlone: Piece
  readonly withoutHeaders: Piece
  /** What follows the evidence. */
  readonly end: Piece
  #calls: (Call | null)[] = []
  #latest = new Call()

  constructor(flow: Flow, texts: ShapeTexts) {
    this.#sample = flow
    this.where = Piece.of(texts.where)
    this.workloads = Piece.of(texts.workloads)
    this.whole = Piece.of(texts.whole)
    this.ordinary = Piece.of(NO_CORRELATION + texts.whole)
    this.process = Piece.of(texts.process)
    const alone = `${texts.process},"seg_partition":0,"seg_first":0,"seg_last":0,"in_partition":0,"batch_first":0${texts.end}`
    this.processAlone = Piece.of(alone)
    this.withoutHeaders = Piece.of(`,"req_headers":{},"resp_headers":{}${alone}`)
    this.end = Piece.of(texts.end)
    const { where, workloads, whole, ordinary, process, processAlone, withoutHeaders, end } = this
    for (const { size } of [where, workloads, whole, ordinary, process, processAlone, withoutHeaders, end]) {
      kept.bytes += size
    }
    this.forgetCalls()
  }

  forgetCalls(): void {
    this.#calls = new Array<Call | null>(CALLS).fill(null)
    this.#latest = new Call()
  }

  /** Of what its origin does not settle. */
  fitsExchange(flow: Flow): boolean {
    return flow.protocol === this.#sample.protocol && flow.tls_version === this.#sample.tls_version
  }

  fits(flow: Flow): boolean {
    const sample = this.#sample
    return (
      flow.server_workload === sample.server_workload &&
      flow.client_workload === sample.client_workload &&
      flow.server_pod === sample.server_pod &&
      flow.client_pod === sample.client_pod &&
      flow.protocol === sample.protocol &&
      flow.transport === sample.transport &&
      flow.tls_version === sample.tls_version &&
      flow.pid === sample.pid &&
      flow.comm === sample.comm &&
      flow.capture_side === sample.capture_side &&
      flow.capture_source === sample.capture_source &&
      flow.cluster === sample.cluster &&
      flow.node === sample.node &&
      flow.client_kind === sample.client_kind &&
      flow.client_cluster === sample.client_cluster &&
      flow.client_ns === sample.client_ns &&
      flow.client_container === sample.client_container &&
      flow.client_node === sample.client_node &&
      flow.client_zone === sample.client_zone &&
      flow.client_region === sample.client_region &&
      flow.client_service === sample.client_service &&
      flow.client_sa === sample.client_sa &&
      flow.server_kind === sample.server_kind &&
      flow.server_cluster === sample.server_cluster &&
      flow.server_ns === sample.server_ns &&
      flow.server_container === sample.server_container &&
      flow.server_node === sample.server_node &&
      flow.server_zone === sample.server_zone &&
      flow.server_region === sample.server_region &&
      flow.server_service === sample.server_service &&
      flow.server_sa === sample.server_sa &&
      flow.scope === sample.scope &&
      flow.decoder_version === sample.decoder_version &&
      flow.schema_version === sample.schema_version
    )
  }

  /** The call of a flow: in its place, or in the one beside it, where the one that came before moves. */
  call(flow: Flow): Call {
    if (this.#latest.fits(flow)) return this.#latest
    if (kept.tooMany) forget()
    const calls = this.#calls
    const at = callHash(flow) & (CALLS - 1)
    const first = calls[at]
    if (first?.fits(flow)) return (this.#latest = first)
    const second = calls[at ^ 1]
    if (second?.fits(flow)) return (this.#latest = second)
    const call = second ?? new Call()
    call.become(flow)
    calls[at ^ 1] = first
    calls[at] = call
    return (this.#latest = call)
  }
}

/** Most flows name no trace. */
const NO_CORRELATION = ',"trace_id":"","span_id":"","request_id":"","principal":""'

const json = (text: string): string => JSON.stringify(text)

interface ShapeTexts {
  readonly where: string
  readonly workloads: string
  /** From `tls_version` to the name of `attrs`. */
  readonly whole: string
  readonly process: string
  readonly end: string
}

function textsOf(flow: Flow): ShapeTexts {
  return {
    where:
      `,"cluster":${json(flow.cluster)},"node":${json(flow.node)},"capture_side":${json(flow.capture_side)}` +
      `,"capture_source":${json(flow.capture_source)},"conn_id":"`,
    workloads: `,"transport":${json(flow.transport)}${workload(flow, 'client')}${workload(flow, 'server')},"protocol":${json(flow.protocol)}`,
    whole:
      `,"tls_version":${json(flow.tls_version)},"sni":"","findings":[],"pii":[],"redactions":[]` +
      `,"complete":1,"gaps":0,"truncated":0,"decoder_version":${json(flow.decoder_version)}` +
      `,"schema_version":${flow.schema_version},"attrs":`,
    process: `,"pid":${flow.pid},"comm":${json(flow.comm)}`,
    end: `,"client_region":${json(flow.client_region)},"server_region":${json(flow.server_region)},"scope":${json(flow.scope)}}`,
  }
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

const RECENT_SHAPES = 16
const SHAPES_MAX = 4096
/** By all their texts. */
const shapes = new Map<string, Shape>()
let recent: Shape[] = []

/** `origin` spares the search; it must be that of the flow. */
export function shapeOf(flow: Flow, origin: FlowOrigin | null): Shape {
  if (origin?.shape?.fitsExchange(flow)) return origin.shape
  const shape = recent.find((each) => each.fits(flow)) ?? otherShape(flow)
  if (origin !== null) origin.shape = shape
  return shape
}

function otherShape(flow: Flow): Shape {
  if (kept.tooMany || shapes.size >= SHAPES_MAX) forget()
  const texts = textsOf(flow)
  const key = texts.where + texts.workloads + texts.whole + texts.process + texts.end
  let shape = shapes.get(key)
  if (shape === undefined) {
    shape = new Shape(flow, texts)
    shapes.set(key, shape)
  }
  recent.unshift(shape)
  if (recent.length > RECENT_SHAPES) recent.pop()
  return shape
}

/** A shape may still be the one of an idle connection. */
function forget(): void {
  for (const shape of shapes.values()) shape.forgetCalls()
  shapes.clear()
  recent = []
  forgetPlaces()
  kept.bytes = 0
}
