/** HTTP/2 (RFC 9113) with HPACK (RFC 7541), and gRPC over it. */
import type { Cursor } from '../../../core/cursor.js'
import {
  BAD,
  type Begin,
  type CloseReason,
  type Decoder,
  type ExchangeSink,
  MORE,
  type Protocol,
  type Verdict,
  WITHDRAW,
} from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { DataFrame } from './data_frame.js'
import { Flag, FRAME_BYTES_ALLOWED, FRAME_HEADER_BYTES, FrameHeader, FrameType, isPossible, PREFACE } from './frames.js'
import { HeaderBlocks } from './header_blocks.js'
import { GRPC_HTTP2_PRIVACY, HTTP2_PRIVACY } from './privacy.js'
import { probeHttp2, speaker } from './probe.js'
import { FrameSearch, findFrame } from './search.js'
import { Streams } from './streams.js'
import { TextReader, TextWriter } from './texts.js'

export const http2: Protocol = {
  name: 'http2',
  transports: ['tcp', 'unix'],
  privacy: { http2: HTTP2_PRIVACY, grpc: GRPC_HTTP2_PRIVACY },
  probe: (head: Cursor): Verdict => probeHttp2(head),
  turned: (head: Cursor, direction: Direction) => speaker(head) === (direction === TO_SERVER ? -1 : 1),
  open: (out: ExchangeSink, begin: Begin): Decoder => new Http2Decoder(out, begin),
}

/** Frames other than DATA are read in one piece; of longer ones nothing is read. */
const WHOLE_FRAME_BYTES_MAX = 64 * 1024
/** What is no HTTP/2 after all shows soon; one wrong place in a connection that was joined late does not say so. */
const FAILURES_MAX = 2
const STATE_VERSION = 6
const DIRECTIONS = [TO_SERVER, TO_CLIENT] as const

const frame = new FrameHeader()

class Http2Decoder implements Decoder {
  readonly #streams: Streams
  readonly #blocks: HeaderBlocks
  readonly #data: readonly [DataFrame, DataFrame] = [new DataFrame(), new DataFrame()]
  /** Longest frame that the receiver of this direction allows; 0 = not known. */
  readonly #frameBytesMax: [number, number] = [FRAME_BYTES_ALLOWED, FRAME_BYTES_ALLOWED]
  readonly #searches: readonly [FrameSearch, FrameSearch] = [new FrameSearch(), new FrameSearch()]
  /** The client has not begun yet. */
  #prefaceDue = true
  /** Nothing was missed so far. */
  #isWhole = true
  #failures = 0

  constructor(out: ExchangeSink, begin: Begin) {
    this.#streams = new Streams(out)
    this.#blocks = new HeaderBlocks(this.#streams)
    if (begin.handover !== null) this.#streams.upgraded(begin.handover.exchange)
  }

  parse(direction: Direction, input: Cursor): number {
    const data = this.#data[direction]
    if (data.open) return this.#dataBytes(data, direction, input)
    if (direction === TO_SERVER && this.#prefaceDue) {
      const consumed = this.#preface(input)
      if (consumed !== 0) return consumed
      if (this.#prefaceDue) return more(input, PREFACE.length)
    }
    const { bytes, pos } = input
    const here = input.end - pos
    if (here < FRAME_HEADER_BYTES) return more(input, FRAME_HEADER_BYTES)
    frame.read(bytes, pos)
    if (!isPossible(frame)) return this.#bad(direction)
    const timeUs = input.timeUs(pos)
    this.#streams.passed(direction, timeUs)
    if (frame.type === FrameType.DATA) return this.#beginData(data, direction, input, timeUs)
    const size = FRAME_HEADER_BYTES + frame.length
    if (here < size) {
      if (input.ended) return this.#cutFrame(data, direction, input, here)
      if (size <= WHOLE_FRAME_BYTES_MAX) return more(input, size)
      return this.#cutFrame(data, direction, input, FRAME_HEADER_BYTES)
    }
    return this.#frame(direction, input, size, timeUs)
  }

  /** Bytes consumed; 0 where it is not whole, or the client begins otherwise, with `#prefaceDue` false then. */
  #preface(input: Cursor): number {
    const { bytes, pos } = input
    const here = Math.min(input.length, PREFACE.length)
    let same = 0
    while (same < here && bytes[pos + same] === PREFACE[same]) same++
    if (same === PREFACE.length) {
      this.#prefaceDue = false
      return PREFACE.length
    }
    if (same < here) this.#prefaceDue = false
    return 0
  }

