/**
 * What a decoder makes of real traffic of which a part is missing: one random piece lost, or the capture begun late. For any
 * protocol's corpus test: `const streams = await corpusStreams('redis', 'redis')`, then `loseOnePiece(streams)` and
 * `joinLate(streams)`; both answer counts to assert on and `figures`, a line to report.
 */
import type { Exchange } from '../../services/core/exchange.js'
import { Random } from '../../services/core/random.js'
import { type Segment, SegmentFlag, TO_SERVER } from '../../services/core/segment.js'
import { type Fault, faultOf, foundAgain, spanUs } from '../../services/decode/golden/fault.js'
import { type Observed, observe } from '../../services/decode/golden/observe.js'
import { atTimesApart, joinedAt, without, withoutBytes, withoutTrace } from '../../services/decode/golden/segments.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { connectionsOf } from './connections.js'
import { corpusFiles } from './corpus.js'

export interface Stream {
  /** Capture and connection, for messages. */
  readonly name: string
  readonly segments: readonly Segment[]
  readonly whole: Observed
}

const STREAM_BYTES_MAX = 4 << 20
const EXAMPLES_MAX = 20
const LOST_BYTES_MAX = 64 * 1024
/** Bytes decoded for all joins of one stream: longer streams are joined at fewer places. */
const JOIN_WORK_BYTES = 8 << 20

/** The connections of these groups that `protocol` decodes, with at least one exchange. */
export async function corpusStreams(protocol: string, ...groups: string[]): Promise<Stream[]> {
  const streams: Stream[] = []
  for (const file of corpusFiles(...groups)) {
    for (const [i, captured] of (await connectionsOf(file.fullPath)).entries()) {
      const segments = atTimesApart(captured)
      if (segments.reduce((sum, segment) => sum + segment.length, 0) > STREAM_BYTES_MAX) continue
      const whole = observe(segments, PROTOCOLS)
      if (whole.exchanges.length === 0 || !whole.connections.some((row) => row.protocol === protocol)) continue
      streams.push({ name: `${file.path} #${i}`, segments, whole })
    }
  }
  return streams
}

class Faults {
  readonly counts: Record<Fault, number> = { invented: 0, mispaired: 0, overstated: 0 }
  /** The first of each stream, with what is needed to see it again. */
  readonly examples: string[] = []
  readonly #told = new Set<string>()

  judge(stream: Stream, seen: Observed, how: string): void {
    for (const exchange of seen.exchanges) {
      const fault = faultOf(exchange, stream.whole.exchanges)
      if (fault === null) continue
      this.counts[fault] += 1
      const { method, resource, statusCode } = exchange
      this.tell(stream, `${how}: ${fault} ${method} ${resource.slice(0, 80)} ${statusCode}`)
    }
  }

