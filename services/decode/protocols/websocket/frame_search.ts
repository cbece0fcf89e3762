/** Where frames go on after a loss: where several follow one another, or where a segment begins, as messages do mostly. */
import type { Cursor } from '../../../core/cursor.js'
import { framesInRow, mayBegin } from './frame.js'

/** Frames in a row, to the end of the window, that are believed anywhere; one more need not reach its end. */
const MASKED_MIN = 2
const PLAIN_MIN = 3
/** Searched again for every segment while it is open what they are: longer frames are not waited for. */
const UNDECIDED_BYTES_MAX = 2048

export class FrameSearch {
  /** The window begins where a segment does. */
  atSegment = false
  /** What was found is a header in front of more than can be waited for: the header behind it decides. */
  doubtful = false

  /**
   * Offset from `input.pos`, or -1 and `input.searchedBytes`. `mayBeOther`: this end may mask or not against expectation;
   * that is believed of frames that fill segments.
   */
  find(input: Cursor, masked: boolean, mayCompress: boolean, mayBeOther: boolean): number {
    const { atSegment } = this
    this.doubtful = false
    const found = this.#find(input, masked, mayCompress)
    return found < 0 && mayBeOther ? this.#findFilling(input, !masked, mayCompress, atSegment) : found
  }

  #find(input: Cursor, masked: boolean, mayCompress: boolean): number {
    const { bytes, pos, end } = input
    const rowMin = masked ? MASKED_MIN : PLAIN_MIN
    let mark = 0
    let undecided = -1
    let undecidedAtSegment = false
    for (let at = pos; at < end; at++) {
      while (mark < input.markCount && input.markEnds[mark] < at) mark += 1
      if (at + 1 < end && !mayBegin(bytes[at], bytes[at + 1], masked)) continue
      const { count, exact, open, lastBytes } = framesInRow(bytes, at, end, masked, mayCompress, rowMin + 1)
      const atSegment = at === pos ? this.atSegment : input.markEnds[mark] === at
      if (count > rowMin || (exact && (atSegment || count === rowMin))) return at - pos
      if (atSegment && count === 1 && open && lastBytes > UNDECIDED_BYTES_MAX) {
        this.doubtful = true
        return at - pos
      }
      if (!open || undecided >= 0 || end - at > UNDECIDED_BYTES_MAX) continue
      undecided = at
      undecidedAtSegment = atSegment
    }
    input.searchedBytes = (undecided < 0 ? end : undecided) - pos
    this.atSegment = undecided < 0 || undecidedAtSegment
    return -1
  }

  #findFilling(input: Cursor, masked: boolean, mayCompress: boolean, atSegment: boolean): number {
    const { bytes, pos, end } = input
    for (let mark = atSegment ? -1 : 0; mark < input.markCount - 1; mark++) {
      const at = mark < 0 ? pos : input.markEnds[mark]
      if (at < pos || end - at > UNDECIDED_BYTES_MAX) continue
      const { exact, open } = framesInRow(bytes, at, end, masked, mayCompress, Number.POSITIVE_INFINITY)
      if (exact) return at - pos
      if (!open || input.searchedBytes < at - pos) continue
      input.searchedBytes = at - pos
      this.atSegment = true
    }
    return -1
  }
}
