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
  neededEnd = 0
  waits = false

  constructor(at: number) {
    this.at = at
  }
}

export class Places {
  /** By `at`, from the first to the last. */
  #open = NO_PLACES
  /** Those of them whose time may come, by `neededEnd`. */
  #byEnd = NO_ENDS
  /** Those that the last segment brought, not among `#byEnd` yet: most are gone with the window before the next one comes. */
  #fresh: OpenPlace[] = []
  /** Their time has come, and one before them was found. */
  #overdue: OpenPlace[] = []
  /** The window has reached this. */
  #seen = 0
  #epoch = 0
  /** All places before this one have been judged. */
  #next = 0
  /** What an offset in `head.bytes` lacks to a number of a place. */
  #origin = 0
  /** Of the last search: offset of the first place to wait for, -1 if there is none. */
  waiting = -1
  /**
   * Set while judging: the verdict, if it is LATER or WAIT, holds until the window reaches this offset; 0 = until the next
   * byte, Infinity = whatever follows.
   */
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
    this.#forget(passedBytes)
    for (const place of this.#fresh) if (place.at >= passedBytes) this.#index(place)
    this.#fresh = []
    const due = this.#due(end + this.#origin)
    if (this.#open.size === 0) return -1
    const places = all ? [...this.#open.values()] : due.sort((a, b) => a.at - b.at)
    for (let i = 0; i < places.length; i++) {
      const at = places[i].at - this.#origin
      if (!this.#isHere(at, judge)) continue
      // Behind one that is found the others stay as they were.
      this.#overdue = places.slice(i + 1)
      return at
    }
    return -1
  }

  #forget(passedBytes: number): void {
    for (const place of this.#open.values()) {
      if (place.at >= passedBytes) return
      this.#drop(place)
    }
  }

  #drop(place: OpenPlace): void {
    this.#open.delete(place.at)
    this.#unindex(place)
  }

  /** The window has come to `seen`. */
  #due(seen: number): OpenPlace[] {
    const due = this.#overdue.filter((place) => this.#open.get(place.at) === place)
    this.#overdue = []
    const ends = this.#byEnd
    if (ends.size > seen - this.#seen) for (let end = this.#seen + 1; end <= seen; end++) this.#take(end, due)
    else for (const end of ends.keys()) if (end <= seen) this.#take(end, due)
    this.#seen = seen
    return due
  }

  #take(end: number, due: OpenPlace[]): void {
    const places = this.#byEnd.get(end)
    if (places === undefined) return
    due.push(...places)
    this.#byEnd.delete(end)
  }

  #index(place: OpenPlace): void {
    if (place.neededEnd === Number.POSITIVE_INFINITY) return
    // What holds until the next byte is looked at with it.
    const end = Math.max(place.neededEnd, this.#seen + 1)
    place.neededEnd = end
    const places = this.#byEnd.get(end)
    if (places === undefined) this.#byEnd.set(end, new Set([place]))
    else places.add(place)
  }

  #unindex(place: OpenPlace): void {
    const places = this.#byEnd.get(place.neededEnd)
    if (places?.delete(place) === true && places.size === 0) this.#byEnd.delete(place.neededEnd)
  }

  #isHere(at: number, judge: JudgePlace): boolean {
    this.judged += 1
    this.neededEnd = 0
    const verdict = judge(at)
    const number = at + this.#origin
    this.#next = Math.max(this.#next, number + 1)
    const before = this.#open.get(number)
    if (verdict !== LATER && verdict !== WAIT) {
      if (before !== undefined) this.#drop(before)
      return verdict === HERE
    }
    const place = before ?? new OpenPlace(number)
    place.waits = verdict === WAIT
    const neededEnd = this.neededEnd + this.#origin
    if (before === undefined) this.#keep(place)
    else if (neededEnd === before.neededEnd && neededEnd > this.#seen) return false
    else this.#unindex(before)
    place.neededEnd = neededEnd
    this.#fresh.push(place)
    return false
  }

  /** Most connections never search: what they would keep is made with the first place. */
  #keep(place: OpenPlace): void {
    if (this.#open === NO_PLACES) {
      this.#open = new Map()
      this.#byEnd = new Map()
    }
    this.#open.set(place.at, place)
  }

  #notHere(): number {
    this.waiting = -1
    for (const { at, waits } of this.#open.values()) {
      if (!waits) continue
      this.waiting = at - this.#origin
      break
    }
    return -1
  }
}

const NO_PLACES = new Map<number, OpenPlace>()
const NO_ENDS = new Map<number, Set<OpenPlace>>()