  #frame(direction: Direction, input: Cursor, size: number, timeUs: number): number {
    const { bytes, pos } = input
    const from = pos + FRAME_HEADER_BYTES
    const to = pos + size
    const { type, stream, length } = frame
    switch (type) {
      case FrameType.HEADERS:
      case FrameType.PUSH_PROMISE:
      case FrameType.CONTINUATION:
        if (!this.#blocks.frame(direction, frame, bytes, from, to, timeUs, input.timeUs(to - 1))) {
          return this.#badBlock(direction)
        }
        if (this.#isTooLong(direction, length)) this.#streams.tooLong(stream)
        break
      case FrameType.RST_STREAM:
        this.#streams.reset(direction, stream, bytes.readUInt32BE(from), timeUs)
        break
      case FrameType.WINDOW_UPDATE:
        this.#streams.hint(stream)
        break
      case FrameType.SETTINGS:
        this.#settings(direction, bytes, from, to)
        break
      case FrameType.GOAWAY:
        this.#streams.goAway(direction, bytes.readUInt32BE(from) & 0x7fff_ffff, bytes.readUInt32BE(from + 4), timeUs)
        break
      default:
    }
    return size
  }

  /** The end of this frame is missing, or it is too long: the rest of it is passed over. */
  #cutFrame(data: DataFrame, direction: Direction, input: Cursor, here: number): number {
    const { pos } = input
    this.#blocks.cutFrame(direction, frame, input.bytes, pos + FRAME_HEADER_BYTES, pos + here, input.timeUs(pos))
    data.begin(0, frame.length, 0, false)
    data.take(here - FRAME_HEADER_BYTES)
    return here
  }

  /** What the sender of `direction` allows the other end. A larger size may have been in use already: the largest counts. */
  #settings(direction: Direction, bytes: Buffer, from: number, to: number): void {
    const allowed = this.#frameBytesMax
    const other = direction === TO_SERVER ? TO_CLIENT : TO_SERVER
    for (let at = from; at + SETTING_BYTES <= to; at += SETTING_BYTES) {
      if (bytes.readUInt16BE(at) !== MAX_FRAME_SIZE) continue
      const size = bytes.readUInt32BE(at + 2)
      if (allowed[other] !== 0 && size > allowed[other]) allowed[other] = size
    }
  }

  #isTooLong(direction: Direction, length: number): boolean {
    const allowed = this.#frameBytesMax[direction]
    return allowed !== 0 && length > allowed
  }

  #beginData(data: DataFrame, direction: Direction, input: Cursor, timeUs: number): number {
    const { bytes, pos } = input
    const { flags, length, stream } = frame
    const padded = (flags & Flag.PADDED) !== 0
    const headerBytes = FRAME_HEADER_BYTES + (padded ? 1 : 0)
    if (padded && length === 0) return this.#bad(direction)
    if (input.length < headerBytes) return more(input, headerBytes)
    const padding = padded ? bytes[pos + FRAME_HEADER_BYTES] : 0
    const size = length - (padded ? 1 : 0)
    if (padding > size) return this.#bad(direction)
    data.begin(stream, size, padding, (flags & Flag.END_STREAM) !== 0)
    this.#streams.dataBegins(stream, direction, timeUs)
    if (this.#isTooLong(direction, length)) this.#streams.tooLong(stream)
    if (size === 0) this.#dataEnds(data, direction, timeUs)
    return headerBytes
  }

  #dataBytes(data: DataFrame, direction: Direction, input: Cursor): number {
    const { bytes, pos } = input
    const size = Math.min(input.length, data.left)
    const payload = data.take(size)
    const timeUs = input.timeUs(pos + size - 1)
    if (payload > 0) this.#streams.data(data.stream, direction, bytes, pos, pos + payload, timeUs)
    if (data.left === 0) this.#dataEnds(data, direction, timeUs)
    return size
  }

  #dataEnds(data: DataFrame, direction: Direction, timeUs: number): void {
    data.open = false
    if (data.ends) this.#streams.ended(data.stream, direction, timeUs)
  }

  #badBlock(direction: Direction): number {
    this.#failures += 1
    if (this.#blocks.decoded === 0 && (this.#isWhole || this.#failures >= FAILURES_MAX)) return WITHDRAW
    return this.#bad(direction)
  }

  #bad(direction: Direction): number {
    this.#data[direction].open = false
    this.#blocks.forget(direction)
    this.#streams.damaged(direction)
    this.#streams.missed()
    this.#notWhole(direction)
    return BAD
  }

  /** Not all of a direction was seen. */
  #notWhole(direction: Direction): void {
    if (direction === TO_SERVER) this.#prefaceDue = false
    this.#isWhole = false
    // What its sender allowed the other end may be among what was missed.
    this.#frameBytesMax[direction === TO_SERVER ? TO_CLIENT : TO_SERVER] = 0
  }

  resync(direction: Direction, input: Cursor): number {
    // A client that only begins: its table is whole.
    const preface = direction === TO_SERVER ? input.bytes.indexOf(PREFACE, input.pos) : -1
    if (preface >= 0 && preface + PREFACE.length <= input.end) {
      this.#prefaceDue = true
      this.#blocks.begin(direction)
      return preface - input.pos
    }
    const found = findFrame(input, this.#streams, this.#searches[direction])
    // The beginning of a preface is kept until the rest is here.
    if (found < 0 && direction === TO_SERVER) {
      input.searchedBytes = Math.min(input.searchedBytes, Math.max(0, input.length - PREFACE.length + 1))
    }
    this.#blocks.synced(direction, found)
    return found
  }

  gap(direction: Direction, sizeBytes: number, timeUs: number): boolean {
    // What was reset before is over.
    this.#streams.passed(direction, timeUs)
    const data = this.#data[direction]
    let missing = sizeBytes
    if (data.open && sizeBytes > 0) {
      const inside = Math.min(sizeBytes, data.left)
      const payload = data.take(inside)
      if (inside === sizeBytes || data.ends) this.#streams.dataLost(data.stream, direction, payload, timeUs)
      else this.#streams.dataPassed(data.stream, direction, payload, timeUs)
      if (data.left === 0) this.#dataEnds(data, direction, timeUs)
      missing -= inside
      if (missing === 0) return true
    }
    data.open = false
    this.#notWhole(direction)
    this.#blocks.lost(direction, missing)
    return false
  }

  end(): void {}

  close(reason: CloseReason): void {
    this.#streams.close(reason)
  }

  save(out: StateWriter): void {
    const texts = new TextWriter()
    out.u8(STATE_VERSION)
    out.bool(this.#prefaceDue)
    out.bool(this.#isWhole)
    out.u8(this.#failures)
    for (const direction of DIRECTIONS) {
      out.number(this.#frameBytesMax[direction])
      this.#data[direction].save(out)
    }
    this.#blocks.save(out, texts)
    this.#streams.save(out, texts)
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    const texts = new TextReader()
    this.#prefaceDue = state.bool()
    this.#isWhole = state.bool()
    this.#failures = state.u8()
    for (const direction of DIRECTIONS) {
      this.#frameBytesMax[direction] = state.number()
      this.#data[direction].restore(state)
    }
    this.#blocks.restore(state, texts)
    this.#streams.restore(state, texts)
    return state.finished
  }
}

/** RFC 9113 section 6.5.2. */
const SETTING_BYTES = 6
const MAX_FRAME_SIZE = 5

function more(input: Cursor, neededBytes: number): number {
  input.neededBytes = neededBytes
  return MORE
}
