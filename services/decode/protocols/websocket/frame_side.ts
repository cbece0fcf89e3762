/** Frames of one direction: headers are read, payloads counted and passed over, messages put together of their fragments. */
import type { Cursor } from '../../../core/cursor.js'
import { BAD, MORE } from '../../../core/protocol.js'
import { type Direction, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { type Conversation, Message } from './conversation.js'
import {
  CLOSE,
  CONTINUATION,
  FrameHeader,
  framesInRow,
  HEADER_BAD,
  HEADER_MORE,
  PING,
  PONG,
  readHeader,
  TEXT,
} from './frame.js'

const header = new FrameHeader()
/** Frames in a row that are believed where nothing is known of what comes before. */
const MASKED_MIN = 2
const PLAIN_MIN = 3

export class FrameSide {
  readonly #direction: Direction
  readonly #talk: Conversation
  /** Whether frames of this end are masked: a client's must be, and some are not. The first frame behind the upgrade tells. */
  #masked: boolean
  /** The message under way. */
  #message: Message | null = null
  /** Payload bytes of the frame under way that are still to come, and whether it ends its message. */
  #left = 0
  #lastFrame = false
  /** The frame under way belongs to a message whose beginning was lost: passed over. */
  #orphan = false
  /** Frames before were lost: a continuation may belong to a message that was never seen. */
  #lost = false
  frames = 0

  constructor(direction: Direction, talk: Conversation) {
    this.#direction = direction
    this.#talk = talk
    this.#masked = direction === TO_SERVER
  }

  get #mayCompress(): boolean {
    return this.#talk.upgrade.deflate !== false
  }

  parse(input: Cursor): number {
    if (this.#left > 0) return this.#payload(input)
    const { bytes, pos, end } = input
    const size = readHeader(bytes, pos, end, this.#mayCompress, header)
    if (size === HEADER_BAD) return BAD
    if (size === HEADER_MORE) {
      input.neededBytes = header.neededBytes
      return MORE
    }
    if (header.masked !== this.#masked) {
      if (this.frames > 0 || this.#lost || this.#talk.upgrade.deflate === null) return BAD
      this.#masked = header.masked
      this.#talk.note(this.#direction === TO_SERVER ? 'websocket.unmasked_client' : 'websocket.masked_server')
    }
    if (header.opcode >= CLOSE) return this.#control(input, size)
    const startUs = input.timeUs(pos)
    if (!this.#begin(startUs)) return BAD
    this.frames += 1
    this.#talk.frame(startUs)
    this.#left = header.payloadBytes
    this.#lastFrame = header.fin
    if (this.#message !== null) {
      this.#message.fragments += 1
      this.#message.endUs = input.timeUs(pos + size - 1)
    }
    if (this.#left === 0) this.#frameDone()
    return size
  }

  /** False where fragments do not fit together (RFC 6455 section 5.4). */
  #begin(startUs: number): boolean {
    this.#orphan = false
    if (header.opcode === CONTINUATION) {
      if (this.#message !== null) return true
      this.#orphan = this.#lost
      return this.#lost
    }
    if (this.#message !== null) {
      if (!this.#lost) return false
      this.#cut()
    }
    this.#lost = false
    this.#message = new Message(header.opcode === TEXT, header.compressed, startUs)
    return true
  }

  #payload(input: Cursor): number {
    const passed = Math.min(this.#left, input.length)
    this.#left -= passed
    if (this.#message !== null) {
      this.#message.bytes += passed
      this.#message.endUs = input.timeUs(input.pos + passed - 1)
    }
    if (this.#left === 0) this.#frameDone()
    return passed
  }

  #frameDone(): void {
    if (!this.#lastFrame) return
    if (this.#orphan) {
      this.#lost = false
      return
    }
    const message = this.#message
    if (message === null) return
    this.#message = null
    this.#talk.message(this.#direction, message, message.gaps === 0)
  }

  /** Control frames are short and may stand between the fragments of a message. */
  #control(input: Cursor, size: number): number {
    const { bytes, pos, end } = input
    const total = size + header.payloadBytes
    if (end - pos < total && !input.ended) {
      input.neededBytes = total
      return MORE
    }
    const timeUs = input.timeUs(Math.min(end, pos + total) - 1)
    this.frames += 1
    this.#talk.frame(input.timeUs(pos))
    if (header.opcode === PING || header.opcode === PONG) this.#talk.control(this.#direction, header.opcode === PING)
    else if (end - pos >= total) {
      const at = pos + size
      const has = header.payloadBytes >= 2
      const mask = header.masked ? header.mask.readUInt16BE(0) : 0
      const code = has ? bytes.readUInt16BE(at) ^ mask : 0
      this.#talk.close(this.#direction, code, has ? header.payloadBytes - 2 : 0, timeUs)
    }
    return Math.min(total, end - pos)
  }

  /** The next place from which on only frames follow. */
  resync(input: Cursor): number {
    const { bytes, pos, end } = input
    let mark = 0
    for (let at = pos; at < end; at++) {
      while (mark < input.markCount && input.markEnds[mark] < at) mark += 1
      // Messages begin where segments begin, more often than not.
      const atSegment = at === pos || input.markEnds[mark] === at
      const { count, exact } = framesInRow(bytes, at, end, this.#masked, this.#mayCompress)
      if (count === 0) continue
      if (exact && (atSegment || count >= (this.#masked ? MASKED_MIN : PLAIN_MIN))) return at - pos
      if (count > (this.#masked ? MASKED_MIN : PLAIN_MIN)) return at - pos
    }
    return -1
  }

  /** True if the gap lies within a payload: its length is known. */
  gap(sizeBytes: number, timeUs: number): boolean {
    this.#talk.gap()
    if (sizeBytes > 0 && sizeBytes <= this.#left) {
      this.#left -= sizeBytes
      const message = this.#message
      if (message !== null) {
        message.bytes += sizeBytes
        message.gaps += 1
        message.endUs = timeUs
      }
      if (this.#left === 0) this.#frameDone()
      return true
    }
    this.#cut()
    this.#left = 0
    this.#lost = true
    return false
  }

  /** The message under way will not be finished. */
  #cut(): void {
    const message = this.#message
    this.#message = null
    if (message === null) return
    this.#talk.message(this.#direction, message, false)
  }

  end(): void {
    this.#cut()
    this.#left = 0
  }

  save(out: StateWriter): void {
    const message = this.#message
    out.bool(message !== null)
    if (message !== null) {
      out.bool(message.text)
      out.bool(message.compressed)
      for (const value of [message.startUs, message.endUs, message.bytes, message.fragments, message.gaps])
        out.number(value)
    }
    out.number(this.#left)
    out.number(this.frames)
    for (const flag of [this.#lastFrame, this.#orphan, this.#lost, this.#masked]) out.bool(flag)
  }

  restore(state: StateReader): void {
    if (state.bool()) {
      const [text, compressed] = [state.bool(), state.bool()]
      const message = new Message(text, compressed, state.number())
      message.endUs = state.number()
      message.bytes = state.number()
      message.fragments = state.number()
      message.gaps = state.number()
      this.#message = message
    }
    this.#left = state.number()
    this.frames = state.number()
    this.#lastFrame = state.bool()
    this.#orphan = state.bool()
    this.#lost = state.bool()
    this.#masked = state.bool()
  }
}
