/**
 * Handshake messages of one direction of DTLS (RFC 6347 section 4.2): each is numbered and cut into pieces, which may come
 * in any order, overlap, and come again. A message is handed over once, when all of it is here.
 */
import type { StateReader, StateWriter } from '../../../core/state.js'
import { PIECE_HEADER_BYTES } from './datagram_record.js'
import { MESSAGE_BYTES_MAX, type MessageSink } from './message_buffer.js'

/** Messages under way at once; a flight has up to six. */
const UNDER_WAY_MAX = 8
const UNDER_WAY_BYTES_MAX = 2 * MESSAGE_BYTES_MAX
/** Handshakes number their messages from 0 and take a dozen. */
const NUMBER_MAX = 63
/** Separate pieces of one message, in bytes from and to. */
const PIECES_MAX = 64

/** What is here of one message. */
class Partial {
  readonly type: number
  readonly size: number
  readonly bytes: Buffer
  readonly startUs: number
  /** Sorted, disjoint: from, to, from, to ... */
  here: number[] = []

  constructor(type: number, size: number, bytes: Buffer, startUs: number) {
    this.type = type
    this.size = size
    this.bytes = bytes
    this.startUs = startUs
  }

  add(from: number, to: number): void {
    const { here } = this
    let first = 0
    while (first < here.length && here[first + 1] < from) first += 2
    let last = first
    let [low, high] = [from, to]
    while (last < here.length && here[last] <= to) {
      low = Math.min(low, here[last])
      high = Math.max(high, here[last + 1])
      last += 2
    }
    if (here.length - (last - first) < 2 * PIECES_MAX) here.splice(first, last - first, low, high)
  }

  /** Bytes without a hole from the beginning on. */
  get beginning(): number {
    return this.here[0] === 0 ? this.here[1] : 0
  }
}

export interface TimedMessageSink extends MessageSink {
  /** Of the message that is handed over next: when its first piece came, and its last. */
  time(startUs: number, endUs: number): void
}

export class MessagePieces {
  readonly #underWay = new Map<number, Partial>()
  readonly #handedOver = new Set<number>()

  /** A record's plaintext: `bytes` from `from` to `to` holds one piece or more. False if it holds something else. */
  push(bytes: Buffer, from: number, to: number, timeUs: number, sink: TimedMessageSink): boolean {
    let at = from
    while (to - at >= PIECE_HEADER_BYTES) {
      const size = bytes.readUIntBE(at + 1, 3)
      const offset = bytes.readUIntBE(at + 6, 3)
      const body = at + PIECE_HEADER_BYTES
      const next = body + bytes.readUIntBE(at + 9, 3)
      if (next > to || offset + (next - body) > size) return false
      this.#piece(bytes, at, size, offset, body, next, timeUs, sink)
      at = next
    }
    return at === to
  }

  #piece(
    bytes: Buffer,
    at: number,
    size: number,
    offset: number,
    from: number,
    to: number,
    timeUs: number,
    sink: TimedMessageSink,
  ): void {
    const number = bytes.readUInt16BE(at + 4)
    if (number > NUMBER_MAX || this.#handedOver.has(number)) return
    const known = this.#underWay.get(number)
    if (known === undefined && to - from === size) {
      this.#handedOver.add(number)
      sink.time(timeUs, timeUs)
      return sink.message(bytes[at], bytes, from, to, true)
    }
    const partial = known ?? this.#begin(number, bytes[at], size, timeUs)
    if (partial === null || partial.size !== size || partial.type !== bytes[at]) return
    partial.add(offset, offset + to - from)
    bytes.copy(partial.bytes, offset, from, to)
    if (partial.beginning === size) this.#handOver(number, partial, timeUs, sink)
  }

  #begin(number: number, type: number, size: number, timeUs: number): Partial | null {
    const kept = Math.min(size, MESSAGE_BYTES_MAX)
    let held = kept
    for (const { bytes } of this.#underWay.values()) held += bytes.length
    if (this.#underWay.size >= UNDER_WAY_MAX || held > UNDER_WAY_BYTES_MAX) return null
    const partial = new Partial(type, size, Buffer.alloc(kept), timeUs)
    this.#underWay.set(number, partial)
    return partial
  }

  #handOver(number: number, partial: Partial, timeUs: number, sink: TimedMessageSink): void {
    this.#underWay.delete(number)
    this.#handedOver.add(number)
    const kept = Math.min(partial.beginning, partial.bytes.length)
    sink.time(partial.startUs, timeUs)
    sink.message(partial.type, partial.bytes, 0, kept, kept === partial.size)
  }

  /** A message is missing before another, or a piece of one. */
  get hasHoles(): boolean {
    let next = 0
    while (this.#handedOver.has(next)) next += 1
    return this.#underWay.size > 0 || this.#handedOver.size > next
  }

  /** What is missing does not come: what is here of the messages under way is handed over. */
  lose(timeUs: number, sink: TimedMessageSink): void {
    for (const [number, partial] of [...this.#underWay].sort(([a], [b]) => a - b)) {
      this.#handOver(number, partial, timeUs, sink)
    }
  }

  save(out: StateWriter): void {
    out.number(this.#underWay.size)
    for (const [number, { type, size, bytes, startUs, here }] of this.#underWay) {
      for (const value of [number, type, size, startUs, here.length, ...here]) out.number(value)
      out.bytes(bytes)
    }
    out.number(this.#handedOver.size)
    for (const number of this.#handedOver) out.number(number)
  }

  restore(state: StateReader): void {
    for (let left = Math.min(state.number(), UNDER_WAY_MAX); left > 0; left--) {
      const number = state.number()
      const [type, size, startUs] = [state.number(), state.number(), state.number()]
      const here = Array.from({ length: Math.min(state.number(), 2 * PIECES_MAX) }, () => state.number())
      const partial = new Partial(type, size, Buffer.from(state.bytes()), startUs)
      partial.here = here
      if (partial.bytes.length !== Math.min(size, MESSAGE_BYTES_MAX)) state.failed = true
      this.#underWay.set(number, partial)
    }
    for (let left = Math.min(state.number(), NUMBER_MAX + 1); left > 0; left--) this.#handedOver.add(state.number())
  }
}
