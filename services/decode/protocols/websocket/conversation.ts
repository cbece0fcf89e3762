/**
 * The flows of one WebSocket connection: one for each text or binary message, up to a number of them, and one at the end
 * that counts all there were.
 */
import { Exchange } from '../../../core/exchange.js'
import type { CloseReason, ExchangeSink } from '../../../core/protocol.js'
import { type Direction, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { note } from '../pairing/pending.js'
import { describe, NOT_SEEN, type Upgrade } from './upgrade.js'

/**
 * Messages of one connection that get a flow of their own. A ticker may push millions of messages that say the same about
 * who talks to whom; what is beyond is counted in the last flow, which says so.
 */
export const MESSAGE_FLOWS_MAX = 10_000

/** Close codes of RFC 6455 section 7.1.5 that are never sent: no code in the Close frame, and no Close frame. */
const NO_STATUS = 1005
const ABNORMAL = 1006
const NORMAL = 1000
const GOING_AWAY = 1001

export class Message {
  readonly text: boolean
  readonly compressed: boolean
  readonly startUs: number
  endUs: number
  bytes = 0
  fragments = 0
  gaps = 0

  constructor(text: boolean, compressed: boolean, startUs: number) {
    this.text = text
    this.compressed = compressed
    this.startUs = startUs
    this.endUs = startUs
  }
}

/** What one end has said. */
class Said {
  messages = 0
  bytes = 0
  pings = 0
  pongs = 0
  compressed = 0
  /** Of its Close frame; -1 before that. */
  closeCode = -1
  reasonBytes = 0
  closeUs = 0
  /** 1 once it has said all it had to say: a Close frame, or the end of its direction. */
  over = 0
}

const COUNTS = [
  'messages',
  'bytes',
  'pings',
  'pongs',
  'compressed',
  'closeCode',
  'reasonBytes',
  'closeUs',
  'over',
] as const

export class Conversation {
  readonly #out: ExchangeSink
  #upgrade: Upgrade
  readonly #said: readonly [Said, Said] = [new Said(), new Said()]
  #flows = 0
  #gaps = 0
  #firstUs = 0
  #lastUs = 0
  #ended = false
  #anomalies: string[] = []

  constructor(out: ExchangeSink, upgrade: Upgrade) {
    this.#out = out
    this.#upgrade = upgrade
  }

  get upgrade(): Upgrade {
    return this.#upgrade
  }

  /** Frames were found: before that there is nothing to tell of. */
  get begun(): boolean {
    return this.#firstUs !== 0
  }

  frame(timeUs: number): void {
    if (this.#firstUs === 0 || timeUs < this.#firstUs) this.#firstUs = timeUs
    if (timeUs > this.#lastUs) this.#lastUs = timeUs
  }

  /** A message has ended, or its end is missing (`complete` false). */
  message(direction: Direction, message: Message, complete: boolean): void {
    const said = this.#said[direction]
    said.messages += 1
    said.bytes += message.bytes
    if (message.compressed) said.compressed += 1
    if (this.#flows >= MESSAGE_FLOWS_MAX) return
    this.#flows += 1
    const exchange = new Exchange()
    describe(exchange, this.#upgrade)
    exchange.method = message.text ? 'text' : 'binary'
    exchange.outcome = 'ok'
    exchange.complete = complete && this.#upgrade.seen
    exchange.gaps = message.gaps
    const attrs: Record<string, string> = { 'websocket.direction': direction === TO_SERVER ? 'to_server' : 'to_client' }
    if (message.fragments > 1) attrs['websocket.fragments'] = String(message.fragments)
    if (message.compressed) attrs['websocket.compressed'] = 'true'
    if (this.#upgrade.subprotocol !== '') attrs['websocket.subprotocol'] = this.#upgrade.subprotocol
    exchange.attrs = attrs
    if (direction === TO_SERVER) {
      exchange.reqBytes = message.bytes
      exchange.reqStartUs = message.startUs
      exchange.reqEndUs = message.endUs
    } else {
      exchange.respBytes = message.bytes
      exchange.respStartUs = message.startUs
      exchange.respEndUs = message.endUs
    }
    this.#out.exchange(exchange)
  }

  control(direction: Direction, ping: boolean): void {
    if (ping) this.#said[direction].pings += 1
    else this.#said[direction].pongs += 1
  }

  /** A Close frame; `code` is 0 where it has none, `reasonBytes` the length of the text behind the code. */
  close(direction: Direction, code: number, reasonBytes: number, timeUs: number): void {
    const said = this.#said[direction]
    said.over = 1
    if (said.closeCode >= 0) return
    said.closeCode = code === 0 ? NO_STATUS : code
    said.reasonBytes = reasonBytes
    said.closeUs = timeUs
  }

  /** The direction ended, and all its bytes were seen. */
  directionEnds(direction: Direction): void {
    this.#said[direction].over = 1
  }

  /** Something odd about the whole connection. */
  note(anomaly: string): void {
    if (!this.#anomalies.includes(anomaly)) this.#anomalies.push(anomaly)
  }

  gap(): void {
    this.#gaps += 1
  }

  /** The connection is over, or is seen no longer: the flow that counts. It spans all frames. */
  end(reason: CloseReason): void {
    if (this.#ended || !this.begun) return
    this.#ended = true
    const [client, server] = this.#said
    const first = firstClose(client, server)
    const over = reason === 'closed' || reason === 'reset'
    const exchange = new Exchange()
    describe(exchange, this.#upgrade)
    exchange.method = 'close'
    // A Close frame that was not seen may have been lost.
    exchange.statusCode = first !== null ? first.closeCode : over && this.#gaps === 0 ? ABNORMAL : 0
    exchange.outcome = outcomeOf(first, first === client, reason)
    // What an end that did not say so itself still had to say may be missing.
    const allSaid = client.over + server.over === 2
    exchange.complete = first !== null && allSaid && this.#gaps === 0 && this.#upgrade.seen
    exchange.gaps = this.#gaps
    exchange.reqBytes = client.bytes
    exchange.respBytes = server.bytes
    exchange.reqStartUs = this.#firstUs
    exchange.reqEndUs = this.#lastUs
    exchange.respStartUs = this.#firstUs
    exchange.respEndUs = this.#lastUs
    exchange.attrs = this.#counts(first)
    for (const anomaly of this.#anomalies) note(exchange, anomaly)
    if (client.messages + server.messages > MESSAGE_FLOWS_MAX) note(exchange, 'websocket.messages_not_listed')
    this.#out.exchange(exchange)
  }

  #counts(first: Said | null): Record<string, string> {
    const [client, server] = this.#said
    const attrs: Record<string, string> = {
      'websocket.messages.to_client': String(server.messages),
      'websocket.messages.to_server': String(client.messages),
    }
    const pings = client.pings + server.pings
    const pongs = client.pongs + server.pongs
    if (pings > 0) attrs['websocket.pings'] = String(pings)
    if (pongs > 0) attrs['websocket.pongs'] = String(pongs)
    if (client.compressed + server.compressed > 0)
      attrs['websocket.messages.compressed'] = String(client.compressed + server.compressed)
    if (this.#upgrade.subprotocol !== '') attrs['websocket.subprotocol'] = this.#upgrade.subprotocol
    if (first !== null) {
      attrs['websocket.close.by'] = first === client ? 'client' : 'server'
      if (first.reasonBytes > 0) attrs['websocket.close.reason_bytes'] = String(first.reasonBytes)
    }
    return attrs
  }

  save(out: StateWriter): void {
    out.string(this.#upgrade === NOT_SEEN ? '' : JSON.stringify(this.#upgrade))
    for (const said of this.#said) for (const name of COUNTS) out.number(said[name])
    for (const value of [this.#flows, this.#gaps, this.#firstUs, this.#lastUs]) out.number(value)
    out.bool(this.#ended)
    out.strings(this.#anomalies)
  }

  restore(state: StateReader): void {
    try {
      const upgrade = state.string()
      this.#upgrade = upgrade === '' ? NOT_SEEN : { ...NOT_SEEN, ...JSON.parse(upgrade) }
    } catch {
      state.failed = true
    }
    for (const said of this.#said) for (const name of COUNTS) said[name] = state.number()
    this.#flows = state.number()
    this.#gaps = state.number()
    this.#firstUs = state.number()
    this.#lastUs = state.number()
    this.#ended = state.bool()
    this.#anomalies = state.strings()
  }
}

/** Whoever closed first; null if nobody did. */
function firstClose(client: Said, server: Said): Said | null {
  if (client.closeCode < 0) return server.closeCode < 0 ? null : server
  return server.closeCode < 0 || client.closeUs <= server.closeUs ? client : server
}

/** RFC 6455 section 7.4: what an end closes with says what it holds against the other, but for its own troubles. */
function outcomeOf(first: Said | null, byClient: boolean, reason: CloseReason): Exchange['outcome'] {
  if (first === null) return reason === 'reset' ? 'reset' : 'unknown'
  const code = first.closeCode
  if (code === NORMAL || code === GOING_AWAY || code === NO_STATUS) return 'ok'
  const ownTrouble = code === 1011 || code === 1012 || code === 1013 || code === 1014
  if (code >= 1002 && code <= 1015) return byClient === ownTrouble ? 'client_error' : 'server_error'
  return 'unknown'
}
