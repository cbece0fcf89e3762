/**
 * Segments of a window, of the connections that a filter names, to whoever writes packets. Read twice: first decoded, to know
 * which connections are wanted and what they are called; then handed over in the order of time, with all that was read of
 * them. Nothing is added to what the segments hold: what was left out or masked when they were captured stays so.
 */
import { KlartextError } from '../core/errors.js'
import type { PodDirectory } from '../core/ports/pods.js'
import type { LogPiece, SegmentLog } from '../core/ports/segment_log.js'
import type { Protocol } from '../core/protocol.js'
import type { ReplayPart, ReplayRequest } from '../core/replay.js'
import type { ConnectionRow } from '../core/rows.js'
import type { ConnectionInfo, Segment } from '../core/segment.js'
import { AvroInput } from '../core/wire/avro.js'
import { readSegmentBatch } from '../core/wire/segment_batch.js'
import type { End } from '../decode/naming.js'
import { DecodePipeline } from '../decode/pipeline.js'
import type { FlowPolicy } from '../decode/policy.js'
import { RowFilter } from './filter.js'

export interface ExportOptions {
  readonly log: SegmentLog
  readonly request: ReplayRequest
  readonly protocols: readonly Protocol[]
  readonly policy: FlowPolicy
  readonly pods: PodDirectory | null
}

export interface SegmentWriter {
  write(segments: readonly Segment[]): void
}

export interface ExportSummary {
  connections: number
  /** Left out: the same conversation was captured at another place too, and is written once. */
  twins: number
  segments: number
  bytes: number
  /** Segment batches that could not be read. */
  unreadable: number
  /** Segments before this time (µs) are not kept any more though they were asked for; 0: none. */
  lostBeforeUs: number
}

interface Wanted {
  readonly row: ConnectionRow
  readonly about: string
  readonly names: { readonly client: End; readonly server: End }
}

export class SegmentExport {
  readonly #options: ExportOptions
  readonly #wanted = new Map<string, Wanted>()
  #parts: readonly ReplayPart[] = []
  readonly summary: ExportSummary = { connections: 0, twins: 0, segments: 0, bytes: 0, unreadable: 0, lostBeforeUs: 0 }

  constructor(options: ExportOptions) {
    this.#options = options
  }

  /** Comment of a connection's first packet: who talks to whom, and where that was seen. */
  about(info: ConnectionInfo): string {
    return this.#wanted.get(info.id.toString())?.about ?? ''
  }

  /** By address: `pod.namespace`, or a service's or node's name; an address that had several is left out. */
  names(): Map<string, string> {
    const all = new Map<string, Set<string>>()
    const add = (address: string, { pod, namespace, service, workload }: End) => {
      const name = [pod || service || workload, namespace].filter((part) => part !== '').join('.')
      if (address !== '') all.set(address, (all.get(address) ?? new Set()).add(name))
    }
    for (const { row, names } of this.#wanted.values()) {
      add(row.client_ip, names.client)
      add(row.server_ip, names.server)
    }
    const single = [...all].map(([address, names]) => [address, names.size === 1 ? [...names][0] : ''] as const)
    return new Map(single.filter(([, name]) => name !== ''))
  }

  /** Finds out what is wanted. Throws `NO_SEGMENTS`. */
  async prepare(): Promise<void> {
    const { log, request } = this.#options
    const untilUs = Math.min(Number.MAX_SAFE_INTEGER, request.toUs + request.trailUs)
    this.#parts = await log.parts(Math.max(0, request.fromUs - request.leadUs), untilUs)
    if (this.#parts.length === 0) {
      throw new KlartextError(
        'NO_SEGMENTS',
        `no segments of that window are kept: ${(await log.extent()) || 'none at all'}`,
      )
    }
    const rows: Wanted[] = []
    for (const part of this.#parts) await this.#survey(part, rows)
    const lost = this.#parts.map(({ lostBeforeUs }) => lostBeforeUs).filter((us) => us > request.fromUs)
    this.summary.lostBeforeUs = Math.max(0, ...lost)
    for (const wanted of this.#onceEach(rows)) this.#wanted.set(wanted.row.conn_id, wanted)
    this.summary.connections = this.#wanted.size
  }

  async #survey(part: ReplayPart, rows: Wanted[]): Promise<void> {
    const { log, request, protocols, policy, pods } = this.#options
    const filter = new RowFilter(request, pods)
    const onConnection = (row: ConnectionRow) => {
      // What said nothing, or was only counted, has no packets.
      const bytes = row.bytes_to_server + row.bytes_to_client - row.gap_bytes_to_server - row.gap_bytes_to_client
      if (bytes <= 0 || !filter.connection(row)) return
      const names = filter.names(row)
      rows.push({ row, names, about: aboutOf(row, names) })
    }
    const pipeline = new DecodePipeline({
      protocols,
      policy,
      ...(pods === null ? {} : { pods }),
      joins: true,
      onFlow: () => {},
      onConnection,
    })
    for await (const pieces of log.read(part, part.start)) {
      for (const piece of pieces) {
        // Whose an address was is asked of all that is known by now: who reads packets has no rows to compare names with.
        for (const segments of this.#batches(piece)) pipeline.push(filter.segments(segments))
      }
    }
    pipeline.finish()
  }

  #batches({ batches, bytes }: LogPiece): Segment[][] {
    const found: Segment[][] = []
    const input = new AvroInput(bytes, 'segment batch', 'BAD_SEGMENT_BATCH')
    try {
      for (let i = 0; i < batches; i++) found.push(readSegmentBatch(input).segments)
    } catch (error) {
      if (!(error instanceof KlartextError)) throw error
      this.summary.unreadable += 1
    }
    return found
  }

  /**
   * One conversation may have been captured twice: at both ends, or as a TLS object and as the socket under it. As packets
   * the two would have the same addresses and numbers. The plaintext is taken, and of two ends the server's.
   */
  #onceEach(rows: readonly Wanted[]): Wanted[] {
    const best: Wanted[] = []
    const byEnds = new Map<string, ConnectionRow[]>()
    for (const each of [...rows].sort((a, b) => rank(b.row) - rank(a.row))) {
      const { row } = each
      const ends = endsOf(row)
      const taken = byEnds.get(ends) ?? []
      byEnds.set(ends, taken)
      if (row.client_ip !== '' && taken.some((other) => isSameLife(row, other))) {
        this.summary.twins += 1
        continue
      }
      taken.push(row)
      best.push(each)
    }
    return best
  }

