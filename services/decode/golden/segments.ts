/**
 * What may happen to the segments of a connection on their way: cut elsewhere, lost, seen only from some point on, held
 * back. Goldens, captures and the fuzzer are played through these. Each answers a new list and leaves the old one alone.
 */
import { type Direction, Segment, SegmentFlag } from '../../core/segment.js'

function part(segment: Segment, from: number, to: number, flags = segment.flags): Segment {
  const { connection, direction, position, payload, timeUs, timeRestNs } = segment
  return new Segment(
    connection,
    direction,
    position + from,
    to - from,
    payload.subarray(Math.min(from, payload.length), Math.min(to, payload.length)),
    timeUs,
    timeRestNs,
    flags,
  )
}

/** Each segment in pieces of at most `pieceBytes`; datagrams stay whole. */
export function cut(segments: readonly Segment[], pieceBytes: number): Segment[] {
  const pieces: Segment[] = []
  for (const segment of segments) {
    if (segment.connection.transport === 'udp' || segment.length <= pieceBytes) pieces.push(segment)
    else {
      for (let at = 0; at < segment.length; at += pieceBytes) {
        pieces.push(part(segment, at, Math.min(segment.length, at + pieceBytes)))
      }
    }
  }
  return pieces
}

/** One segment in two. */
export function cutAt(segments: readonly Segment[], index: number, offset: number): Segment[] {
  const segment = segments[index]
  return [
    ...segments.slice(0, index),
    part(segment, 0, offset),
    part(segment, offset, segment.length),
    ...segments.slice(index + 1),
  ]
}

const NEAR_END_BYTES = 1024

/** As `cut`; what is very long is finely cut near its ends only, since between them one place is like another. */
export function cutNearEnds(segments: readonly Segment[], pieceBytes: number): Segment[] {
  return segments.flatMap((segment) => {
    const { length, connection } = segment
    if (connection.transport === 'udp' || length <= 4 * NEAR_END_BYTES) return cut([segment], pieceBytes)
    const [first, rest] = cutAt([segment], 0, NEAR_END_BYTES)
    const [middle, last] = cutAt([rest], 0, length - 2 * NEAR_END_BYTES)
    return [...cut([first], pieceBytes), ...cut([middle], NEAR_END_BYTES), ...cut([last], pieceBytes)]
  })
}

/** Segments of one direction that follow each other are one, as where a receiver reads late. Times of the first count. */
export function joined(segments: readonly Segment[]): Segment[] {
  const out: Segment[] = []
  for (const segment of segments) {
    const last = out[out.length - 1]
    const follows =
      last !== undefined &&
      last.connection === segment.connection &&
      last.direction === segment.direction &&
      last.position + last.length === segment.position
    const plain = (each: Segment) => each.length === each.payload.length && (each.flags & SegmentFlag.CLOSE) === 0
    if (follows && plain(last) && plain(segment) && segment.connection.transport !== 'udp') {
      const payload = Buffer.concat([last.payload, segment.payload])
      const { connection, direction, position, timeUs, timeRestNs, flags } = last
      out[out.length - 1] = new Segment(
        connection,
        direction,
        position,
        payload.length,
        payload,
        timeUs,
        timeRestNs,
        flags,
      )
    } else out.push(segment)
  }
  return out
}

/** The capture lost one segment, and knows it: what follows in that direction says so. */
export function without(segments: readonly Segment[], index: number): Segment[] {
  const { connection, direction } = segments[index]
  const out: Segment[] = []
  let told = false
  for (const [i, segment] of segments.entries()) {
    if (i === index) continue
    const next: boolean =
      !told && i > index && segment.connection.id === connection.id && segment.direction === direction
    told ||= next
    out.push(next ? part(segment, 0, segment.length, segment.flags | SegmentFlag.GAP_BEFORE) : segment)
  }
  return out
}

/** The network lost one datagram: nobody can tell from those that follow. */
export function withoutTrace(segments: readonly Segment[], index: number): Segment[] {
  const lost = segments[index]
  const out: Segment[] = []
  for (const [i, segment] of segments.entries()) {
    if (i === index) continue
    if (i < index || segment.direction !== lost.direction) out.push(segment)
    else {
      const { connection, direction, position, length, payload, timeUs, timeRestNs, flags } = segment
      const moved = position - lost.length
      out.push(new Segment(connection, direction, moved, length, payload, timeUs, timeRestNs, flags))
    }
  }
  return out
}

/** The capture began at byte `offset` of segment `index`; nothing of either direction was seen before. */
export function joinedAt(segments: readonly Segment[], index: number, offset: number): Segment[] {
  const out: Segment[] = []
  for (const segment of segments.slice(index)) {
    const from = out.length === 0 ? offset : 0
    const flags = (segment.flags & ~SegmentFlag.OPEN) | SegmentFlag.MIDSTREAM
    out.push(part(segment, Math.min(from, segment.length), segment.length, flags))
  }
  return out
}

/**
 * One direction arrives late: each of its segments comes after the `by` segments of the other direction that followed it.
 * Capture times and the order within a direction stay, as with two threads that take turns at handing over what they read.
 */
export function late(segments: readonly Segment[], direction: Direction, by: number): Segment[] {
  const others = segments.flatMap((segment, i) => (segment.direction === direction ? [] : [i]))
  const arrival = segments.map((segment, i) => {
    if (segment.direction !== direction) return i
    const next = others.findIndex((other) => other > i)
    return next < 0 ? i : (others[Math.min(others.length, next + by) - 1] ?? i) + 0.5
  })
  // What is not late must not overtake what is, within the late direction: times only grow, and sorting is stable.
  let latest = 0
  for (const [i, segment] of segments.entries()) {
    if (segment.direction !== direction) continue
    latest = Math.max(latest, arrival[i])
    arrival[i] = latest
  }
  return segments
    .map((segment, i) => ({ segment, at: arrival[i] }))
    .sort((a, b) => a.at - b.at)
    .map(({ segment }) => segment)
}

/** No two segments have the same time: a time then names a segment. Otherwise as they were captured, µs moved apart. */
export function atTimesApart(segments: readonly Segment[]): Segment[] {
  const times: number[] = []
  let lastUs = 0
  const inTime = segments.map(({ timeUs }, i) => ({ timeUs, i })).sort((a, b) => a.timeUs - b.timeUs)
  for (const { timeUs, i } of inTime) {
    lastUs = Math.max(lastUs + 1, timeUs)
    times[i] = lastUs
  }
  return segments.map(({ connection, direction, position, length, payload, flags }, i) => {
    return new Segment(connection, direction, position, length, payload, times[i], 0, flags)
  })
}

/** The capture lost the bytes from position `from` up to `to` of one direction, and knows it. */
export function withoutBytes(segments: readonly Segment[], direction: Direction, from: number, to: number): Segment[] {
  const out: Segment[] = []
  let told = false
  for (const segment of segments) {
    const start = from - segment.position
    const end = to - segment.position
    if (segment.direction !== direction || start >= segment.length + (segment.length === 0 ? 1 : 0)) out.push(segment)
    else if (end <= 0) {
      out.push(told ? segment : part(segment, 0, segment.length, segment.flags | SegmentFlag.GAP_BEFORE))
      told = true
    } else {
      if (start > 0) out.push(part(segment, 0, start))
      if (end < segment.length) {
        out.push(part(segment, end, segment.length, segment.flags | SegmentFlag.GAP_BEFORE))
        told = true
      }
    }
  }
  return out
}
