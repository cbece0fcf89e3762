import type { StateReader, StateWriter } from '../../../core/state.js'

/** Servers refuse more. What is longer is passed over to its end, however many frames it comes in. */
const BLOCK_BYTES_MAX = 64 * 1024
const FIRST_BYTES = 1024

/** A header block whose end has not come: CONTINUATION follows. RFC 9113 section 6.10. */
export class OpenBlock {
  readonly stream: number
  /** Stream that is promised; 0 = the block is of `stream` itself. */
  readonly promised: number
  readonly ends: boolean
  readonly timeUs: number
  bytes: Buffer = NO_BYTES
  size = 0
  /** Some of it was left out. */
  isTooLong = false

  constructor(stream: number, promised: number, ends: boolean, timeUs: number) {
    this.stream = stream
    this.promised = promised
    this.ends = ends
    this.timeUs = timeUs
  }

  add(bytes: Buffer, from: number, to: number): void {
    const size = this.size + to - from
    if (size > BLOCK_BYTES_MAX) this.isTooLong = true
    if (this.isTooLong) return
    if (size > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.min(BLOCK_BYTES_MAX, Math.max(FIRST_BYTES, size, 2 * this.bytes.length)),
      )
      this.bytes.copy(grown, 0, 0, this.size)
      this.bytes = grown
    }
    bytes.copy(this.bytes, this.size, from, to)
    this.size = size
  }

  save(out: StateWriter): void {
    for (const value of [this.stream, this.promised, this.timeUs]) out.number(value)
    out.bool(this.ends)
    out.bool(this.isTooLong)
    out.u32(this.bytes.length)
    out.bytes(this.bytes.subarray(0, this.size))
  }

  static restore(state: StateReader): OpenBlock {
    const [stream, promised, timeUs] = [state.number(), state.number(), state.number()]
    const open = new OpenBlock(stream, promised, state.bool(), timeUs)
    open.isTooLong = state.bool()
    const room = Math.min(BLOCK_BYTES_MAX, state.u32())
    const bytes = state.bytes()
    open.bytes = Buffer.allocUnsafeSlow(Math.max(room, bytes.length))
    bytes.copy(open.bytes)
    open.size = bytes.length
    return open
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0)
