/** Finds frames again where bytes were lost or a connection was joined. */
import type { Cursor } from '../../../core/cursor.js'
import { HERE, LATER, NEVER, Places, WAIT } from '../../../core/places.js'
import { FRAME_BYTES_ALLOWED, FRAME_HEADER_BYTES, FrameHeader, FrameType, isPlausible } from './frames.js'

/** What is known of a connection's streams. */
export interface KnownStreams {
  /** It is open, or frames of the other direction are about it. */
  isKnown(stream: number): boolean
  /** The highest that was seen; 0 = none. */
  readonly newest: number
  /** Counts up when either of these changes. */
  readonly changes: number
}

/** Below what the host keeps of bytes that were searched in vain. */
const WAIT_BYTES_MAX = 4000
/** Streams are numbered upwards; so much higher than the highest seen one none will be that follows soon. */
const STEP_MAX = 1 << 14

const first = new FrameHeader()
const second = new FrameHeader()

/** `first` begins at `at`. It may end with the window; only then does it show what follows it, and then only streams count. */
function neededEnd(at: number, end: number): number {
  const frameEnd = at + FRAME_HEADER_BYTES + first.length
  if (end < frameEnd) return frameEnd
  return end < frameEnd + FRAME_HEADER_BYTES ? frameEnd + FRAME_HEADER_BYTES : Number.POSITIVE_INFINITY
}

/** What one direction remembers of a search that goes on. */
export class FrameSearch {
  readonly marks = new Places()
  readonly bytes = new Places()

  /** Places judged so far. */
  get judged(): number {
    return this.marks.judged + this.bytes.judged
  }
}

/**
 * Offset from `head.pos` of the next frame; -1 if none is in sight. A frame is believed where a fitting one follows it, where
 * it ends with the bytes there are, or where it is of a known stream. DATA looks like anything: it has to begin with a
 * segment, or needs more behind it. One whose end is not here is waited for, unless a better one is found meanwhile.
 */
export function findFrame(head: Cursor, streams: KnownStreams, memory: FrameSearch): number {
  const { bytes, pos, end } = head
  const { newest, changes } = streams
  search.streams = streams
  search.streamMax = newest === 0 ? 0x7fff_ffff : newest + STEP_MAX
  let found = search.at(bytes, pos, end, true) === HERE ? pos : -1
  if (found < 0) {
    const { marks } = memory
    found = marks.searchMarks(head, (at) => search.judge(bytes, at, end, true, marks), changes)
  }
  if (found < 0) {
    // A type there is.
    const judge = (at: number) =>
      bytes[at + 3] > FrameType.PRIORITY_UPDATE ? NEVER : search.judge(bytes, at, end, false, memory.bytes)
    found = memory.bytes.search(head, FRAME_HEADER_BYTES - 1, judge, changes)
  }
  if (found >= 0) return found - pos
  const { waiting } = memory.bytes
  head.searchedBytes = waiting >= 0 && !head.ended ? waiting - pos : Math.max(0, end - pos - FRAME_HEADER_BYTES + 1)
  return -1
}

class Search {
  streams: KnownStreams = { isKnown: () => false, newest: 0, changes: 0 }
  streamMax = 0

  judge(bytes: Buffer, at: number, end: number, segmentBegins: boolean, places: Places): number {
    const verdict = this.at(bytes, at, end, segmentBegins)
    if (verdict !== NEVER && at + FRAME_HEADER_BYTES <= end) places.neededEnd = neededEnd(at, end)
    return verdict
  }

  /** Which streams there are may show later; what cannot be a frame never is one. */
  at(bytes: Buffer, at: number, end: number, segmentBegins: boolean): number {
    if (at + FRAME_HEADER_BYTES > end) return LATER
    first.read(bytes, at)
    if (!isPlausible(first, bytes[at + 5])) return NEVER
    const { type, stream, length } = first
    const next = at + FRAME_HEADER_BYTES + length
    const hasNext = next + FRAME_HEADER_BYTES <= end
    if (hasNext) {
      second.read(bytes, next)
      if (!isPlausible(second, bytes[next + 5])) return NEVER
    }
    if (stream > this.streamMax) return LATER
    const known = stream !== 0 && this.streams.isKnown(stream)
    const weak = type === FrameType.DATA && !known
    // Zeros are everywhere, and an empty frame of an unknown stream says nothing.
    if (weak && length === 0) return LATER
    if (hasNext) {
      if (second.stream > this.streamMax) return LATER
      return weak && !segmentBegins && !this.#goesOn() ? LATER : HERE
    }
    if (next === end && (!weak || segmentBegins)) return HERE
    const waits = length <= WAIT_BYTES_MAX
    // SETTINGS have bytes in them that look like DATA of stream 1, of any length.
    if (known && (type !== FrameType.DATA || (length <= FRAME_BYTES_ALLOWED && (segmentBegins || !waits)))) return HERE
    return waits ? WAIT : LATER
  }

  /** DATA goes on with DATA of the same stream, or with something that is as common. */
  #goesOn(): boolean {
    switch (second.type) {
      case FrameType.DATA:
        return second.stream === first.stream
      case FrameType.HEADERS:
      case FrameType.RST_STREAM:
      case FrameType.WINDOW_UPDATE:
      case FrameType.PING:
        return second.stream === 0 || Math.abs(second.stream - first.stream) <= STEP_MAX
      default:
        return false
    }
  }
}

const search = new Search()
