/** What must hold for any traffic whatsoever: no throw, bounded work and memory, sums that add up, the same flows again. */

import type { Cursor } from '../../services/core/cursor.js'
import { FLOW_COLUMNS, type Flow } from '../../services/core/flow.js'
import type { Decoder, Protocol } from '../../services/core/protocol.js'
import type { Random } from '../../services/core/random.js'
import { ConnectionInfo, Segment, TO_CLIENT, TO_SERVER } from '../../services/core/segment.js'
import { StateWriter } from '../../services/core/state.js'
import { restoring } from '../../services/decode/golden/restoring.js'
import { CONNECTION_BYTES_MAX } from '../../services/decode/limits.js'
import { DecodePipeline } from '../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'

/** Calls into a decoder: each consumes, skips or waits for a segment. */
const CALLS_PER_BYTE = 3
const CALLS_PER_SEGMENT = 8
/**
 * Processor time, for inputs long enough to measure: 50 ms per MB, and what a segment and a flow cost the host. Beyond that
 * it is set beside plain traffic in as many segments of the same size, on the same machine in the same moment.
 */
const MICROS_PER_BYTE = 0.05
const MICROS_PER_SEGMENT = 6
const MICROS_PER_FLOW = 25
const MICROS_SLACK = 150_000
const MEASURED_BYTES = 128 * 1024
const COST_MAX = 16
const COST_TRIES = 3
/** One row, as JSON. */
const FLOW_BYTES_MAX = 256 * 1024
/** About so many times in a long run decoder state is saved and restored. */
const RESTORES = 150
/** Looks at memory and sums during one run. */
const LOOKS = 24

const METADATA = new FlowPolicy(defaultPolicy('metadata'))
const FULL = new FlowPolicy(defaultPolicy('full'))

class Watched {
  calls = 0
  decoder: Decoder | null = null

  watch(protocol: Protocol): Protocol {
    return {
      ...protocol,
      open: (out, begin) => {
        const decoder = protocol.open(out, begin)
        this.decoder = decoder
        const count = <Words extends unknown[], Answer>(call: (...words: Words) => Answer) => {
          return (...words: Words): Answer => {
            this.calls += 1
            return call(...words)
          }
        }
        const parse = count(decoder.parse.bind(decoder))
        return {
          parse(direction, input) {
            const before = window(input)
            const consumed = parse(direction, input)
            if (consumed > input.length) throw new Error(`${protocol.name}: consumed more than there is`)
            if (window(input) !== before) throw new Error(`${protocol.name}: moved the window`)
            return consumed
          },
          resync: count(decoder.resync.bind(decoder)),
          gap: count(decoder.gap.bind(decoder)),
          end: count(decoder.end.bind(decoder)),
          close: count(decoder.close.bind(decoder)),
          handover: () => decoder.handover?.() ?? null,
          save: (state) => decoder.save(state),
          restore: (state) => decoder.restore(state),
        }
      },
    }
  }

  /** Bytes of decoder state. */
  get stateBytes(): number {
    if (this.decoder === null) return 0
    const state = new StateWriter()
    this.decoder.save(state)
    return state.finish().length
  }
}

const window = ({ pos, end }: Cursor): string => `${pos} ${end}`

/** Null, or what does not hold. */
export function problem(segments: readonly Segment[], random: Random): string | null {
  const flows: string[] = []
  const watched = new Watched()
  const plain = run(
    segments,
    FULL,
    (protocol) => watched.watch(protocol),
    watched,
    (flow) => {
      const text = JSON.stringify(flow)
      flows.push(text)
      return flowProblem(flow, text)
    },
  )
  if (typeof plain === 'string') return plain
  const bytes = segments.reduce((sum, segment) => sum + segment.payload.length, 0)
  return workProblem(segments, bytes, watched.calls, flows.length) ?? restoredProblem(segments, flows, random)
}

/** Decoder state saved and restored at random: the same flows. */
function restoredProblem(segments: readonly Segment[], flows: readonly string[], random: Random): string | null {
  const often = Math.min(0.25, RESTORES / segments.length)
  const restore = () => random.chance(often)
  let count = 0
  const again = run(
    segments,
    FULL,
    (protocol) => restoring(protocol, restore),
    null,
    (flow) => {
      const text = JSON.stringify(flow)
      const expected = flows[count++]
      return text === expected ? null : `flow ${count - 1} of ${flows.length} differs: ${expected} / ${text}`
    },
  )
  if (typeof again === 'string') return `with state saved and restored: ${again}`
  return count === flows.length ? null : `with state saved and restored: ${count} flows instead of ${flows.length}`
}

const asItIs = (protocol: Protocol): Protocol => protocol

