/**
 * DTLS (RFC 6347, RFC 9147): the same handshake over datagrams that get lost, doubled and out of order. One flow per
 * connection, from what is in clear. STUN and RTP may share the port (RFC 7983): their datagrams are passed over.
 */
import type { Cursor } from '../../../core/cursor.js'
import { type CloseReason, type Decoder, type ExchangeSink, WITHDRAW } from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import {
  DATAGRAM_HEADER_BYTES,
  datagramFragmentBytes,
  isClear,
  isSealed,
  isUnifiedHeader,
  numberAt,
} from './datagram_record.js'
import { Handshake } from './handshake.js'
import { MessagePieces, type TimedMessageSink } from './message_pieces.js'
import { ALERT, FRAGMENT_BYTES_MAX, HANDSHAKE } from './record.js'

const STATE_VERSION = 1
/** How long an encrypted record is says nothing here: an empty acknowledgement is as short as an alert. */
const ANY_SIZE = FRAGMENT_BYTES_MAX

/** Records in clear of one handshake, retransmissions included, whose numbers are remembered. */
const NUMBERS_MAX = 64

class Side implements TimedMessageSink {
  readonly #direction: Direction
  readonly #handshake: Handshake
  readonly messages = new MessagePieces()
  /** Numbers of the records in clear. A hole = a datagram that was not seen, of which nobody else tells. */
  readonly #numbers = new Set<number>()
  #highest = -1
  /** Something was sent that only the other end can read. */
  sealed = false
  #firstSealedMissing = false
  #startUs = 0
  #endUs = 0

  constructor(direction: Direction, handshake: Handshake) {
    this.#direction = direction
    this.#handshake = handshake
  }

  time(startUs: number, endUs: number): void {
    this.#startUs = startUs
    this.#endUs = endUs
  }

  /** A record in clear. */
  seen(number: number): void {
    if (number >= NUMBERS_MAX) return
    this.#numbers.add(number)
    this.#highest = Math.max(this.#highest, number)
  }

  /** The first encrypted record; its number is not known (-1) where the header is encrypted too. */
  seal(number: number): void {
    this.sealed = true
    this.#firstSealedMissing = number > 0
  }

  get hasHoles(): boolean {
    return this.#firstSealedMissing || this.#numbers.size <= this.#highest || this.messages.hasHoles
  }

  message(type: number, bytes: Buffer, from: number, to: number, whole: boolean): void {
    this.#handshake.message(this.#direction, type, bytes, from, to, whole, this.#startUs, this.#endUs)
  }

  save(out: StateWriter): void {
    this.messages.save(out)
    out.number(this.#numbers.size)
    for (const number of this.#numbers) out.number(number)
    out.bool(this.sealed)
    out.bool(this.#firstSealedMissing)
  }

  restore(state: StateReader): void {
    this.messages.restore(state)
    for (let left = Math.min(state.number(), NUMBERS_MAX); left > 0; left--) this.seen(state.number())
    this.sealed = state.bool()
    this.#firstSealedMissing = state.bool()
  }
}

export class DtlsDecoder implements Decoder {
  readonly #handshake: Handshake
  readonly #sides: readonly [Side, Side]
  #begun = false

  constructor(out: ExchangeSink) {
    this.#handshake = new Handshake(out)
    this.#sides = [new Side(TO_SERVER, this.#handshake), new Side(TO_CLIENT, this.#handshake)]
  }

  parse(direction: Direction, input: Cursor): number {
    const { bytes, pos, end } = input
    const timeUs = input.timeUs(pos)
    let at = pos
    while (at < end) {
      const size = this.#record(direction, bytes, at, end, timeUs)
      if (size < 0) break
      at += size
    }
    if (at === pos && !this.#begun) return WITHDRAW
    this.#begun = true
    return end - pos
  }

  /** Bytes of the record at `at`; -1 = what is there is none. */
  #record(direction: Direction, bytes: Buffer, at: number, end: number, timeUs: number): number {
    if (isUnifiedHeader(bytes[at])) {
      if (!this.#handshake.begun) return -1
      this.#secured(direction, -1, timeUs)
      return end - at
    }
    const size = datagramFragmentBytes(bytes, at, end)
    if (size < 0) return -1
    const from = at + DATAGRAM_HEADER_BYTES
    if (isSealed(bytes, at)) this.#secured(direction, numberAt(bytes, at), timeUs)
    else if (isClear(bytes, at) && !this.#handshake.finished) {
      const side = this.#sides[direction]
      side.seen(numberAt(bytes, at))
      if (bytes[at] === HANDSHAKE) {
        side.messages.push(bytes, from, from + size, timeUs, side)
      } else if (bytes[at] === ALERT && size === 2) {
        this.#handshake.alert(direction, bytes[from], bytes[from + 1], timeUs)
      }
    }
    return DATAGRAM_HEADER_BYTES + size
  }

  #secured(direction: Direction, number: number, timeUs: number): void {
    const side = this.#sides[direction]
    if (this.#handshake.finished || side.sealed) return
    side.seal(number)
    if (this.#sides.every(({ sealed }) => sealed)) this.#tellHoles()
    this.#handshake.secured(direction, ANY_SIZE, timeUs)
  }

  #tellHoles(): void {
    for (const direction of [TO_SERVER, TO_CLIENT] as const) {
      if (this.#sides[direction].hasHoles) this.#handshake.gap(direction)
    }
  }

  /** Every datagram begins anew. */
  resync(): number {
    return 0
  }

  gap(direction: Direction): boolean {
    this.#begun = true
    this.#handshake.gap(direction)
    return true
  }

  end(): void {}

  close(reason: CloseReason, timeUs: number): void {
    for (const side of this.#sides) side.messages.lose(timeUs, side)
    this.#tellHoles()
    this.#handshake.close(reason)
  }

  save(out: StateWriter): void {
    out.u8(STATE_VERSION)
    out.bool(this.#begun)
    this.#handshake.save(out)
    for (const side of this.#sides) side.save(out)
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    this.#begun = state.bool()
    this.#handshake.restore(state)
    for (const side of this.#sides) side.restore(state)
    return state.finished
  }
}
