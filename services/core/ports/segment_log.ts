import type { ReplayPart } from '../replay.js'

/** What is read or not read as a whole: a message, or a block of a file. */
export interface LogPiece {
  readonly position: number
  /** Position behind it. */
  readonly next: number
  /** So many encoded SegmentBatches follow each other in `bytes`. */
  readonly batches: number
  readonly bytes: Buffer
  /** When they were sent, µs since 1970; 0 where nobody wrote that down. */
  readonly sentUs: number
}

/** Segments that can be read a second time: the bus, or archive files. */
export interface SegmentLog {
  /** Positions are offsets of klartext.segments: evidence in flows. */
  readonly isBus: boolean
  /**
   * Where the segments captured between the two times (µs since 1970) are; their ends are frozen. Parts that hold none are
   * left out.
   */
  parts(fromUs: number, untilUs: number): Promise<ReplayPart[]>
  /** The part as it is now: retention may have taken its beginning. */
  kept(part: ReplayPart): Promise<ReplayPart>
  /** Pieces from a position on, in order. Throws `EXPIRED` where they are not kept any more, and retryable errors. */
  read(part: ReplayPart, from: number): AsyncIterable<readonly LogPiece[]>
  /** What is kept at all, for people: `2026-.. to ..`; `''` where nothing is. */
  extent(): Promise<string>
}