/** Processor time in µs, or what does not hold. Bytes of `weighed`'s state are added up: that takes time. */
function run(
  segments: readonly Segment[],
  policy: FlowPolicy,
  protocolOf: (protocol: Protocol) => Protocol,
  weighed: Watched | null,
  flowProblemOf: (flow: Flow) => string | null,
): number | string {
  let failure: string | null = null
  const failed = (where: string, error: unknown): void => {
    failure ??= `${where} threw ${(error as Error).stack?.split('\n').slice(0, 6).join(' ')}`
  }
  const pipeline = new DecodePipeline({
    protocols: PROTOCOLS.map(protocolOf),
    policy,
    onFlow: (flow) => {
      failure ??= flowProblemOf(flow)
    },
    onConnection: () => {},
    onDecoderFailure: (_connection, protocol, error) => failed(protocol, error),
  })
  const begun = process.cpuUsage()
  const step = Math.max(1, Math.ceil(segments.length / LOOKS))
  try {
    for (let i = 0; i < segments.length && failure === null; i += step) {
      pipeline.push(segments.slice(i, i + step))
      failure ??= pipeline.checkInvariants()
      const held = pipeline.accounting.ownBytes + (weighed?.stateBytes ?? 0)
      if (held > CONNECTION_BYTES_MAX) failure ??= `${held} bytes are held for one connection`
    }
    pipeline.finish()
  } catch (error) {
    failed('the pipeline', error)
  }
  failure ??= pipeline.checkInvariants()
  const { user, system } = process.cpuUsage(begun)
  return failure ?? user + system
}

/** As everything live decodes, with nothing looked at on the way: so many flows as in full, within the time that is fair. */
function workProblem(segments: readonly Segment[], bytes: number, calls: number, flows: number): string | null {
  const callsMax = CALLS_PER_BYTE * bytes + CALLS_PER_SEGMENT * segments.length + 64
  if (calls > callsMax) return `${calls} calls for ${bytes} bytes in ${segments.length} segments`
  let count = 0
  const micros = run(segments, METADATA, asItIs, null, () => {
    count += 1
    return null
  })
  if (typeof micros === 'string') return `with metadata only: ${micros}`
  if (count !== flows) return `with metadata only: ${count} flows instead of ${flows}`
  if (bytes < MEASURED_BYTES) return null
  const microsMax =
    MICROS_SLACK + MICROS_PER_BYTE * bytes + MICROS_PER_SEGMENT * segments.length + MICROS_PER_FLOW * flows
  if (micros <= microsMax) return null
  const ratio = leastMicros(segments) / leastMicros(plainTraffic(segments.length, bytes))
  return ratio > COST_MAX ? `${ratio.toFixed(0)} times the time of plain traffic of that size` : null
}

/** The best of a few runs: a busy machine only ever adds to it. */
function leastMicros(segments: readonly Segment[]): number {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < COST_TRIES; i++) {
    const micros = run(segments, METADATA, asItIs, null, () => null)
    if (typeof micros === 'number') least = Math.min(least, micros)
  }
  return least
}

/** HTTP/1 on one connection: about as many segments of the same size. */
function plainTraffic(count: number, bytes: number): Segment[] {
  const body = ' '.repeat(Math.max(8, 2 * Math.ceil(bytes / count) - 90))
  const answer = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  const request = Buffer.from('GET /items/17 HTTP/1.1\r\nhost: shop\r\n\r\n')
  const segments: Segment[] = []
  const connection = new ConnectionInfo(1n)
  const positions = [0, 0]
  for (let i = 0; i < count; i++) {
    const direction = i % 2 === 0 ? TO_SERVER : TO_CLIENT
    const payload = direction === TO_SERVER ? request : answer
    segments.push(new Segment(connection, direction, positions[direction], payload.length, payload, 1e15 + i, 0, 0))
    positions[direction] += payload.length
  }
  return segments
}

const LARGEST: Record<string, number> = { u8: 0xff, u16: 0xffff, u32: 0xffffffff, u64: Number.MAX_SAFE_INTEGER }
const NUMBERS = FLOW_COLUMNS.filter(({ kind }) => LARGEST[kind] !== undefined).map(({ name, kind }) => ({
  name,
  largest: LARGEST[kind],
}))
const TEXTS = FLOW_COLUMNS.filter(({ kind }) => kind === 'text').map(({ name }) => name)

/** Values that a row cannot hold. `text`: the row as JSON. */
function flowProblem(flow: Flow, text: string): string | null {
  for (const { name, largest } of NUMBERS) {
    const value = flow[name] as unknown
    if (!(Number.isInteger(value) && (value as number) >= 0 && (value as number) <= largest)) {
      return `${flow.protocol}: ${name} is ${String(value)}`
    }
  }
  for (const name of TEXTS) {
    if (typeof (flow[name] as unknown) !== 'string') return `${flow.protocol}: ${name} is no text`
  }
  return text.length > FLOW_BYTES_MAX ? `${flow.protocol}: a flow of ${text.length} bytes` : null
}
