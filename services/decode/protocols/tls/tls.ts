/**
 * TLS of connections that stay encrypted: one flow per handshake, from what is in clear of it (RFC 8446, RFC 5246, RFC 6101
 * for SSL 3.0, and hellos in the form of SSL 2.0). Records behind the handshake are passed over by length. Over datagrams it
 * is DTLS, with a decoder of its own.
 *
 *     connection = record*            record = type(1) version(2) length(2) fragment
 *     fragments of type handshake, one behind the other = message*
 *
 * The handshake is over once each end has sent a record that only the other end can read. Of TLS 1.3 that leaves the two
 * hellos to be read; before it certificates are in clear too.
 */
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
import { beginsDatagramHello, looksLikeDatagram, probeDatagram, saysDatagramServer } from './datagram_probe.js'
import { DtlsDecoder } from './dtls.js'
import { Handshake } from './handshake.js'
import { CLIENT_HELLO, MESSAGE_HEADER_BYTES, SERVER_HELLO } from './handshake_type.js'
import { MessageBuffer, type MessageSink } from './message_buffer.js'
import { TLS_PRIVACY } from './privacy.js'
import { beginsClientHello, probeRecords, saysServer, tellsEnd } from './probe.js'
import * as record from './record.js'
import * as ssl2 from './ssl2.js'

export const tls: Protocol = {
  name: 'tls',
  transports: ['tcp', 'unix', 'udp'],
  encrypted: true,
  privacy: { tls: TLS_PRIVACY },
  probe: (head: Cursor): Verdict => (looksLikeDatagram(head) ? probeDatagram(head) : probeRecords(head)),
  turned(head: Cursor, direction: Direction): boolean {
    if (looksLikeDatagram(head)) return saysDatagramServer(head) === (direction === TO_SERVER)
    return tellsEnd(head) && saysServer(head) === (direction === TO_SERVER)
  },
  begins: (segment) => beginsClientHello(segment) || beginsDatagramHello(segment),
  open: (out: ExchangeSink, { transport }: Begin): Decoder =>
    transport === 'udp' ? new DtlsDecoder(out) : new TlsDecoder(out),
}

const STATE_VERSION = 1
/** So many records in a row are not found by chance where none are. */
const RECORDS_MIN = 4

/** What is known of one direction. */
class Side implements MessageSink {
  readonly #direction: Direction
  readonly #handshake: Handshake
  readonly messages = new MessageBuffer()
  /** Bytes of the record under way that are passed over. */
  skip = 0
  /** They belong to a handshake message in clear, of which they are missing. */
  skipsMessage = false
  cipherChanged = false
  secured = false
  /** SSL 2.0: what follows has another form, and is not read. */
  opaque = false
  begun = false
  startUs = 0
  endUs = 0

  constructor(direction: Direction, handshake: Handshake) {
    this.#direction = direction
    this.#handshake = handshake
  }

  message(type: number, bytes: Buffer, from: number, to: number, whole: boolean): void {
    this.#handshake.message(this.#direction, type, bytes, from, to, whole, this.startUs, this.endUs)
  }
}

class TlsDecoder implements Decoder {
  readonly #handshake: Handshake
  readonly #sides: readonly [Side, Side]
  #records = 0

  constructor(out: ExchangeSink) {
    this.#handshake = new Handshake(out)
    this.#sides = [new Side(TO_SERVER, this.#handshake), new Side(TO_CLIENT, this.#handshake)]
  }

  parse(direction: Direction, input: Cursor): number {
    const side = this.#sides[direction]
    if (side.opaque) return input.length
    if (side.skip > 0) {
      const passed = Math.min(side.skip, input.length)
      side.skip -= passed
      return passed
    }
    const { bytes, pos, end } = input
    if (!side.begun && (bytes[pos] & 0x80) !== 0) return this.#oldHello(side, input)
    if (end - pos < record.RECORD_HEADER_BYTES) {
      input.neededBytes = record.RECORD_HEADER_BYTES
      return MORE
    }
    const size = record.fragmentBytes(bytes, pos)
    if (size < 0) return this.#records < RECORDS_MIN && !this.#handshake.begun ? WITHDRAW : BAD
    this.#records += 1
    side.begun = true
    const type = bytes[pos]
    const isOpen = type !== record.APPLICATION_DATA && !this.#handshake.finished && !side.secured
    if (isOpen && (type !== record.CHANGE_CIPHER_SPEC || size === 1))
      return this.#openRecord(side, direction, input, size)
    if (!side.secured && type === record.APPLICATION_DATA) this.#secure(side, direction, size, input.timeUs(pos))
    side.skip = size
    return record.RECORD_HEADER_BYTES
  }

