/** Traffic made from a seed, as the messages a capturer publishes: conversations cut and mixed, some bytes lost or sent twice. */
import { join } from 'node:path'
import { partitionOf } from '../../services/core/partitioner.js'
import type { Random } from '../../services/core/random.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { type ConnectionInfo, Segment, SegmentFlag } from '../../services/core/segment.js'
import { SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import { type Golden, readGoldens, segmentsOf } from '../../services/decode/golden/golden.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { Line } from '../fakes/conversations/line.js'
import { TALKS } from '../fakes/conversations/talks.js'

export interface Published {
  readonly partition: number
  readonly value: Buffer
}

const START_US = 1_790_000_000_000_000
const TURNS_MAX = 14
const PIECE_BYTES_MAX = 180

let goldens: Golden[] | null = null

function goldenPool(): Golden[] {
  goldens ??= PROTOCOLS.flatMap(({ name }) => readGoldens(join(REPO_ROOT, 'services/decode/protocols', name, 'golden')))
  return goldens
}

/**
 * `connections` conversations: of the four protocols with the most state, and the golden ones of every protocol there is. A
 * real store forgets flows of long ago: for one `startUs` is to be now.
 */
export function seededTraffic(
  random: Random,
  connections: number,
  partitions: number,
  startUs: number = START_US,
): Published[] {
  const lines = Array.from({ length: connections }, (_, i) => conversation(random, i))
  const published: Published[] = []
  let timeUs = startUs
  let sequence = 0
  while (lines.some((line) => line.length > 0)) {
    const partition = random.below(partitions)
    const header = { cluster: 'sim', node: 'n', bootId: '', capturerVersion: '0', sequence: sequence++ }
    const writer = new SegmentBatchWriter(header)
    for (let count = 1 + random.below(12); count > 0; count--) {
      const open = lines.filter(
        (line) => line.length > 0 && partitionOf(line[0].connection.id, partitions) === partition,
      )
      if (open.length === 0) break
      timeUs += random.below(2_000)
      const { connection, direction, position, length, payload, flags } = (
        random.pick(open) as Segment[]
      ).shift() as Segment
      writer.add(new Segment(connection, direction, position, length, payload, timeUs, 0, flags))
    }
    if (writer.segmentCount === 0) continue
    const value = writer.finish()
    published.push({ partition, value })
    // The capturer had no answer and sent it again.
    if (random.chance(0.03)) published.push({ partition, value })
    if (random.chance(0.01)) published.push({ partition, value: Buffer.from('no batch at all') })
  }
  return published
}

function conversation(random: Random, number: number): Segment[] {
  const segments = random.chance(0.2) ? golden(random, number) : talk(random, number)
  const isWhole = segments[0]?.connection.transport === 'udp'
  const kept: Segment[] = []
  const lost = [false, false]
  for (const segment of segments) {
    const { direction, length, flags } = segment
    if (length > 0 && random.chance(0.008)) {
      lost[direction] = true
      continue
    }
    // An end of which nobody was told.
    if ((flags & SegmentFlag.CLOSE) !== 0 && random.chance(0.2)) continue
    kept.push(lost[direction] ? told(segment) : segment)
    lost[direction] = false
  }
  // Two calls that overlapped: the later bytes come first.
  for (let i = 1; i < kept.length; i++) {
    if (!isWhole && random.chance(0.02)) [kept[i - 1], kept[i]] = [kept[i], kept[i - 1]]
  }
  return kept
}

function talk(random: Random, number: number): Segment[] {
  const line = new Line(random, TALKS[number % TALKS.length], number, 1 + random.below(TURNS_MAX))
  const segments: Segment[] = []
  for (let segment = line.next(0); segment !== null; segment = line.next(0)) segments.push(segment)
  return segments
}

function golden(random: Random, number: number): Segment[] {
  const played = random.pick(goldenPool())
  const { info } = new Line(random, 'http1', number, 0)
  info.transport = played.transport
  return segmentsOf(played).flatMap((segment) =>
    played.transport === 'udp' ? [moved(segment, info)] : cut(moved(segment, info), random),
  )
}

function moved({ direction, position, length, payload, flags }: Segment, info: ConnectionInfo): Segment {
  return new Segment(info, direction, position, length, payload, 0, 0, flags)
}

function told({ connection, direction, position, length, payload, flags }: Segment): Segment {
  return new Segment(connection, direction, position, length, payload, 0, 0, flags | SegmentFlag.GAP_BEFORE)
}

/** In pieces of any size. */
function cut(segment: Segment, random: Random): Segment[] {
  const { connection, direction, position, payload, flags } = segment
  if (payload.length === 0) return [segment]
  const pieces: Segment[] = []
  for (let at = 0; at < payload.length; ) {
    const piece = payload.subarray(at, at + 1 + random.below(PIECE_BYTES_MAX))
    pieces.push(new Segment(connection, direction, position + at, piece.length, piece, 0, 0, flags))
    at += piece.length
  }
  return pieces
}
