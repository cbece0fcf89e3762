/**
 * PostgreSQL, frontend/backend protocol 3.x (PostgreSQL manual, chapter "Frontend/Backend Protocol").
 *
 * One flow per simple query, whatever number of statements it holds: the server runs them as one transaction and answers
 * them as one (`db.operation.batch.size` counts them, `postgresql.command_tag` has all their tags). One flow per Execute
 * of the extended protocol, from its Parse or Bind on where these come just before. One flow each for a login (STARTUP),
 * a request for encryption, a cancel request, a function call, a notification. Parse, Bind, Describe and Close alone are
 * no flows unless they fail. An operation that the server passed over after an error has `pipeline_aborted` as its error.
 */
import type { Cursor } from '../../../core/cursor.js'
import { Places } from '../../../core/places.js'
import {
  type CloseReason,
  type Decoder,
  type ExchangeSink,
  type Handover,
  MORE,
  type Protocol,
  SWITCH,
  WITHDRAW,
} from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { ClientSide } from './client.js'
import { Conversation } from './conversation.js'
import { POSTGRESQL_PRIVACY } from './privacy.js'
import { findMessage, isTurned, probeHead } from './probe.js'
import { ServerSide } from './server.js'

export const postgresql: Protocol = {
  name: 'postgresql',
  transports: ['tcp', 'unix'],
  privacy: { postgresql: POSTGRESQL_PRIVACY },
  probe: (head: Cursor) => probeHead(head),
  turned: (head: Cursor, direction: Direction) => isTurned(head, direction),
  open: (out: ExchangeSink): Decoder => new PostgresqlDecoder(out),
}

const STATE_VERSION = 1
/** So many messages that are none, and none that is, before the first exchange: this is another protocol. */
const BAD_MAX = 3

class PostgresqlDecoder implements Decoder {
  readonly #conversation: Conversation
  readonly #client: ClientSide
  readonly #server: ServerSide
  readonly #places: readonly [Places, Places] = [new Places(), new Places()]
  #good = 0
  #bad = 0

  constructor(out: ExchangeSink) {
    this.#conversation = new Conversation(out)
    this.#client = new ClientSide(this.#conversation)
    this.#server = new ServerSide(this.#conversation)
  }

  parse(direction: Direction, input: Cursor): number {
    if (this.#conversation.encryption.handover !== null) return SWITCH
    if (this.#conversation.lostEncryption && startsTls(input)) {
      this.#conversation.encryption.follows()
      return SWITCH
    }
    const consumed = direction === TO_SERVER ? this.#client.parse(input) : this.#server.parse(input)
    if (consumed > 0) this.#good += 1
    else if (consumed !== MORE) {
      this.#bad += 1
      if (this.#bad >= BAD_MAX && this.#good < this.#bad) return WITHDRAW
    }
    return consumed
  }

  resync(direction: Direction, input: Cursor): number {
    // `parse` is asked next, and hands over.
    if (this.#conversation.lostEncryption && startsTls(input)) return 0
    return findMessage(input, direction === TO_CLIENT, this.#places[direction])
  }

  gap(direction: Direction, sizeBytes: number, timeUs: number): boolean {
    return direction === TO_SERVER ? this.#client.gap(sizeBytes, timeUs) : this.#server.gap(sizeBytes, timeUs)
  }

  end(direction: Direction): void {
    if (direction === TO_SERVER) this.#conversation.requestsEnded()
  }

  close(reason: CloseReason): void {
    this.#conversation.close(reason)
  }

  handover(): Handover | null {
    return this.#conversation.encryption.handover
  }

  save(out: StateWriter): void {
    out.u8(STATE_VERSION)
    out.number(this.#good)
    out.number(this.#bad)
    this.#conversation.save(out)
    this.#client.save(out)
    this.#server.save(out)
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    this.#good = state.number()
    this.#bad = state.number()
    try {
      this.#conversation.restore(state)
    } catch {
      return false
    }
    this.#client.restore(state)
    this.#server.restore(state)
    return state.finished
  }
}

/** A handshake or an alert: no message of this protocol has such a first byte. */
function startsTls({ bytes, pos, end }: Cursor): boolean {
  return end - pos >= 2 && (bytes[pos] === 0x16 || bytes[pos] === 0x15) && bytes[pos + 1] === 3
}
