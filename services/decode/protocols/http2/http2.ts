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
import { HTTP_PRIVACY } from '../http_semantics/privacy.js'
import { DataFrame } from './data_frame.js'
import { Flag, FRAME_HEADER_BYTES, FrameHeader, FrameType, isPossible, PREFACE } from './frames.js'
import { HeaderBlocks } from './header_blocks.js'
import { GRPC_PRIVACY } from './privacy.js'
import { findFrame, probeHttp2, speaker } from './probe.js'
import { Streams } from './streams.js'

export const http2: Protocol = {
  name: 'http2',
  transports: ['tcp', 'unix'],
  privacy: { http2: HTTP_PRIVACY, grpc: GRPC_PRIVACY },
  probe: (head: Cursor): Verdict => probeHttp2(head),
  turned: (head: Cursor, direction: Direction) => speaker(head) === (direction === TO_SERVER ? -1 : 1),
  open: (out: ExchangeSink, begin: Begin): Decoder => new Http2Decoder(out, begin),
}

/** Frames other than DATA are read in one piece; longer ones are passed over, and what they would have said is lost. */
const WHOLE_FRAME_BYTES_MAX = 64 * 1024
const STATE_VERSION = 1

const frame = new FrameHeader()

class Http2Decoder implements Decoder {
  readonly #streams: Streams
  readonly #blocks: HeaderBlocks
  readonly #data: readonly [DataFrame, DataFrame] = [new DataFrame(), new DataFrame()]
  /** The client has not begun yet. */
  #prefaceDue = true

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
    }
    const { bytes, pos } = input
    const here = input.length
    if (here < FRAME_HEADER_BYTES) return more(input, FRAME_HEADER_BYTES)
    frame.read(bytes, pos)
    if (!isPossible(frame)) return this.#lost(direction, input.timeUs(pos))
    this.#streams.passed(direction, input.timeUs(pos))
    if (frame.type === FrameType.DATA) return this.#beginData(data, direction, input)
    const size = FRAME_HEADER_BYTES + frame.length
    if (frame.length > WHOLE_FRAME_BYTES_MAX) {
      this.#blocks.tooLong(direction, frame, input.timeUs(pos))
      data.begin(0, frame.length, 0, false)
      return FRAME_HEADER_BYTES
    }
    if (here < size) return more(input, size)
    return this.#frame(direction, input, size)
  }

  /** Bytes consumed; MORE; 0 also where the client begins otherwise, with `#prefaceDue` false then. */
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

  #frame(direction: Direction, input: Cursor, size: number): number {
    const { bytes, pos } = input
    // What is left of a preface that is not whole is no frame.
    if (direction === TO_SERVER && this.#prefaceDue) return more(input, PREFACE.length)
    const from = pos + FRAME_HEADER_BYTES
    const to = pos + size
    const timeUs = input.timeUs(pos)
    const endUs = input.timeUs(to - 1)
    switch (frame.type) {
      case FrameType.HEADERS:
      case FrameType.PUSH_PROMISE:
      case FrameType.CONTINUATION:
        if (!this.#blocks.frame(direction, frame, bytes, from, to, timeUs, endUs)) {
          return this.#blocks.decoded === 0 ? WITHDRAW : this.#lost(direction, timeUs)
        }
        break
      case FrameType.RST_STREAM:
        this.#streams.reset(direction, frame.stream, bytes.readUInt32BE(from), timeUs)
        break
      case FrameType.GOAWAY:
        this.#streams.goAway(direction, bytes.readUInt32BE(from) & 0x7fff_ffff, timeUs)
        break
      default:
    }
    return size
  }

  #beginData(data: DataFrame, direction: Direction, input: Cursor): number {
    const { bytes, pos } = input
    const padded = (frame.flags & Flag.PADDED) !== 0
    const headerBytes = FRAME_HEADER_BYTES + (padded ? 1 : 0)
    if (padded && frame.length === 0) return this.#lost(direction, input.timeUs(pos))
    if (input.length < headerBytes) return more(input, headerBytes)
    const padding = padded ? bytes[pos + FRAME_HEADER_BYTES] : 0
    const length = frame.length - (padded ? 1 : 0)
    if (padding > length) return this.#lost(direction, input.timeUs(pos))
    const ends = (frame.flags & Flag.END_STREAM) !== 0
    data.begin(frame.stream, length, padding, ends)
    this.#streams.dataBegins(frame.stream, direction, input.timeUs(pos))
    if (length === 0) this.#dataEnds(data, direction, input.timeUs(pos))
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

  #lost(direction: Direction, timeUs: number): number {
    this.#forget(direction, timeUs)
    return BAD
  }

  #forget(direction: Direction, timeUs: number): void {
    this.#data[direction].open = false
    this.#blocks.forget(direction)
    if (direction === TO_SERVER) this.#prefaceDue = false
    this.#streams.lost(direction, timeUs)
  }

  resync(direction: Direction, input: Cursor): number {
    // A client that only begins: its table is whole.
    const preface = direction === TO_SERVER ? input.bytes.indexOf(PREFACE, input.pos) : -1
    if (preface >= 0 && preface + PREFACE.length <= input.end) {
      this.#prefaceDue = true
      this.#blocks.begin(direction)
      return preface - input.pos
    }
    const found = findFrame(input, (stream) => this.#streams.has(stream))
    // The beginning of a preface is kept until the rest is here.
    if (found < 0 && direction === TO_SERVER) {
      input.searchedBytes = Math.min(input.searchedBytes, Math.max(0, input.length - PREFACE.length + 1))
    }
    return found
  }

  gap(direction: Direction, sizeBytes: number, timeUs: number): boolean {
    const data = this.#data[direction]
    if (data.open && sizeBytes > 0 && sizeBytes <= data.left) {
      const payload = data.take(sizeBytes)
      this.#streams.dataLost(data.stream, direction, payload, timeUs)
      if (data.left === 0) this.#dataEnds(data, direction, timeUs)
      return true
    }
    this.#forget(direction, timeUs)
    return false
  }

  end(): void {}

  close(reason: CloseReason): void {
    this.#streams.close(reason)
  }

  save(out: StateWriter): void {
    out.u8(STATE_VERSION)
    out.bool(this.#prefaceDue)
    for (const direction of [TO_SERVER, TO_CLIENT] as const) this.#data[direction].save(out)
    this.#blocks.save(out)
    this.#streams.save(out)
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    this.#prefaceDue = state.bool()
    for (const direction of [TO_SERVER, TO_CLIENT] as const) this.#data[direction].restore(state)
    this.#blocks.restore(state)
    this.#streams.restore(state)
    return state.finished
  }
}

function more(input: Cursor, neededBytes: number): number {
  input.neededBytes = neededBytes
  return MORE
}
