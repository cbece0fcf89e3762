/**
 * Header blocks of both directions: put together from HEADERS, PUSH_PROMISE and CONTINUATION, and decoded in order. Where
 * bytes are missing that may have held a block, the table is not counted on any more; unless it can be shown that they held
 * none, see `lost`.
 */
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { FieldBlock } from './field_block.js'
import { Flag, FRAME_HEADER_BYTES, type FrameHeader, FrameType } from './frames.js'
import { HpackDecoder } from './hpack/decoder.js'
import { OpenBlock } from './open_block.js'
import type { Streams } from './streams.js'
import type { TextReader, TextWriter } from './texts.js'

const PRIORITY_BYTES = 5
const PROMISED_BYTES = 4
/** A literal that goes into the table, with an empty value. */
const ADDITION_BYTES_MIN = 2

/** What is not known of the bytes that were lost. */
const Doubt = {
  NONE: 0,
  /** They are too few for a block, if a frame begins behind them. */
  SMALL: 1,
  /** The next request tells by its number. */
  NUMBER: 2,
} as const

const block = new FieldBlock()

export class HeaderBlocks {
  readonly #streams: Streams
  readonly #hpack: readonly [HpackDecoder, HpackDecoder] = [new HpackDecoder(), new HpackDecoder()]
  readonly #open: [OpenBlock | null, OpenBlock | null] = [null, null]
  readonly #doubt: [number, number] = [Doubt.NONE, Doubt.NONE]
  /** What comes next may be the rest of a block whose beginning was lost. */
  readonly #mayGoOn: [boolean, boolean] = [false, false]
  /** Requests were whole before the bytes that are in doubt. */
  #requestsWhole = false
  /** Blocks that were HPACK. */
  decoded = 0

  constructor(streams: Streams) {
    this.#streams = streams
  }

  /** The direction begins here. */
  begin(direction: Direction): void {
    this.#open[direction] = null
    this.#mayGoOn[direction] = false
    this.#doubt[direction] = Doubt.NONE
    this.#hpack[direction].begin()
  }

  /**
   * `size` bytes from a frame's beginning on are missing (0 = nobody knows how many). Up to ten of them hold no block that
   * adds to the table. From a client whose requests are all whole only a new request brings a block, and these are numbered
   * upwards in steps of two: if the next one has the next number, there was none.
   */
  lost(direction: Direction, size: number): void {
    this.#mayGoOn[direction] = true
    const open = this.#open[direction]
    if (open !== null) {
      this.#cutOpen(direction, open)
      this.#requestsWhole = false
    } else if (this.#doubt[direction] === Doubt.NONE) {
      this.#requestsWhole = direction === TO_SERVER && size > 0 && this.#streams.requestsWhole
      if (size > 0 && size < FRAME_HEADER_BYTES + ADDITION_BYTES_MIN) {
        this.#doubt[direction] = Doubt.SMALL
        return this.#streams.damaged(direction)
      }
    }
    this.#streams.damaged(direction)
    this.#mayHaveBeenBlocks(direction, size)
  }

  /** A frame begins again, `offset` bytes behind what was lost; -1: not yet. */
  synced(direction: Direction, offset: number): void {
    if (this.#doubt[direction] !== Doubt.SMALL) return
    if (offset === 0) this.#doubt[direction] = Doubt.NONE
    else this.#mayHaveBeenBlocks(direction, 1)
  }

  #mayHaveBeenBlocks(direction: Direction, size: number): void {
    this.#streams.missed()
    if (direction === TO_SERVER && this.#requestsWhole && size > 0) this.#doubt[direction] = Doubt.NUMBER
    else this.forget(direction)
  }

  /** Blocks are missing: the table counts from here on. */
  forget(direction: Direction): void {
    this.#open[direction] = null
    this.#doubt[direction] = Doubt.NONE
    this.#hpack[direction].forget()
  }

  /** `type` of stream `stream` is the first block behind bytes that may have held one. */
  #resolve(direction: Direction, { type, stream }: FrameHeader): void {
    const { highest } = this.#streams
    const next = highest === 0 ? 1 : highest + 2
    this.#doubt[direction] = Doubt.NONE
    if (type === FrameType.HEADERS && stream === next) this.#streams.requestsNotLost()
    else this.#hpack[direction].forget()
  }

