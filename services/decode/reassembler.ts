/**
 * One direction of one connection: segments in, a contiguous window of unconsumed bytes out. Segments are viewed, not
 * copied; only what is left over when a segment has been handled moves to a buffer of our own, so that no view outlives
 * the batch it came in.
 */
import { Cursor } from '../core/cursor.js'
import { type ConnectionInfo, type Direction, Segment } from '../core/segment.js'
import type { StateReader, StateWriter } from '../core/state.js'
import type { Accounting } from './accounting.js'
import { HELD_BYTES_MAX, HELD_SEGMENTS_MAX } from './limits.js'

const OWN_BYTES_MIN = 512
/** A buffer that grew beyond this for one long frame is not kept for the next. */
const OWN_BYTES_KEPT = 16 * 1024
/** A buffer beyond this is given up for a smaller one while it holds little. */
const OWN_BYTES_LARGE = 256 * 1024

export class Half {
  readonly #accounting: Accounting
  readonly cursor = new Cursor()
  /** Position of the next byte in order. */
  position = 0
  started = false
  ended = false
  /** The decoder lost its place: bytes are searched for the next message start. */
  syncing = false
  syncSearched = 0
  /** Bytes before the window were lost or not understood, so that it may begin in the middle of a message. */
  broken = false
  /** Its first bytes are no protocol's. */
  refused = false
  /** A protocol claims its first bytes weakly, and another may yet be surer. */
  claimed = false
  /** No probe could tell what its first bytes are, and they wait for the answer. */
  undecided = false
  probes = 0
  held: Segment[] = NO_SEGMENTS
  heldBytes = 0
  /** Accounting, in bytes: passed = consumed + skipped + gaps + what is left in the window. */
  passedBytes = 0
  consumedBytes = 0
  skippedBytes = 0
  gapBytes = 0
  #own: Buffer | null = null
  /** Marks of what lies in `#own`. */
  #markEnds: number[] = NO_MARKS
  #markTimes: number[] = NO_MARKS

  constructor(accounting: Accounting) {
    this.#accounting = accounting
  }

  /** Adds the payload of a segment, time `timeUs`, behind the unconsumed bytes. */
  append(payload: Buffer, timeUs: number): void {
    const cursor = this.cursor
    const left = cursor.end - cursor.pos
    if (left === 0) {
      cursor.bytes = payload
      cursor.pos = 0
      cursor.end = payload.length
      cursor.markEnds = viewEnds
      cursor.markTimes = viewTimes
      cursor.markEnds[0] = payload.length
      cursor.markTimes[0] = timeUs
      cursor.markCount = 1
      return
    }
    this.#makeRoom(payload.length)
    payload.copy(cursor.bytes, cursor.end)
    cursor.end += payload.length
    const last = cursor.markCount - 1
    if (cursor.markTimes[last] === timeUs) cursor.markEnds[last] = cursor.end
    else {
      cursor.markEnds[last + 1] = cursor.end
      cursor.markTimes[last + 1] = timeUs
      cursor.markCount += 1
    }
  }