  tell({ name }: Stream, what: string): void {
    if (this.examples.length >= EXAMPLES_MAX || this.#told.has(name)) return
    this.#told.add(name)
    this.examples.push(`${name} ${what}`)
  }
}

export interface LossResult {
  readonly losses: number
  readonly faults: Readonly<Record<Fault, number>>
  /** Exchanges that were over before the loss and yet came out otherwise. */
  readonly changedBefore: number
  /** Exchanges no byte of which was lost, and how many of them came out in one piece all the same. */
  readonly untouched: number
  readonly untouchedKept: number
  /** Losses with a whole message behind them in that direction, and how many of these messages were decoded. */
  readonly next: number
  readonly nextDecoded: number
  readonly examples: readonly string[]
  readonly figures: string
}

/** One random piece is lost from each stream, `seeds` times: a captured segment or any 1 B to 64 KiB, in turn. */
export function loseOnePiece(streams: readonly Stream[], seeds = 20): LossResult {
  const faults = new Faults()
  const sums = { losses: 0, changedBefore: 0, untouched: 0, untouchedKept: 0, next: 0, nextDecoded: 0 }
  for (const stream of streams) {
    for (let seed = 1; seed <= seeds; seed++) {
      const loss = lose(stream.segments, new Random(seed), seed)
      if (loss === null) break
      const seen = observe(loss.left, PROTOCOLS)
      sums.losses += 1
      const how = `seed ${seed} (${loss.what})`
      faults.judge(stream, seen, how)
      count(stream, seen, loss, sums, (what) => faults.tell(stream, `${how}: ${what}`))
    }
  }
  const { losses, changedBefore, untouched, untouchedKept, next, nextDecoded } = sums
  const { invented, mispaired, overstated } = faults.counts
  const figures =
    `one piece lost, ${streams.length} streams, ${losses} losses: ${mispaired} mispaired, ${invented} invented, ` +
    `${overstated} overstated, ${changedBefore} changed before the loss; untouched exchanges kept ` +
    `${percent(untouchedKept, untouched)}, next whole message decoded ${percent(nextDecoded, next)}`
  return { ...sums, faults: faults.counts, examples: faults.examples, figures }
}

interface Loss {
  readonly left: readonly Segment[]
  readonly direction: number
  /** Capture times of the first and last segment that lost bytes. */
  readonly firstUs: number
  readonly lastUs: number
  readonly what: string
}

function lose(segments: readonly Segment[], random: Random, seed: number): Loss | null {
  const filled = segments.flatMap((segment, i) => (segment.payload.length > 0 ? [i] : []))
  if (filled.length === 0) return null
  const index = random.pick(filled)
  const { direction, position, length, timeUs, connection } = segments[index]
  if (connection.transport === 'udp' || seed % 2 === 0) {
    const left =
      connection.transport === 'udp' && seed % 2 === 0 ? withoutTrace(segments, index) : without(segments, index)
    return { left, direction, firstUs: timeUs, lastUs: timeUs, what: `segment ${index}, ${length} bytes` }
  }
  const from = position + random.below(length)
  const to = from + 1 + Math.floor(LOST_BYTES_MAX ** random.next())
  const touched = segments.filter(
    (each) => each.direction === direction && each.position < to && each.position + each.length > from,
  )
  return {
    left: withoutBytes(segments, direction, from, to),
    direction,
    firstUs: Math.min(...touched.map((each) => each.timeUs)),
    lastUs: Math.max(...touched.map((each) => each.timeUs)),
    what: `direction ${direction}, bytes ${from} to ${to}`,
  }
}

function count(
  { whole, segments }: Stream,
  seen: Observed,
  { direction: captured, firstUs, lastUs }: Loss,
  sums: { changedBefore: number; untouched: number; untouchedKept: number; next: number; nextDecoded: number },
  tell: (what: string) => void,
): void {
  const texts = new Set(seen.exchanges.map((exchange) => JSON.stringify(exchange)))
  // Where the hello says that who spoke first is the server, directions are the other way round.
  const { clientIp, clientPort } = segments[0].connection
  const row = whole.connections[0]
  const turned = row !== undefined && (row.client_ip !== clientIp || row.client_port !== clientPort)
  const direction = turned ? 1 - captured : captured
  let next: Exchange | null = null
  for (const exchange of whole.exchanges) {
    if (exchange.complete && spanUs(exchange).last < firstUs) {
      if (texts.has(JSON.stringify(exchange))) continue
      sums.changedBefore += 1
      tell(`over before, yet changed: ${exchange.method} ${exchange.resource.slice(0, 80)}`)
      continue
    }
    const { from, to } = partOf(exchange, direction)
    if (from !== 0 && from > lastUs && (next === null || from < partOf(next, direction).from)) next = exchange
    if (from !== 0 && from <= lastUs && to >= firstUs) continue
    sums.untouched += 1
    if (kept(exchange, seen.exchanges)) sums.untouchedKept += 1
  }
  if (next === null) return
  sums.next += 1
  const found = foundAgain(next, seen.exchanges)
  if (direction === TO_SERVER ? found.request : found.answer) sums.nextDecoded += 1
  else tell(`next message not decoded: ${next.method} ${next.resource.slice(0, 80)} ${next.statusCode}`)
}

/** Times of what an exchange says in one direction; 0 = nothing. */
function partOf(exchange: Exchange, direction: number): { from: number; to: number } {
  const { reqStartUs, reqEndUs, respStartUs, respEndUs } = exchange
  return direction === TO_SERVER
    ? { from: reqStartUs, to: Math.max(reqStartUs, reqEndUs) }
    : { from: respStartUs, to: Math.max(respStartUs, respEndUs) }
}

/** In one piece, as in the whole run; what was said before a late join, as the path of an upgrade, nobody can know. */
function kept(whole: Exchange, seen: readonly Exchange[]): boolean {
  return seen.some(
    (each) =>
      each.reqStartUs === whole.reqStartUs &&
      each.respStartUs === whole.respStartUs &&
      each.statusCode === whole.statusCode &&
      (each.resource === whole.resource || each.resource === ''),
  )
}

export interface JoinResult {
  readonly joins: number
  readonly faults: Readonly<Record<Fault, number>>
  /** Exchanges that began after the capture did, and how many of them came out in one piece. */
  readonly later: number
  readonly laterKept: number
  readonly examples: readonly string[]
  readonly figures: string
}

/** Each stream is joined at every byte of both directions, long ones at places spread evenly. */
export function joinLate(streams: readonly Stream[], workBytes = JOIN_WORK_BYTES): JoinResult {
  const faults = new Faults()
  const sums = { joins: 0, later: 0, laterKept: 0 }
  for (const stream of streams) {
    for (const [index, offset] of joinPlaces(stream.segments, workBytes)) {
      const seen = observe(joinedAt(stream.segments, index, offset), PROTOCOLS)
      sums.joins += 1
      faults.judge(stream, seen, `joined at segment ${index}, byte ${offset}`)
      const joinUs = stream.segments[index].timeUs
      for (const exchange of stream.whole.exchanges) {
        if (spanUs(exchange).first <= joinUs) continue
        sums.later += 1
        if (kept(exchange, seen.exchanges)) sums.laterKept += 1
      }
    }
  }
  const { invented, mispaired, overstated } = faults.counts
  const figures =
    `joined late, ${streams.length} streams, ${sums.joins} places: ${mispaired} mispaired, ${invented} invented, ` +
    `${overstated} overstated; exchanges begun later kept ${percent(sums.laterKept, sums.later)}`
  return { ...sums, faults: faults.counts, examples: faults.examples, figures }
}

function joinPlaces(segments: readonly Segment[], workBytes: number): [number, number][] {
  const datagrams = segments[0].connection.transport === 'udp'
  const sizes = segments.map(({ length, flags }) => ((flags & SegmentFlag.CLOSE) !== 0 ? 0 : datagrams ? 1 : length))
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const bytes = segments.reduce((sum, segment) => sum + segment.length, 0)
  // A join in the middle decodes half of the stream.
  const step = Math.max(1, Math.ceil((total * bytes) / 2 / workBytes))
  const places: [number, number][] = []
  let at = step === 1 ? 0 : step >> 1
  for (const [i, size] of sizes.entries()) {
    for (; at < size; at += step) places.push([i, at])
    at -= size
  }
  return places
}

function percent(part: number, all: number): string {
  return all === 0 ? 'of none' : `${((100 * part) / all).toFixed(1)} % of ${all}`
}