  /** Hands over; `prepare` before. */
  async write(writer: SegmentWriter): Promise<void> {
    this.summary.unreadable = 0
    const streams: Stream[] = []
    for (const part of this.#parts) streams.push(await Stream.open(this.#segments(part)))
    for (;;) {
      let next: Stream | null = null
      for (const stream of streams) {
        if (stream.head !== null && (next?.head == null || stream.timeUs < next.timeUs)) next = stream
      }
      if (next?.head == null) return
      writer.write(next.head)
      this.summary.segments += next.head.length
      for (const { payload } of next.head) this.summary.bytes += payload.length
      await next.advance()
    }
  }

  async *#segments(part: ReplayPart): AsyncGenerator<Segment[]> {
    for await (const pieces of this.#options.log.read(part, part.start)) {
      for (const piece of pieces) {
        for (const segments of this.#batches(piece)) {
          const wanted = segments.filter(({ connection }) => this.#wanted.has(connection.id.toString()))
          if (wanted.length > 0) yield wanted
        }
      }
    }
  }
}

/** What comes next of one part. */
class Stream {
  head: Segment[] | null = null
  readonly #source: AsyncGenerator<Segment[]>

  private constructor(source: AsyncGenerator<Segment[]>) {
    this.#source = source
  }

  static async open(source: AsyncGenerator<Segment[]>): Promise<Stream> {
    const stream = new Stream(source)
    await stream.advance()
    return stream
  }

  get timeUs(): number {
    return this.head?.[0].timeUs ?? Number.POSITIVE_INFINITY
  }

  async advance(): Promise<void> {
    const { value, done } = await this.#source.next()
    this.head = done === true ? null : value
  }
}

function rank({ capture_source, capture_side }: ConnectionRow): number {
  return (capture_source === 'socket' ? 0 : 2) + (capture_side === 'server' ? 1 : 0)
}

/** A socket begins and ends a moment before and after the TLS object on it, and may say little itself. */
const AROUND_TLS_US = 2e6

function isSameLife(row: ConnectionRow, other: ConnectionRow): boolean {
  const aroundUs = (row.capture_source === 'socket') === (other.capture_source === 'socket') ? 0 : AROUND_TLS_US
  return row.ts <= other.end_ts + aroundUs && row.end_ts >= other.ts - aroundUs
}

/** The same for both directions of looking at it. */
function endsOf({ transport, client_ip, client_port, server_ip, server_port }: ConnectionRow): string {
  return [transport, ...[`${client_ip} ${client_port}`, `${server_ip} ${server_port}`].sort()].join(' ')
}

function aboutOf(row: ConnectionRow, names: { readonly client: End; readonly server: End }): string {
  const end = ({ pod, namespace, workload, service }: End, ip: string, port: number) => {
    const name = pod !== '' ? pod : workload !== '' ? workload : service
    return name === '' ? `${ip}:${port}` : `${namespace === '' ? '' : `${namespace}/`}${name} (${ip}:${port})`
  }
  const { client, server } = names
  const ends = `${end(client, row.client_ip, row.client_port)} -> ${end(server, row.server_ip, row.server_port)}`
  const seen = [
    row.capture_source,
    row.capture_side === 'unknown' ? '' : `at the ${row.capture_side}`,
    row.node,
    row.comm,
  ]
  const what = row.protocol === '' ? `not decoded: ${row.undecoded_reason}` : row.protocol
  return `klartext: ${ends}, ${what}, connection ${row.conn_id}, seen by ${seen.filter((word) => word !== '').join(' ')}`
}