  /** After a segment: what the decoder left moves out of the batch's memory. */
  settle(): void {
    const cursor = this.cursor
    if (cursor.pos === cursor.end) this.clear()
    else if (cursor.bytes !== this.#own) this.#makeRoom(0)
    else if (cursor.bytes.length > OWN_BYTES_LARGE && cursor.bytes.length > 4 * cursor.length) {
      // It grew for one large segment; a few bytes of the next frame must not hold on to it.
      this.#replaceOwn(null)
      this.#makeRoom(0)
    }
  }

  /** Forgets the window. */
  clear(): void {
    const cursor = this.cursor
    if (this.#own !== null && this.#own.length > OWN_BYTES_KEPT) this.#replaceOwn(null)
    cursor.bytes = EMPTY
    cursor.pos = 0
    cursor.end = 0
    cursor.markCount = 0
    cursor.neededBytes = 0
    cursor.searchedBytes = 0
  }

  /** Nothing of it has been dealt with or missed. */
  get isAtBeginning(): boolean {
    return this.consumedBytes === 0 && this.skippedBytes === 0 && this.gapBytes === 0
  }

  /** Memory that this direction holds, counted in the accounting too. */
  get ownBytes(): number {
    return (this.#own?.length ?? 0) + this.heldBytes
  }

  /** Nothing more comes: the memory is given back. */
  release(): void {
    this.clear()
    this.#replaceOwn(null)
    this.#accounting.ownBytes -= this.heldBytes
    this.held = NO_SEGMENTS
    this.heldBytes = 0
  }

  /** True if the segment was taken aside because bytes before it may still come. */
  hold(segment: Segment): boolean {
    const size = segment.payload.length
    if (this.held.length >= HELD_SEGMENTS_MAX || this.heldBytes + size > HELD_BYTES_MAX) return false
    if (this.held === NO_SEGMENTS) this.held = []
    let at = this.held.length
    while (at > 0 && this.held[at - 1].position > segment.position) at--
    const { connection, direction, position, length, payload, timeUs, timeRestNs, flags } = segment
    const own = Buffer.from(payload)
    this.held.splice(at, 0, new Segment(connection, direction, position, length, own, timeUs, timeRestNs, flags))
    this.heldBytes += size
    this.#accounting.ownBytes += size
    return true
  }

  takeHeld(): Segment {
    const segment = this.held.shift() as Segment
    this.heldBytes -= segment.payload.length
    this.#accounting.ownBytes -= segment.payload.length
    return segment
  }

  /** The unconsumed bytes move to the start of a buffer of our own with room for `more`. Doubling keeps 1-byte segments linear. */
  #makeRoom(more: number): void {
    const cursor = this.cursor
    const left = cursor.end - cursor.pos
    let own = this.#own
    if (own !== null && cursor.bytes === own && cursor.end + more <= own.length) return
    if (own === null || own.length < left + more) {
      own = Buffer.allocUnsafeSlow(Math.max(OWN_BYTES_MIN, grown(left + more)))
    }
    cursor.bytes.copy(own, 0, cursor.pos, cursor.end)
    this.#moveMarks()
    cursor.bytes = own
    cursor.pos = 0
    cursor.end = left
    this.#replaceOwn(own)
  }

  #moveMarks(): void {
    const { cursor } = this
    if (this.#markEnds === NO_MARKS) {
      this.#markEnds = []
      this.#markTimes = []
    }
    let marks = 0
    for (let i = 0; i < cursor.markCount; i++) {
      if (cursor.markEnds[i] <= cursor.pos) continue
      this.#markEnds[marks] = cursor.markEnds[i] - cursor.pos
      this.#markTimes[marks] = cursor.markTimes[i]
      marks += 1
    }
    cursor.markEnds = this.#markEnds
    cursor.markTimes = this.#markTimes
    cursor.markCount = marks
  }

  save(out: StateWriter): void {
    const { cursor } = this
    out.u8(
      (this.started ? 1 : 0) |
        (this.ended ? 2 : 0) |
        (this.syncing ? 4 : 0) |
        (this.broken ? 8 : 0) |
        (this.refused ? 16 : 0) |
        (cursor.ended ? 32 : 0) |
        (cursor.midway ? 64 : 0) |
        (cursor.waits ? 128 : 0),
    )
    out.u8((this.claimed ? 1 : 0) | (this.undecided ? 2 : 0))
    for (const name of SAVED_NUMBERS) out.number(this[name])
    out.number(cursor.neededBytes)
    out.number(cursor.searchedBytes)
    out.bytes(cursor.bytes.subarray(cursor.pos, cursor.end))
    out.number(cursor.markCount)
    for (let i = 0; i < cursor.markCount; i++) {
      out.number(cursor.markEnds[i] - cursor.pos)
      out.number(cursor.markTimes[i])
    }
    out.number(this.held.length)
    for (const { direction, position, length, payload, timeUs, timeRestNs, flags } of this.held) {
      for (const value of [direction, position, length, timeUs, timeRestNs, flags]) out.number(value)
      out.bytes(payload)
    }
  }

  /** Into a new half. Where the state ends early `state.failed` tells. */
  restore(state: StateReader, info: ConnectionInfo): void {
    const bits = state.u8()
    const { cursor } = this
    this.started = (bits & 1) !== 0
    this.ended = (bits & 2) !== 0
    this.syncing = (bits & 4) !== 0
    this.broken = (bits & 8) !== 0
    this.refused = (bits & 16) !== 0
    cursor.ended = (bits & 32) !== 0
    cursor.midway = (bits & 64) !== 0
    cursor.waits = (bits & 128) !== 0
    const probed = state.u8()
    this.claimed = (probed & 1) !== 0
    this.undecided = (probed & 2) !== 0
    for (const name of SAVED_NUMBERS) this[name] = state.number()
    cursor.neededBytes = state.number()
    cursor.searchedBytes = state.number()
    const bytes = state.bytes()
    if (bytes.length > 0) {
      this.#replaceOwn(bytes)
      cursor.bytes = bytes
      cursor.end = bytes.length
    }
    cursor.markEnds = this.#markEnds = []
    cursor.markTimes = this.#markTimes = []
    const marks = state.number()
    for (let i = 0; i < marks && !state.failed; i++) {
      cursor.markEnds[i] = state.number()
      cursor.markTimes[i] = state.number()
      cursor.markCount = i + 1
    }
    const held = state.number()
    for (let i = 0; i < held && !state.failed; i++) {
      const [direction, position, length, timeUs, timeRestNs, flags] = [0, 0, 0, 0, 0, 0].map(() => state.number())
      this.hold(new Segment(info, direction as Direction, position, length, state.bytes(), timeUs, timeRestNs, flags))
    }
  }

  #replaceOwn(own: Buffer | null): void {
    this.#accounting.ownBytes += (own?.length ?? 0) - (this.#own?.length ?? 0)
    this.#own = own
  }
}

const SAVED_NUMBERS = [
  'position',
  'syncSearched',
  'probes',
  'passedBytes',
  'consumedBytes',
  'skippedBytes',
  'gapBytes',
] as const
/** Doubled while small; a large one gets a quarter more, so that what waits is most of what is held. */
function grown(size: number): number {
  return size <= OWN_BYTES_LARGE / 2 ? 2 * size : size + (size >> 2)
}

const EMPTY: Buffer = Buffer.alloc(0)
const NO_MARKS: number[] = []
Object.freeze(NO_MARKS)
/** The one mark of a window that is a view. Only the direction whose segment is being handled has such a window. */
const viewEnds = [0]
const viewTimes = [0.5]
const NO_SEGMENTS: Segment[] = []
Object.freeze(NO_SEGMENTS)