  /** A record that may be in clear: read when all of it is here, or all that will come. */
  #openRecord(side: Side, direction: Direction, input: Cursor, size: number): number {
    const { bytes, pos, end } = input
    const total = record.RECORD_HEADER_BYTES + size
    if (end - pos < total && !input.ended) {
      input.neededBytes = total
      return MORE
    }
    const from = pos + record.RECORD_HEADER_BYTES
    const to = Math.min(end, pos + total)
    const startUs = input.timeUs(pos)
    const endUs = input.timeUs(to - 1)
    side.skip = pos + total - to
    switch (bytes[pos]) {
      case record.HANDSHAKE:
        if (side.cipherChanged && !isHelloAlone(bytes, from, size)) {
          // Less than a message header is not enough to tell Finished from a hello.
          if (to - from >= MESSAGE_HEADER_BYTES) this.#secure(side, direction, size, endUs)
        } else {
          if (side.messages.isEmpty) side.startUs = startUs
          side.endUs = endUs
          side.messages.push(bytes, from, to, side)
          side.skipsMessage = side.skip > 0
        }
        break
      case record.ALERT:
        // With a tag or a checksum an alert is longer than its two bytes.
        if (size !== 2) {
          side.secured = true
          this.#handshake.hiddenAlert(direction, endUs)
        } else if (to - from === 2) this.#handshake.alert(direction, bytes[from], bytes[from + 1], endUs)
        break
      case record.CHANGE_CIPHER_SPEC:
        side.cipherChanged = true
        break
      case record.HEARTBEAT:
        // A request that asks for more than it brings (CVE-2014-0160).
        if (to - from >= 3 && bytes[from] === 1 && bytes.readUInt16BE(from + 1) > size - 3) this.#handshake.overread()
        this.#handshake.heartbeat(direction, endUs)
    }
    return to - pos
  }

  #secure(side: Side, direction: Direction, size: number, timeUs: number): void {
    side.secured = true
    this.#handshake.secured(direction, size, timeUs)
  }

  #oldHello(side: Side, input: Cursor): number {
    const { bytes, pos, end } = input
    if (end - pos < ssl2.OLD_HEADER_BYTES) {
      input.neededBytes = ssl2.OLD_HEADER_BYTES
      return input.ended ? BAD : MORE
    }
    const size = ssl2.oldHelloBytes(bytes, pos)
    const byClient = ssl2.isOldClientHello(bytes, pos, end)
    if (!byClient && !ssl2.isOldServerHello(bytes, pos)) return BAD
    if (end - pos < size && !input.ended) {
      input.neededBytes = size
      return MORE
    }
    const to = Math.min(end, pos + size)
    const [startUs, endUs] = [input.timeUs(pos), input.timeUs(to - 1)]
    if (byClient) {
      const version = ssl2.oldClientVersion(bytes, pos)
      this.#handshake.oldClientHello(version, size, startUs, endUs)
      if (version === 2 || this.#handshake.isOld) side.opaque = true
    } else {
      this.#handshake.oldServerHello(ssl2.oldServerCertificate(bytes, pos, end), size, startUs, endUs)
      for (const each of this.#sides) if (each.begun || each === side) each.opaque = true
    }
    side.begun = true
    side.skip = pos + size - to
    return to - pos
  }

  /** A record header in front of another, or of one that fills what is here. */
  resync(_direction: Direction, input: Cursor): number {
    const { bytes, pos, end } = input
    for (let at = pos; at + record.RECORD_HEADER_BYTES <= end; at++) {
      const size = record.fragmentBytes(bytes, at)
      if (size <= 0) continue
      const next = at + record.RECORD_HEADER_BYTES + size
      const followed = next + record.RECORD_HEADER_BYTES <= end && record.fragmentBytes(bytes, next) >= 0
      if (followed || next === end || (next > end && size >= 64 && bytes[at + 2] > 0)) return at - pos
    }
    input.searchedBytes = Math.max(0, input.length - (record.RECORD_HEADER_BYTES - 1))
    return -1
  }

  gap(direction: Direction, sizeBytes: number): boolean {
    const side = this.#sides[direction]
    side.begun = true
    if (side.opaque) return true
    if (!side.secured) this.#handshake.gap(direction)
    if (sizeBytes > 0 && sizeBytes <= side.skip) {
      if (side.skipsMessage) side.messages.hole(sizeBytes, side)
      side.skip -= sizeBytes
      side.skipsMessage = side.skip > 0 && side.skipsMessage
      return true
    }
    side.messages.lose(side)
    side.skip = 0
    side.skipsMessage = false
    return false
  }

  end(direction: Direction): void {
    const side = this.#sides[direction]
    side.messages.lose(side)
  }

  close(reason: CloseReason): void {
    for (const side of this.#sides) side.messages.lose(side)
    this.#handshake.close(reason)
  }

  save(out: StateWriter): void {
    out.u8(STATE_VERSION)
    out.number(this.#records)
    this.#handshake.save(out)
    for (const side of this.#sides) {
      side.messages.save(out)
      out.number(side.skip)
      for (const flag of [side.skipsMessage, side.cipherChanged, side.secured, side.opaque, side.begun]) out.bool(flag)
      out.number(side.startUs)
      out.number(side.endUs)
    }
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    this.#records = state.number()
    this.#handshake.restore(state)
    for (const side of this.#sides) {
      side.messages.restore(state)
      side.skip = state.number()
      side.skipsMessage = state.bool()
      side.cipherChanged = state.bool()
      side.secured = state.bool()
      side.opaque = state.bool()
      side.begun = state.bool()
      side.startUs = state.number()
      side.endUs = state.number()
    }
    return state.finished
  }
}

/** After ChangeCipherSpec a hello in clear comes where the first one was refused (RFC 8446 section 4.1.4). */
function isHelloAlone(bytes: Buffer, from: number, size: number): boolean {
  if (from + MESSAGE_HEADER_BYTES > bytes.length) return false
  if (bytes[from] !== CLIENT_HELLO && bytes[from] !== SERVER_HELLO) return false
  return bytes.readUIntBE(from + 1, 3) === size - MESSAGE_HEADER_BYTES
}
