/**
 * Handshake messages of one direction (RFC 8446 section 4): `type(1) length(3) body`, cut into records as the sender liked.
 * A message may go on in the next record, and a record may hold several.
 */
import type { StateReader, StateWriter } from '../../../core/state.js'
import { MESSAGE_HEADER_BYTES } from './handshake_type.js'
import { startsMessage } from './record.js'

/** Kept of one message: a ClientHello takes 2 KiB, and the first certificate of a chain is what is read of Certificate. */
export const MESSAGE_BYTES_MAX = 32 * 1024

export interface MessageSink {
  /** `bytes` from `from` to `to` is the body, or the beginning of it where `whole` is false. The bytes are not kept. */
  message(type: number, bytes: Buffer, from: number, to: number, whole: boolean): void
}

export class MessageBuffer {
  /** What is kept of the message under way, and the memory it stands in: doubled when full, so that tiny records stay cheap. */
  #kept: Buffer = NOTHING
  #memory: Buffer = NOTHING
  /** Bytes of the message under way, header included, that have passed. */
  #passed = 0
  /** There is a hole in it: what came before the hole is all that is kept. */
  #holed = false
  /** After a loss it is not known where a message begins. */
  #lost = false

  /** Nothing of a message waits for its rest. */
  get isEmpty(): boolean {
    return this.#passed === 0
  }

  /** The next plaintext fragment: `bytes` from `from` to `to`. */
  push(bytes: Buffer, from: number, to: number, sink: MessageSink): void {
    let at = from
    if (this.#lost) {
      if (to - at < MESSAGE_HEADER_BYTES || !startsMessage(bytes, at)) return
      this.#lost = false
    }
    while (at < to) {
      if (this.#passed === 0 && to - at >= MESSAGE_HEADER_BYTES) {
        const size = MESSAGE_HEADER_BYTES + bytes.readUIntBE(at + 1, 3)
        if (size <= to - at) {
          sink.message(bytes[at], bytes, at + MESSAGE_HEADER_BYTES, at + size, true)
          at += size
          continue
        }
      }
      at = this.#gather(bytes, at, to, sink)
    }
  }

  #gather(bytes: Buffer, from: number, to: number, sink: MessageSink): number {
    const headerMissing = Math.max(0, MESSAGE_HEADER_BYTES - this.#passed)
    const taken = Math.min(to, from + (headerMissing > 0 ? headerMissing : this.#left))
    this.#keep(bytes, from, taken)
    this.#passed += taken - from
    if (this.#passed >= MESSAGE_HEADER_BYTES && this.#left <= 0) this.#deliver(sink)
    return taken
  }

  /** Bytes of the message under way that are still to come; its header is here. */
  get #left(): number {
    return MESSAGE_HEADER_BYTES + this.#kept.readUIntBE(1, 3) - this.#passed
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    if (this.#holed) return
    const room = MESSAGE_BYTES_MAX - this.#kept.length
    if (room <= 0) return
    const here = this.#kept.length
    const added = Math.min(room, to - from)
    if (here + added > this.#memory.length) {
      const memory = Buffer.allocUnsafe(Math.min(MESSAGE_BYTES_MAX, Math.max(2 * here, here + added)))
      this.#kept.copy(memory)
      this.#memory = memory
    }
    bytes.copy(this.#memory, here, from, from + added)
    this.#kept = this.#memory.subarray(0, here + added)
  }

  #deliver(sink: MessageSink): void {
    const kept = this.#kept
    const whole = !this.#holed && kept.length === this.#passed
    this.#reset()
    if (kept.length >= MESSAGE_HEADER_BYTES) sink.message(kept[0], kept, MESSAGE_HEADER_BYTES, kept.length, whole)
  }

  #reset(): void {
    this.#kept = NOTHING
    this.#memory = NOTHING
    this.#passed = 0
    this.#holed = false
  }

  /** `size` bytes of handshake messages are missing here. */
  hole(size: number, sink: MessageSink): void {
    if (this.#passed >= MESSAGE_HEADER_BYTES && size <= this.#left) {
      this.#holed = true
      this.#passed += size
      if (this.#left === 0) this.#deliver(sink)
    } else this.lose(sink)
  }

  /** Nothing is known of what follows: the message under way is handed over as far as it came. */
  lose(sink: MessageSink): void {
    if (this.#passed > 0) {
      this.#holed = true
      this.#deliver(sink)
    }
    this.#lost = true
  }

  save(out: StateWriter): void {
    out.bytes(this.#kept)
    out.number(this.#passed)
    out.bool(this.#holed)
    out.bool(this.#lost)
  }

  restore(state: StateReader): void {
    this.#kept = state.bytes()
    this.#memory = this.#kept
    this.#passed = state.number()
    this.#holed = state.bool()
    this.#lost = state.bool()
    if (this.#passed >= MESSAGE_HEADER_BYTES && this.#kept.length < MESSAGE_HEADER_BYTES) state.failed = true
  }
}

const NOTHING: Buffer = Buffer.alloc(0)
