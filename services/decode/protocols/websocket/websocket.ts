/**
 * WebSocket (RFC 6455, compression RFC 7692), behind the HTTP/1 upgrade that opened it. Each text or binary message is a
 * flow, up to MESSAGE_FLOWS_MAX of a connection. When it is over a last flow, `close`, has the close code, the time from the
 * first frame to the last as latency, and counts all messages, pings and pongs; where the end was not seen its status is 0.
 * Payloads are counted and passed over, never kept.
 *
 * Joined mid-way there is no host and no path; frames are then believed only where several follow one another exactly.
 */
import type { Cursor } from '../../../core/cursor.js'
import {
  BAD,
  type Begin,
  type CloseReason,
  type Decoder,
  type ExchangeSink,
  type Protocol,
  WITHDRAW,
} from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { maskQuery } from '../http_semantics/privacy.js'
import { Conversation } from './conversation.js'
import { FrameSide } from './frame_side.js'
import { isMasked, probe } from './probe.js'
import { upgradeOf } from './upgrade.js'

export const websocket: Protocol = {
  name: 'websocket',
  transports: ['tcp', 'unix'],
  privacy: {
    websocket: {
      maskResource: maskQuery,
      attrsKept: new Set([
        'websocket.close.by',
        'websocket.close.reason_bytes',
        'websocket.compressed',
        'websocket.direction',
        'websocket.fragments',
        'websocket.messages.compressed',
        'websocket.messages.to_client',
        'websocket.messages.to_server',
        'websocket.pings',
        'websocket.pongs',
        'websocket.subprotocol',
      ]),
    },
  },
  probe: (head: Cursor) => probe(head),
  turned: (head: Cursor, direction: Direction) => isMasked(head) === (direction === TO_CLIENT),
  open: (out: ExchangeSink, begin: Begin): Decoder => new WebSocketDecoder(out, begin),
}

const STATE_VERSION = 2
/** So many frames in a row are no accident: what cannot be read after them is damage. */
const FRAMES_SURE = 2

class WebSocketDecoder implements Decoder {
  readonly #talk: Conversation
  readonly #sides: readonly [FrameSide, FrameSide]

  constructor(out: ExchangeSink, begin: Begin) {
    this.#talk = new Conversation(out, upgradeOf(begin.handover))
    this.#sides = [new FrameSide(TO_SERVER, this.#talk), new FrameSide(TO_CLIENT, this.#talk)]
  }

  parse(direction: Direction, input: Cursor): number {
    const side = this.#sides[direction]
    const { unsure } = side
    const consumed = side.parse(input)
    if (consumed !== BAD) return consumed
    // After a loss in a connection whose upgrade was seen it is the place that was wrong, not the protocol.
    if (unsure && this.#talk.upgrade.answerUs !== 0) return BAD
    const [client, server] = this.#sides
    if (this.#isLeftOver(direction, input)) return BAD
    return client.frames + server.frames < FRAMES_SURE ? WITHDRAW : BAD
  }

  /** What is left of a request or an answer whose end was lost. */
  #isLeftOver(direction: Direction, input: Cursor): boolean {
    const { asked, answerUs } = this.#talk.upgrade
    if (!asked || this.#sides[direction].frames > 0) return false
    // Without an answer it is for the client's next bytes to show whether this is WebSocket.
    return direction === TO_SERVER ? input.timeUs(input.pos) < answerUs : answerUs === 0
  }

  resync(direction: Direction, input: Cursor): number {
    return this.#sides[direction].resync(input)
  }

  gap(direction: Direction, sizeBytes: number, timeUs: number): boolean {
    return this.#sides[direction].gap(sizeBytes, timeUs)
  }

  end(direction: Direction): void {
    this.#sides[direction].end()
    this.#talk.directionEnds(direction)
  }

  close(reason: CloseReason): void {
    for (const side of this.#sides) side.end()
    this.#talk.end(reason)
  }

  save(out: StateWriter): void {
    out.u8(STATE_VERSION)
    this.#talk.save(out)
    for (const side of this.#sides) side.save(out)
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    this.#talk.restore(state)
    for (const side of this.#sides) side.restore(state)
    return state.finished
  }
}
