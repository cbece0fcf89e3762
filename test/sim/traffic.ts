/** Traffic made from a seed, as the messages a capturer publishes: conversations cut and mixed, some bytes lost or sent twice. */
import { join } from 'node:path'
import { partitionOf } from '../../services/core/partitioner.js'
import type { Random } from '../../services/core/random.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { ConnectionInfo, type Direction, NO_BYTES, Segment, SegmentFlag } from '../../services/core/segment.js'
import { SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import { type Golden, readGoldens } from '../../services/decode/golden/golden.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'

export interface Published {
  readonly partition: number
  readonly value: Buffer
}

const START_US = 1_790_000_000_000_000
const MEAN_SEGMENT_BYTES = 90

interface Said {
  readonly direction: Direction
  readonly bytes: Buffer
  readonly closes: boolean
}

let goldens: Golden[] | null = null

function goldenPool(): Golden[] {
  goldens ??= PROTOCOLS.flatMap(({ name }) => readGoldens(join(REPO_ROOT, 'services/decode/protocols', name, 'golden')))
  return goldens
}

/**
 * `connections` conversations: HTTP/1 with keep-alive, and the golden conversations of every protocol there is. A real
 * store forgets flows of long ago: for one `startUs` is to be now.
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
  const info = new ConnectionInfo((BigInt(number + 1) * 0x9e3779b97f4a7c15n) & 0xffff_ffff_ffff_ffffn)
  Object.assign(info, { clientIp: '10.0.0.1', clientPort: 10_000 + number, serverIp: '10.0.0.2', serverPort: 80 })
  const golden = random.chance(0.3) ? random.pick(goldenPool()) : null
  if (golden !== null) info.transport = golden.transport
  const said = golden?.wire ?? keepAlive(random, number)
  const whole = info.transport === 'udp'
  const positions = [0, 0]
  const segments: Segment[] = []
  let lost = false
  for (const { direction, bytes, closes } of said) {
    for (let at = 0; at < bytes.length; ) {
      const size = whole ? bytes.length : Math.min(bytes.length - at, 1 + random.below(2 * MEAN_SEGMENT_BYTES))
      const payload = bytes.subarray(at, at + size)
      if (random.chance(0.01)) lost = true
      else {
        const flags = lost ? SegmentFlag.GAP_BEFORE : 0
        segments.push(new Segment(info, direction, positions[direction], size, payload, 0, 0, flags))
        lost = false
      }
      positions[direction] += size
      at += size
    }
    if (closes) segments.push(end(info, direction, positions))
  }
  // Two calls that overlapped: the later bytes come first.
  for (let i = 1; i < segments.length; i++) {
    if (!whole && random.chance(0.02)) [segments[i - 1], segments[i]] = [segments[i], segments[i - 1]]
  }
  if (random.chance(0.6)) segments.push(end(info, 0, positions), end(info, 1, positions))
  return segments
}

function end(info: ConnectionInfo, direction: Direction, positions: readonly number[]): Segment {
  return new Segment(info, direction, positions[direction], 0, NO_BYTES, 0, 0, SegmentFlag.CLOSE)
}

function keepAlive(random: Random, number: number): Said[] {
  const said: Said[] = []
  for (let i = 0, count = 1 + random.below(12); i < count; i++) {
    const body = 'b'.repeat(random.below(300))
    const request = `POST /c${number}/e${i} HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    const answer = 'a'.repeat(random.below(400))
    const response = `HTTP/1.1 ${random.pick([200, 404, 500])} X\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`
    said.push({ direction: 0, bytes: Buffer.from(request), closes: false })
    said.push({ direction: 1, bytes: Buffer.from(response), closes: false })
  }
  return said
}
