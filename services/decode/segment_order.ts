/**
 * Puts the segments of a direction in order for the driver: what comes early is held back for a while, what came before is
 * passed over, what never comes is a gap.
 */
import { type Segment, SegmentFlag } from '../core/segment.js'
import type { Accounting } from './accounting.js'
import type { Connection } from './connection.js'
import type { Driver } from './driver.js'
import * as limits from './limits.js'
import type { Half } from './reassembler.js'

export class SegmentOrder {
  readonly #driver: Driver
  readonly #accounting: Accounting
  /** The input begins in the middle of connections: what comes first of one is not taken for its beginning. */
  readonly #joins: boolean

  constructor(driver: Driver, accounting: Accounting, joins: boolean) {
    this.#driver = driver
    this.#accounting = accounting
    this.#joins = joins
  }

  /** Takes the segment, or sets it aside until bytes before it have come. */
  take(connection: Connection, half: Half, segment: Segment): void {
    if (!half.started) {
      half.started = true
      half.position = connection.midstream ? segment.position : 0
    }
    if (segment.position > half.position) {
      const certain = (segment.flags & (SegmentFlag.GAP_BEFORE | SegmentFlag.CLOSE)) !== 0
      if (!certain && this.#mayWait(half, segment) && half.hold(segment)) return
      this.flushHeld(connection, half, segment.position)
      this.#missing(connection, half, segment)
    }
    this.#take(connection, half, segment)
    while (half.held.length > 0 && half.held[0].position <= half.position) {
      this.#take(connection, half, half.takeHeld())
    }
  }

  #mayWait(half: Half, segment: Segment): boolean {
    return half.held.length === 0 || segment.timeUs - half.held[0].timeUs <= limits.HELD_US_MAX
  }

  /** What was held back below `position` comes out; bytes between that never came are gaps. */
  flushHeld(connection: Connection, half: Half, position: number): void {
    while (half.held.length > 0 && half.held[0].position < position) {
      const segment = half.takeHeld()
      this.#missing(connection, half, segment)
      this.#take(connection, half, segment)
    }
  }

  /** Bytes before `segment` did not come. */
  #missing(connection: Connection, half: Half, segment: Segment): void {
    const missing = segment.position - half.position
    if (missing <= 0) return
    if (half.passedBytes === 0 && this.#joinsHere(connection)) half.position = segment.position
    else this.#driver.gap(connection, half, missing, segment.timeUs)
  }

  /** True where what a direction said before lies before the input, and is not lost. */
  #joinsHere(connection: Connection): boolean {
    if (!this.#joins || connection.opened) return false
    if (connection.midstream) return true
    if (connection.toServer.passedBytes + connection.toClient.passedBytes > 0) return false
    connection.midstream = true
    this.#accounting.joined += 1
    return true
  }

  /** A segment that begins at or before the next position: the new part of it is decoded. */
  #take(connection: Connection, half: Half, segment: Segment): void {
    const old = half.position - segment.position
    const known = segment.payload.length
    if (old >= segment.length) {
      this.#accounting.duplicateBytes += known
      return
    }
    const payload = old === 0 ? segment.payload : segment.payload.subarray(Math.min(old, known))
    this.#accounting.duplicateBytes += known - payload.length
    if (payload.length > 0) {
      half.position += payload.length
      half.passedBytes += payload.length
      this.#driver.bytes(connection, half, payload, segment.timeUs)
    }
    const missing = segment.position + segment.length - half.position
    if (missing > 0) this.#driver.gap(connection, half, missing, segment.timeUs)
  }
}