  /** False if this cannot be: the bytes are not HTTP/2, or frames are missing. `to` is the end of the frame. */
  frame(
    direction: Direction,
    frame: FrameHeader,
    bytes: Buffer,
    from: number,
    to: number,
    timeUs: number,
    endUs: number,
  ): boolean {
    if (this.#doubt[direction] !== Doubt.NONE) this.#resolve(direction, frame)
    const { type, flags, stream } = frame
    const last = (flags & Flag.END_HEADERS) !== 0
    const open = this.#open[direction]
    if (type === FrameType.CONTINUATION) {
      if (open === null && this.#mayGoOn[direction]) return true
      if (open === null || open.stream !== stream) return false
      open.add(bytes, from, to)
      this.#measure()
      return last ? this.#decodeOpen(direction, open, endUs) : true
    }
    this.#mayGoOn[direction] = false
    if (open !== null) return false
    let begin = from
    let end = to
    if ((flags & Flag.PADDED) !== 0) {
      if (begin === end || bytes[begin] > end - begin - 1) return false
      end -= bytes[begin]
      begin += 1
    }
    let promised = 0
    if (type === FrameType.PUSH_PROMISE) {
      if (end - begin < PROMISED_BYTES) return false
      promised = bytes.readUInt32BE(begin) & 0x7fff_ffff
      begin += PROMISED_BYTES
    } else if ((flags & Flag.PRIORITY) !== 0) begin += PRIORITY_BYTES
    if (begin > end) return false
    const ends = type === FrameType.HEADERS && (flags & Flag.END_STREAM) !== 0
    if (!last) {
      const opened = new OpenBlock(stream, promised, ends, timeUs)
      opened.add(bytes, begin, end)
      this.#open[direction] = opened
      this.#measure()
      return true
    }
    if (!this.#decode(direction, bytes, begin, end)) return false
    this.#handOver(direction, stream, promised, ends, timeUs, endUs)
    return true
  }

  #decode(direction: Direction, bytes: Buffer, from: number, to: number): boolean {
    block.clear()
    if (!this.#hpack[direction].decode(bytes, from, to, block)) return false
    this.decoded += 1
    this.#measure()
    return true
  }

  #decodeOpen(direction: Direction, open: OpenBlock, endUs: number): boolean {
    if (open.isTooLong) {
      this.#cutOpen(direction, open)
      return true
    }
    this.#open[direction] = null
    if (!this.#decode(direction, open.bytes, 0, open.size)) return false
    this.#handOver(direction, open.stream, open.promised, open.ends, open.timeUs, endUs)
    return true
  }

  /** The end of a block is missing: what it said before is known, and no table behind it. */
  #cutOpen(direction: Direction, open: OpenBlock): void {
    block.clear()
    this.#hpack[direction].decode(open.bytes, 0, open.size, block)
    this.#handOverCut(direction, open.stream, open.promised, open.ends, open.timeUs)
  }

  /** The beginning of a frame whose end is missing. */
  cutFrame(direction: Direction, frame: FrameHeader, bytes: Buffer, from: number, to: number, timeUs: number): void {
    const { type, flags, stream } = frame
    const open = this.#open[direction]
    if (type === FrameType.CONTINUATION) {
      if (open === null || open.stream !== stream) return this.forget(direction)
      open.add(bytes, from, to)
      return this.#cutOpen(direction, open)
    }
    if (type !== FrameType.HEADERS && type !== FrameType.PUSH_PROMISE) return
    if (this.#doubt[direction] !== Doubt.NONE) this.#resolve(direction, frame)
    let begin = from + ((flags & Flag.PADDED) !== 0 ? 1 : 0)
    let promised = 0
    if (type === FrameType.PUSH_PROMISE) {
      // Of which stream nobody knows.
      if (to - begin < PROMISED_BYTES) return this.forget(direction)
      promised = bytes.readUInt32BE(begin) & 0x7fff_ffff
      begin += PROMISED_BYTES
    } else if ((flags & Flag.PRIORITY) !== 0) begin += PRIORITY_BYTES
    // What is here may be padding at its end.
    const padding = (flags & Flag.PADDED) !== 0 && from < to ? bytes[from] : 0
    const end = Math.min(to, from + frame.length - padding)
    block.clear()
    if (begin < end) this.#hpack[direction].decode(bytes, begin, end, block)
    this.#handOverCut(direction, stream, promised, (flags & Flag.END_STREAM) !== 0, timeUs)
  }

  #handOverCut(direction: Direction, stream: number, promised: number, ends: boolean, timeUs: number): void {
    // Without what every header begins with these bytes may be anything.
    if (direction === TO_SERVER ? block.method === '' || block.path === '' : block.status === '') block.clear()
    block.isCut = true
    block.hasUnknown = true
    this.forget(direction)
    this.#measure()
    this.#handOver(direction, stream, promised, ends, timeUs, timeUs)
  }

  #handOver(
    direction: Direction,
    stream: number,
    promised: number,
    ends: boolean,
    timeUs: number,
    endUs: number,
  ): void {
    if (promised === 0) this.#streams.headers(stream, direction, block, ends, timeUs, endUs)
    // Clients promise nothing.
    else if (direction === TO_CLIENT) this.#streams.promised(promised, block, timeUs, endUs)
  }

  /** Streams and tables share one bound. */
  #measure(): void {
    const [one, other] = this.#hpack
    const [oneOpen, otherOpen] = this.#open
    this.#streams.otherBytes =
      one.savedBytesMax + other.savedBytesMax + (oneOpen?.bytes.length ?? 0) + (otherOpen?.bytes.length ?? 0)
  }

  save(out: StateWriter, texts: TextWriter): void {
    out.number(this.decoded)
    out.bool(this.#requestsWhole)
    for (const direction of [TO_SERVER, TO_CLIENT] as const) {
      out.u8(this.#doubt[direction])
      out.bool(this.#mayGoOn[direction])
      this.#hpack[direction].save(out, texts)
      const open = this.#open[direction]
      out.bool(open !== null)
      open?.save(out)
    }
  }

  restore(state: StateReader, texts: TextReader): void {
    this.decoded = state.number()
    this.#requestsWhole = state.bool()
    for (const direction of [TO_SERVER, TO_CLIENT] as const) {
      this.#doubt[direction] = state.u8()
      this.#mayGoOn[direction] = state.bool()
      this.#hpack[direction].restore(state, texts)
      this.#open[direction] = state.bool() ? OpenBlock.restore(state) : null
    }
    this.#measure()
  }
}
