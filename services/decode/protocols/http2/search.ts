/** Finds frames again where bytes were lost or a connection was joined. */
import type { Cursor } from '../../../core/cursor.js'
import { FRAME_HEADER_BYTES, FrameHeader, FrameType, isPlausible } from './frames.js'

/** What is known of a connection's streams. */
export interface KnownStreams {
  /** It is open, or frames of the other direction are about it. */
  isKnown(stream: number): boolean
  /** The highest that was seen; 0 = none. */
  readonly newest: number
}

/** Below what the host keeps of bytes that were searched in vain. */
const WAIT_BYTES_MAX = 4000
/** Streams are numbered upwards; so much higher than the highest seen one none will be that follows soon. */
const STEP_MAX = 1 << 14

const first = new FrameHeader()
const second = new FrameHeader()

/**
 * Offset from `head.pos` of the next frame; -1 if none is in sight. A frame is believed where a fitting one follows it, where
 * it ends with the bytes there are, or where it is of a known stream. DATA looks like anything: of a stream that is not
 * known it has to begin with a segment, or it needs more behind it. One whose end is not here is waited for, unless a better
 * one is found meanwhile.
 */
export function findFrame(head: Cursor, streams: KnownStreams): number {
  const { bytes, pos, end, markEnds, markCount } = head
  const { newest } = streams
  search.streams = streams
  search.streamMax = newest === 0 ? 0x7fff_ffff : newest + STEP_MAX
  if (search.at(bytes, pos, end, true) === FOUND) return 0
  for (let i = 0; i < markCount - 1; i++) {
    if (markEnds[i] > pos && search.at(bytes, markEnds[i], end, true) === FOUND) return markEnds[i] - pos
  }
  let waiting = -1
  for (let at = pos; at + FRAME_HEADER_BYTES <= end; at++) {
    // A type there is.
    if (bytes[at + 3] > FrameType.PRIORITY_UPDATE) continue
    const found = search.at(bytes, at, end, false)
    if (found === FOUND) return at - pos
    if (found === MAY_BE && waiting < 0) waiting = at - pos
  }
  head.searchedBytes = waiting >= 0 && !head.ended ? waiting : Math.max(0, end - pos - FRAME_HEADER_BYTES + 1)
  return -1
}

const NOT_HERE = 0
const MAY_BE = 1
const FOUND = 2

class Search {
  streams: KnownStreams = { isKnown: () => false, newest: 0 }
  streamMax = 0

  at(bytes: Buffer, at: number, end: number, segmentBegins: boolean): number {
    if (at + FRAME_HEADER_BYTES > end) return NOT_HERE
    first.read(bytes, at)
    if (first.stream > this.streamMax || !isPlausible(first, bytes[at + 5])) return NOT_HERE
    const { type, stream, length } = first
    const next = at + FRAME_HEADER_BYTES + length
    const known = stream !== 0 && this.streams.isKnown(stream)
    const weak = type === FrameType.DATA && !known
    // Zeros are everywhere, and an empty frame of an unknown stream says nothing.
    if (weak && length === 0) return NOT_HERE
    if (next + FRAME_HEADER_BYTES <= end) {
      second.read(bytes, next)
      if (second.stream > this.streamMax || !isPlausible(second, bytes[next + 5])) return NOT_HERE
      return weak && !segmentBegins && !this.#goesOn() ? NOT_HERE : FOUND
    }
    if (known || (next === end && (!weak || segmentBegins))) return FOUND
    return length <= WAIT_BYTES_MAX ? MAY_BE : NOT_HERE
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
