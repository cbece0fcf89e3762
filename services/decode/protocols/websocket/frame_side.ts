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
import { FrameSearch } from './frame_search.js'

const header = new FrameHeader()
const MASK_BYTES = 4
/** So many are looked at where an end does what it should not. */
const FILLING_MAX = 16

/** How a frame stands that was found after a loss. */
const SURE = 0
const FOUND = 1
const DOUBTED = 2

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
  /** A frame found after a loss by its header alone is DOUBTED, and its message held, until the header behind it fits. */
  #doubt: typeof SURE | typeof FOUND | typeof DOUBTED = SURE
  #held: Message | null = null
  readonly #search = new FrameSearch()
  frames = 0

  constructor(direction: Direction, talk: Conversation) {
    this.#direction = direction
    this.#talk = talk
    this.#masked = direction === TO_SERVER
  }

  get #mayCompress(): boolean {
    return this.#talk.upgrade.deflate !== false
  }

  /** After a loss its place is not proven again. */
  get unsure(): boolean {
    return this.#lost || this.#doubt !== SURE
  }

  parse(input: Cursor): number {
    if (this.#left > 0) return this.#payload(input)
    const consumed = this.#frame(input)
    if (consumed === BAD) {
      this.#forget()
      this.#cut()
      this.#lost = true
      this.#search.atSegment = false
    }
    return consumed
  }

  #frame(input: Cursor): number {
    const { bytes, pos, end } = input
    const size = readHeader(bytes, pos, end, this.#mayCompress, header)
    if (size === HEADER_BAD) return BAD
    if (size === HEADER_MORE) {
      input.neededBytes = header.neededBytes
      return MORE
    }
    if (header.masked !== this.#masked) {
      if (this.frames > 0 || !this.#fillsWindow(input, header.masked)) return BAD
      this.#masked = header.masked
      this.#talk.note(this.#direction === TO_SERVER ? 'websocket.unmasked_client' : 'websocket.masked_server')
    }
    if (this.#doubt === DOUBTED) this.#confirm()
    else if (this.#doubt === FOUND) this.#doubt = DOUBTED
    if (header.opcode >= CLOSE) return this.#control(input, size)
    const startUs = input.timeUs(pos)
    if (!this.#begin(startUs)) return BAD
    if (this.#doubt === SURE) {
      this.frames += 1
      this.#talk.frame(startUs)
    }
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
    if (this.#doubt === SURE) this.#talk.message(this.#direction, message, message.gaps === 0)
    else this.#held = message
  }

  /** The doubtful frame was one. */
  #confirm(): void {
    this.#doubt = SURE
    this.frames += 1
    const message = this.#held ?? this.#message
    if (message !== null) this.#talk.frame(message.startUs)
    if (this.#held !== null) this.#talk.message(this.#direction, this.#held, this.#held.gaps === 0)
    this.#held = null
  }

  /** Or it was none. */
  #forget(): void {
    if (this.#doubt !== SURE) this.#message = null
    this.#doubt = SURE
    this.#held = null
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
      const mask = header.masked ? bytes.readUInt16BE(at - MASK_BYTES) : 0
      const code = has ? bytes.readUInt16BE(at) ^ mask : 0
      this.#talk.close(this.#direction, code, has ? header.payloadBytes - 2 : 0, timeUs)
    }
    return Math.min(total, end - pos)
  }

  /** The next place from which on only frames follow. */
  resync(input: Cursor): number {
    // Where its first frame was lost nothing has told whether this end masks.
    const mayBeOther = this.frames === 0 && this.#talk.upgrade.asked
    const found = this.#search.find(input, this.#masked, this.#mayCompress, mayBeOther)
    if (found >= 0 && this.#search.doubtful) this.#doubt = FOUND
    return found
  }

  /** Some clients do not mask. Of an answer that was seen all follows; otherwise frames must end where the bytes do. */
  #fillsWindow({ bytes, pos, end }: Cursor, masked: boolean): boolean {
    const { asked, deflate } = this.#talk.upgrade
    if (!asked) return false
    const inParse = deflate !== null && !this.#lost
    return inParse || framesInRow(bytes, pos, end, masked, this.#mayCompress, FILLING_MAX).exact
  }

  /** True if the gap lies within a payload: its length is known. */
  gap(sizeBytes: number, timeUs: number): boolean {
    this.#talk.gap()
    this.#search.atSegment = true
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
    this.#forget()
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
    // It ends where the direction does.
    if (this.#held !== null) this.#confirm()
    this.#forget()
    this.#cut()
    this.#left = 0
  }

  save(out: StateWriter): void {
    for (const message of [this.#message, this.#held]) saveMessage(out, message)
    for (const value of [this.#left, this.frames, this.#doubt]) out.number(value)
    for (const flag of [this.#lastFrame, this.#orphan, this.#lost, this.#masked, this.#search.atSegment]) out.bool(flag)
  }

  restore(state: StateReader): void {
    this.#message = restoredMessage(state)
    this.#held = restoredMessage(state)
    this.#left = state.number()
    this.frames = state.number()
    const doubt = state.number()
    this.#doubt = doubt === FOUND || doubt === DOUBTED ? doubt : SURE
    this.#lastFrame = state.bool()
    this.#orphan = state.bool()
    this.#lost = state.bool()
    this.#masked = state.bool()
    this.#search.atSegment = state.bool()
  }
}

function saveMessage(out: StateWriter, message: Message | null): void {
  out.bool(message !== null)
  if (message === null) return
  out.bool(message.text)
  out.bool(message.compressed)
  for (const value of [message.startUs, message.endUs, message.bytes, message.fragments, message.gaps])
    out.number(value)
}

function restoredMessage(state: StateReader): Message | null {
  if (!state.bool()) return null
  const [text, compressed] = [state.bool(), state.bool()]
  const message = new Message(text, compressed, state.number())
  message.endUs = state.number()
  message.bytes = state.number()
  message.fragments = state.number()
  message.gaps = state.number()
  return message
}
