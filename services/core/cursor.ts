/**
 * A window on the bytes of one direction that are here and not yet consumed. The host fills it, a decoder reads it.
 * The bytes are contiguous: `bytes[pos]` up to `bytes[end - 1]`. A decoder must not keep `bytes` beyond the call,
 * nor write to it; what outlives the call is copied or made a string.
 */
export class Cursor {
  bytes: Buffer
  /** Start of the unconsumed bytes. Only the host moves it. */
  pos: number
  end: number
  /**
   * Set by a decoder that answers MORE: how many unconsumed bytes it must see before it can go on; 0 = at least one more.
   * The host does not call again before they are there, nor before the direction ends.
   */
  neededBytes: number
  /**
   * Free for the decoder, kept by the host while it answers MORE, 0 otherwise: how many unconsumed bytes were already
   * searched in vain, so that a long line is not searched again from its start for every segment.
   */
  searchedBytes: number
  /** For `resync`: bytes of this direction that were here before those at `pos`, so that a place keeps its number; see `Places`. */
  passedBytes: number
  /**
   * Nothing will come that continues these bytes: the direction ended, or what follows is missing (`gap` is called next).
   * A decoder hands over what it knows of an unfinished frame now; what it leaves is dropped.
   */
  ended: boolean
  /** What came just before `pos` was not seen or not understood: this may be the middle of a message. For probe and resync. */
  midway: boolean
  /** Set by a decoder that answers MORE because the other direction decides: it is called again once that one has moved. */
  waits: boolean
  /** End offsets in `bytes` of the segments in the window, and the capture time of each; the first `markCount` count. */
  markEnds: number[]
  markTimes: number[]
  markCount: number

  constructor() {
    this.bytes = EMPTY
    this.pos = 0
    this.end = 0
    this.neededBytes = 0
    this.searchedBytes = 0
    this.passedBytes = 0
    this.ended = false
    this.midway = false
    this.waits = false
    this.markEnds = NO_MARKS
    this.markTimes = NO_MARKS
    this.markCount = 0
  }

  /** A cursor over bytes that arrived at one time: for tests and probes. */
  static over(bytes: Buffer, timeUs = 0): Cursor {
    const cursor = new Cursor()
    cursor.bytes = bytes
    cursor.end = bytes.length
    cursor.markEnds = [bytes.length]
    cursor.markTimes = [timeUs]
    cursor.markCount = 1
    return cursor
  }

  get length(): number {
    return this.end - this.pos
  }

  /** Capture time (µs since 1970) of the segment that holds the byte at absolute offset `at` of `bytes`. */
  timeUs(at: number): number {
    const ends = this.markEnds
    const last = this.markCount - 1
    for (let i = 0; i < last; i++) if (at < ends[i]) return this.markTimes[i]
    return last < 0 ? 0 : this.markTimes[last]
  }
}

const EMPTY = Buffer.alloc(0)
const NO_MARKS: number[] = []
Object.freeze(NO_MARKS)
