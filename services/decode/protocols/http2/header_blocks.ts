/** Header blocks of both directions: put together from HEADERS, PUSH_PROMISE and CONTINUATION, and decoded in order. */
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { FieldBlock } from './fields.js'
import { Flag, type FrameHeader, FrameType } from './frames.js'
import { HPACK_OK, HpackDecoder } from './hpack/decoder.js'
import type { Streams } from './streams.js'

/** Of one block in parts. Servers refuse more. */
const BLOCK_BYTES_MAX = 64 * 1024
const PRIORITY_BYTES = 5
const PROMISED_BYTES = 4

/** A block whose end has not come: CONTINUATION follows. */
class OpenBlock {
  stream = 0
  ends = false
  /** Stream that is promised; 0 = the block is of `stream` itself. */
  promised = 0
  timeUs = 0
  bytes: Buffer = NO_BYTES
}

const NO_BYTES: Buffer = Buffer.alloc(0)

export class HeaderBlocks {
  readonly #streams: Streams
  readonly #hpack: readonly [HpackDecoder, HpackDecoder] = [new HpackDecoder(), new HpackDecoder()]
  readonly #open: [OpenBlock | null, OpenBlock | null] = [null, null]
  /** Blocks that were HPACK. */
  decoded = 0

  constructor(streams: Streams) {
    this.#streams = streams
  }

  /** Bytes of this direction are missing: the table counts from here on. */
  forget(direction: Direction): void {
    this.#open[direction] = null
    this.#hpack[direction].forget()
  }

  /** The direction begins here. */
  begin(direction: Direction): void {
    this.#open[direction] = null
    this.#hpack[direction].begin()
  }

  /** A frame longer than what is read at once. */
  tooLong(direction: Direction, frame: FrameHeader, timeUs: number): void {
    const { type } = frame
    if (type !== FrameType.HEADERS && type !== FrameType.PUSH_PROMISE && type !== FrameType.CONTINUATION) return
    this.forget(direction)
    this.#streams.unreadable(frame.stream, direction, (frame.flags & Flag.END_STREAM) !== 0, timeUs)
  }

  /** False if this cannot be: the bytes are not HTTP/2, or frames are missing. */
  frame(
    direction: Direction,
    frame: FrameHeader,
    bytes: Buffer,
    from: number,
    to: number,
    timeUs: number,
    endUs: number,
  ): boolean {
    const { type, flags, stream } = frame
    const last = (flags & Flag.END_HEADERS) !== 0
    const open = this.#open[direction]
    if (type === FrameType.CONTINUATION) {
      if (open === null || open.stream !== stream) return false
      open.bytes = Buffer.concat([open.bytes, bytes.subarray(from, to)])
      if (last) {
        this.#open[direction] = null
        return this.#decode(direction, open, open.bytes, 0, open.bytes.length, endUs)
      }
      if (open.bytes.length > BLOCK_BYTES_MAX) {
        this.forget(direction)
        this.#streams.unreadable(stream, direction, open.ends, timeUs)
      }
      return true
    }
    if (open !== null) return false
    let begin = from
    let end = to
    if ((flags & Flag.PADDED) !== 0) {
      if (begin === end || bytes[begin] > end - begin - 1) return false
      end -= bytes[begin]
      begin += 1
    }
    const block = new OpenBlock()
    block.stream = stream
    block.ends = type === FrameType.HEADERS && (flags & Flag.END_STREAM) !== 0
    block.timeUs = timeUs
    if (type === FrameType.PUSH_PROMISE) {
      if (end - begin < PROMISED_BYTES) return false
      block.promised = bytes.readUInt32BE(begin) & 0x7fff_ffff
      begin += PROMISED_BYTES
    } else if ((flags & Flag.PRIORITY) !== 0) begin += PRIORITY_BYTES
    if (begin > end) return false
    if (last) return this.#decode(direction, block, bytes, begin, end, endUs)
    block.bytes = Buffer.from(bytes.subarray(begin, end))
    this.#open[direction] = block
    return true
  }

  #decode(direction: Direction, open: OpenBlock, bytes: Buffer, from: number, to: number, endUs: number): boolean {
    const block = new FieldBlock()
    if (this.#hpack[direction].decode(bytes, from, to, block) !== HPACK_OK) return false
    this.decoded += 1
    const { stream, promised, ends, timeUs } = open
    if (promised !== 0) this.#streams.promised(promised, block, timeUs, endUs)
    else this.#streams.headers(stream, direction, block, ends, timeUs, endUs)
    return true
  }

  save(out: StateWriter): void {
    out.number(this.decoded)
    for (const direction of [TO_SERVER, TO_CLIENT] as const) {
      this.#hpack[direction].save(out)
      const open = this.#open[direction]
      out.bool(open !== null)
      if (open === null) continue
      for (const value of [open.stream, open.promised, open.timeUs]) out.number(value)
      out.bool(open.ends)
      out.bytes(open.bytes)
    }
  }

  restore(state: StateReader): void {
    this.decoded = state.number()
    for (const direction of [TO_SERVER, TO_CLIENT] as const) {
      this.#hpack[direction].restore(state)
      this.#open[direction] = null
      if (!state.bool()) continue
      const open = new OpenBlock()
      open.stream = state.number()
      open.promised = state.number()
      open.timeUs = state.number()
      open.ends = state.bool()
      open.bytes = state.bytes()
      this.#open[direction] = open
    }
  }
}
