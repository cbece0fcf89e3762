/** What was captured of each connection, put together as a worker would: by position, with every oddity counted. */
import { createHash } from 'node:crypto'
import { type Direction, type Segment, SegmentFlag } from '../../services/core/segment.js'

/** What a workload program tells of one connection: SHA-256 and size by direction. */
export interface Said {
  shape: string
  client_port: number
  server_port: number
  object: string
  sent_to_server: [string, number]
  received_to_server: [string, number]
  sent_to_client: [string, number]
  received_to_client: [string, number]
}

export interface Stream {
  readonly id: bigint
  readonly source: string
  readonly side: string
  readonly transport: string
  readonly clientIp: string
  readonly clientPort: number
  readonly serverIp: string
  readonly serverPort: number
  readonly pid: number
  readonly direction: Direction
  /** Segments with bytes, in the order of arrival. */
  readonly segments: Segment[]
  /** Final position as the close tells it; null while open. */
  closedAt: number | null
}

/** One stream per connection and direction. The addresses are the ones that were known last. */
export function streamsOf(segments: readonly Segment[]): Stream[] {
  const streams = new Map<string, Stream>()
  for (const segment of segments) {
    const { connection, direction } = segment
    const { id, source, side, transport, clientIp, clientPort, serverIp, serverPort, pid } = connection
    const key = `${id} ${direction}`
    const known = streams.get(key)
    const stream: Stream = {
      ...{ id, source, side, transport, clientIp, clientPort, serverIp, serverPort, pid, direction },
      segments: known?.segments ?? [],
      closedAt: known?.closedAt ?? null,
    }
    if (segment.length > 0) stream.segments.push(segment)
    if ((segment.flags & SegmentFlag.CLOSE) !== 0) stream.closedAt = segment.position
    streams.set(key, stream)
  }
  return [...streams.values()]
}

/** SHA-256 of the copied bytes in the order of arrival, and how many. */
export function hashOf(stream: Stream): [string, number] {
  const hash = createHash('sha256')
  let bytes = 0
  for (const { payload } of stream.segments) {
    hash.update(payload)
    bytes += payload.length
  }
  return [hash.digest('hex'), bytes]
}

/** The first reason why a stream is not whole, in order and once; null if it is. */
export function flawOf(stream: Stream): string | null {
  const bad = SegmentFlag.GAP_BEFORE | SegmentFlag.TRUNCATED | SegmentFlag.FAULT | SegmentFlag.MIDSTREAM
  let position = 0
  for (const [i, segment] of stream.segments.entries()) {
    if (segment.position !== position) return `segment ${i} is at ${segment.position}, not at ${position}`
    if (segment.payload.length !== segment.length)
      return `segment ${i} has ${segment.payload.length} of ${segment.length} bytes`
    if ((segment.flags & bad) !== 0) return `segment ${i} has flags ${segment.flags}`
    position += segment.length
  }
  if (stream.closedAt !== null && stream.closedAt !== position)
    return `closed at ${stream.closedAt}, not at ${position}`
  return null
}

/** Bytes that passed and were not copied: jumps of the position and segments with less payload than length. */
export function missingOf(stream: Stream): number {
  let position = 0
  let missing = 0
  for (const segment of [...stream.segments].sort((a, b) => a.position - b.position)) {
    missing += Math.max(0, segment.position - position) + segment.length - segment.payload.length
    position = Math.max(position, segment.position + segment.length)
  }
  return missing + Math.max(0, (stream.closedAt ?? position) - position)
}
