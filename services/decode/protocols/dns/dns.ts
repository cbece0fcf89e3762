/** DNS over UDP and TCP (RFC 1035, RFC 7766), multicast DNS and LLMNR. One query with its answer is one exchange. */
import type { Cursor } from '../../../core/cursor.js'
import { HERE, NEVER, Places, WAIT } from '../../../core/places.js'
import {
  BAD,
  type Begin,
  type CloseReason,
  type Decoder,
  type ExchangeSink,
  MORE,
  NO,
  type Protocol,
  UNDECIDED,
  type Verdict,
} from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { HEADER_BYTES, judge, readMessage } from './message.js'
import { Pairing } from './pairing.js'
import { DNS_PRIVACY } from './privacy.js'

export const dns: Protocol = {
  name: 'dns',
  transports: ['udp', 'tcp'],
  privacy: { dns: DNS_PRIVACY },
  probe,
  turned,
  open: (out: ExchangeSink, begin: Begin): Decoder => new DnsDecoder(out, begin.transport === 'tcp'),
}

/** In front of each message on TCP. */
const LENGTH_BYTES = 2
/** Less sure than this is not enough to begin with, or to go on with after a loss. */
const SURE = 90
const STATE_VERSION = 1

/** On UDP the head is a datagram, whole; on TCP a length stands in front. Both are tried: a probe is not told which it is. */
function probe(head: Cursor): Verdict {
  const { bytes, pos, end } = head
  if (head.ended) {
    const verdict = judge(bytes, pos, end)
    if (verdict > 0) return verdict
  }
  // Joined mid-way: a message starts where a segment starts, with its length and all of its header.
  if (head.midway && end - pos < LENGTH_BYTES + HEADER_BYTES) return NO
  return probeStream(bytes, pos, end)
}

function probeStream(bytes: Buffer, pos: number, end: number): Verdict {
  const size = end - pos
  if (size < LENGTH_BYTES + 4) return size < 2 || bytes.readUInt16BE(pos) >= HEADER_BYTES ? UNDECIDED : NO
  const length = bytes.readUInt16BE(pos)
  if (length < HEADER_BYTES + 5) return NO
  const opcode = (bytes[pos + 4] >> 3) & 15
  if (opcode > 6 || (bytes[pos + 5] & 0x40) !== 0) return NO
  if (size < LENGTH_BYTES + HEADER_BYTES) return UNDECIDED
  const questions = bytes.readUInt16BE(pos + 6)
  if (questions > 1 || bytes[pos + 8] > 3 || bytes[pos + 10] > 3 || bytes[pos + 12] > 3) return NO
  if (size < LENGTH_BYTES + length) return UNDECIDED
  const verdict = judge(bytes, pos + LENGTH_BYTES, pos + LENGTH_BYTES + length)
  return verdict >= SURE ? verdict : NO
}

/** The answer bit tells who speaks; multicast has no server. */
function turned(head: Cursor, direction: Direction): boolean {
  const { bytes, end } = head
  let { pos } = head
  if (!head.ended || judge(bytes, pos, end) === 0) pos += LENGTH_BYTES
  const message = readMessage(bytes, pos, end)
  if (message === null || (message.id === 0 && !message.recursionDesired)) return false
  return message.response === (direction === TO_SERVER)
}

class DnsDecoder implements Decoder {
  readonly #pairing: Pairing
  readonly #stream: boolean
  /** Bytes still to come of a message that was cut, per direction. */
  readonly #skip: [number, number] = [0, 0]

  readonly #places: readonly [Places, Places] = [new Places(), new Places()]

  constructor(out: ExchangeSink, stream: boolean) {
    this.#pairing = new Pairing(out, stream)
    this.#stream = stream
  }

  parse(direction: Direction, input: Cursor): number {
    return this.#stream ? this.#parseStream(direction, input) : this.#parseDatagram(input)
  }

  /** What is no message is passed over: the next datagram begins anew. */
  #parseDatagram(input: Cursor): number {
    const { bytes, pos, end } = input
    const message = readMessage(bytes, pos, end)
    if (message !== null && (message.name !== '' || this.#pairing.awaits(message))) {
      this.#pairing.message(message, end - pos, input.timeUs(pos), message.wellFormed)
    }
    return end - pos
  }

  #parseStream(direction: Direction, input: Cursor): number {
    const { bytes, pos, end } = input
    const left = this.#skip[direction]
    if (left > 0) {
      const size = Math.min(left, end - pos)
      this.#skip[direction] -= size
      return size
    }
    if (end - pos < LENGTH_BYTES) return MORE
    const length = bytes.readUInt16BE(pos)
    if (length < HEADER_BYTES) return this.#bad(direction)
    const to = pos + LENGTH_BYTES + length
    if (to > end) {
      input.neededBytes = LENGTH_BYTES + length
      if (!input.ended || end - pos < LENGTH_BYTES + HEADER_BYTES) return MORE
      this.#skip[direction] = to - end
    }
    const message = readMessage(bytes, pos + LENGTH_BYTES, Math.min(to, end))
    const answersById = message !== null && message.name === '' && this.#pairing.awaits(message)
    if (message === null || (to <= end && message.name === '' && !answersById)) return this.#bad(direction)
    // A message that was cut says what its first bytes say.
    if (message.name !== '' || answersById) {
      this.#pairing.message(message, length, input.timeUs(pos), to <= end && message.wellFormed)
    }
    return Math.min(to, end) - pos
  }

  #bad(direction: Direction): number {
    if (direction === TO_CLIENT) this.#pairing.lost()
    return BAD
  }

  resync(direction: Direction, input: Cursor): number {
    if (!this.#stream) return 0
    const { bytes, pos, end } = input
    const places = this.#places[direction]
    const found = places.search(input, 0, (at) => {
      const verdict = probeStream(bytes, at, end)
      if (verdict === UNDECIDED && end - at >= LENGTH_BYTES + HEADER_BYTES) {
        places.neededEnd = at + LENGTH_BYTES + bytes.readUInt16BE(at)
      }
      return verdict >= SURE ? HERE : verdict === UNDECIDED ? WAIT : NEVER
    })
    if (found >= 0) return found - pos
    input.searchedBytes = (places.waiting < 0 ? end : places.waiting) - pos
    return -1
  }

  gap(direction: Direction, sizeBytes: number): boolean {
    if (direction === TO_CLIENT) this.#pairing.lost()
    if (!this.#stream) return true
    const left = this.#skip[direction]
    this.#skip[direction] = 0
    if (left === 0 || sizeBytes === 0 || sizeBytes > left) return false
    this.#skip[direction] = left - sizeBytes
    return true
  }

  end(): void {}

  close(reason: CloseReason): void {
    this.#pairing.close(reason)
  }

  save(out: StateWriter): void {
    out.u8(STATE_VERSION)
    out.number(this.#skip[0])
    out.number(this.#skip[1])
    this.#pairing.save(out)
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    this.#skip[0] = state.number()
    this.#skip[1] = state.number()
    this.#pairing.restore(state)
    return state.finished
  }
}
