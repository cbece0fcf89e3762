/**
 * The search for the next message after a loss, segment by segment. A window that holds the beginning of what may be a
 * message is kept until its end is here; without a memory all of it would be searched again for each segment, which for small
 * ones takes as many times as long as they fit into the window. So the places that are still open are kept, and only the new
 * bytes are looked at, and of the open places those for which enough has come. It is no state: without it the search finds
 * the same and takes longer.
 */
import type { Cursor } from './cursor.js'

/** No message begins here, whatever follows. */
export const NEVER = 0
/** Not yet: what follows may show it. */
export const LATER = 1
/** As LATER, and worth waiting for: the window is kept from here on. */
export const WAIT = 2
export const HERE = 3

/** Judges the place at this offset in `head.bytes`; may set `Places.neededEnd`. */
export type JudgePlace = (at: number) => number

class OpenPlace {
  /** Counted from the beginning of the direction, as `Cursor.passedBytes` is. */
  readonly at: number
  /** The verdict holds until the window reaches this. */
  readonly neededEnd: number
  readonly waits: boolean

  constructor(at: number, neededEnd: number, waits: boolean) {
    this.at = at
    this.neededEnd = neededEnd
    this.waits = waits
  }
}

export class Places {
  /** From the first to the last. */
  #open: OpenPlace[] = []
  /** The least `neededEnd` of them. */
  #neededEnd = Number.POSITIVE_INFINITY
  #epoch = 0
  /** All places before this one have been judged. */
  #next = 0
  /** What an offset in `head.bytes` lacks to a number of a place. */
  #origin = 0
  /** Of the last search: offset of the first place to wait for, -1 if there is none. */
  waiting = -1
  /** Set while judging: the verdict, if it is LATER or WAIT, holds until the window reaches this offset; 0 = until the next byte. */
  neededEnd = 0
  /** Judgements since the beginning: what searching costs. */
  judged = 0

  /**
   * Judges the places of the window in turn; the offset of the first that is HERE, or -1. Nothing can be said of the last
   * `tailBytes` places. `epoch` changes when verdicts may for other reasons than what follows.
   */
  search(head: Cursor, tailBytes: number, judge: JudgePlace, epoch = 0): number {
    const again = this.#again(head, judge, epoch)
    if (again >= 0) return again
    const to = head.end - tailBytes
    for (let at = Math.max(head.pos, this.#next - this.#origin); at < to; at++) if (this.#isHere(at, judge)) return at
    return this.#notHere()
  }

  /** The same for the places where segments begin, but for the first. */
  searchMarks(head: Cursor, judge: JudgePlace, epoch = 0): number {
    const again = this.#again(head, judge, epoch)
    if (again >= 0) return again
    const { pos, markEnds, markCount } = head
    const from = Math.max(pos + 1, this.#next - this.#origin)
    let first = markCount - 1
    while (first > 0 && markEnds[first - 1] >= from) first--
    for (let i = first; i < markCount - 1; i++) if (this.#isHere(markEnds[i], judge)) return markEnds[i]
    return this.#notHere()
  }

  /** Those that are open, as far as they are still in the window and their verdict may be another. */
  #again({ pos, end, ended, passedBytes }: Cursor, judge: JudgePlace, epoch: number): number {
    const all = ended || epoch !== this.#epoch
    this.#epoch = epoch
    this.#origin = passedBytes - pos
    const seen = end + this.#origin
    const before = this.#open
    if (before.length === 0 || (!all && this.#neededEnd > seen && before[0].at >= passedBytes)) return -1
    this.#open = []
    this.#neededEnd = Number.POSITIVE_INFINITY
    let here = -1
    for (const place of before) {
      if (place.at < passedBytes) continue
      // Behind one that is found the others stay as they were.
      if (here >= 0 || (!all && place.neededEnd > seen)) this.#keep(place)
      else if (this.#isHere(place.at - this.#origin, judge)) here = place.at - this.#origin
    }
    // Those were not judged again yet.
    if (here >= 0 && all) this.#epoch = Number.NaN
    return here
  }

  #isHere(at: number, judge: JudgePlace): boolean {
    this.judged += 1
    this.neededEnd = 0
    const verdict = judge(at)
    this.#next = Math.max(this.#next, at + this.#origin + 1)
    if (verdict === LATER || verdict === WAIT) {
      this.#keep(new OpenPlace(at + this.#origin, this.neededEnd + this.#origin, verdict === WAIT))
    }
    return verdict === HERE
  }

  #keep(place: OpenPlace): void {
    this.#open.push(place)
    this.#neededEnd = Math.min(this.#neededEnd, place.neededEnd)
  }

  #notHere(): number {
    const first = this.#open.find(({ waits }) => waits)
    this.waiting = first === undefined ? -1 : first.at - this.#origin
    return -1
  }
}
