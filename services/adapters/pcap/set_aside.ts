/** Segments of one connection that wait because one of its directions holds back. */
import { Segment, TO_CLIENT, TO_SERVER } from '../../core/segment.js'

/** With bytes of its own: it waits longer than the block of the file it came in. */
export function ownCopy(segment: Segment): Segment {
  const { connection, direction, position, length, payload, timeUs, timeRestNs, flags } = segment
  if (payload.length === 0) return segment
  const copy = Buffer.allocUnsafeSlow(payload.length)
  payload.copy(copy)
  return new Segment(connection, direction, position, length, copy, timeUs, timeRestNs, flags)
}

/** Each direction keeps its order, between the two the earlier comes first; of the same moment, the one that was due first. */
export function* inTimeOrder(due: readonly Segment[]): Generator<Segment> {
  const lines = [TO_SERVER, TO_CLIENT].map((direction) => due.filter((segment) => segment.direction === direction))
  const rank = new Map(due.map((segment, i) => [segment, i]))
  const heads = [0, 0]
  for (let left = due.length; left > 0; left--) {
    const [one, other] = [lines[0][heads[0]], lines[1][heads[1]]]
    const first = other === undefined || (one !== undefined && before(one, other, rank)) ? 0 : 1
    yield lines[first][heads[first]++]
  }
}

function before(one: Segment, other: Segment, rank: ReadonlyMap<Segment, number>): boolean {
  const apart = one.timeUs - other.timeUs || one.timeRestNs - other.timeRestNs
  return apart === 0 ? (rank.get(one) ?? 0) < (rank.get(other) ?? 0) : apart < 0
}
