/**
 * Values that answer nothing: pushes of RESP3, messages to subscribers, lines of MONITOR. And the confirmations of SUBSCRIBE
 * and its like, one value per channel, as pushes in RESP3 and as arrays in RESP2.
 */
import { Exchange } from '../../../core/exchange.js'
import type { ExchangeSink } from '../../../core/protocol.js'
import { type Command, nameDb, setReply } from './command.js'
import { SUBSCRIBE, UNSUBSCRIBE } from './commands.js'
import { endpointOf } from './key_template.js'
import type { Reply } from './reply.js'
import { PLUS, PUSH, STAR } from './resp.js'
import type { Session } from './session.js'
import type { Waiting } from './waiting.js'

const CONFIRMATION = /^[ps]?(?:un)?subscribe$/
const MESSAGE = /^[ps]?message$/
const MONITOR_LINE = /^\d+\.\d+ \[\d+ /

/** What became of a value: it answers a command; it was handed over as pushed; it says nothing new. */
export const ANSWER = 0
export const PUSHED = 1
export const PASSED = 2
/** The last confirmation that the first command waits for. */
export const CONFIRMED = 3
type Taken = typeof ANSWER | typeof PUSHED | typeof PASSED | typeof CONFIRMED

export class Pushes {
  readonly #out: ExchangeSink
  readonly #session: Session
  readonly #waiting: Waiting
  /** Messages since the last command of a client that was not seen to subscribe. */
  unasked = 0

  constructor(out: ExchangeSink, session: Session, waiting: Waiting) {
    this.#out = out
    this.#session = session
    this.#waiting = waiting
  }

  /** Arrays may be messages or confirmations to a subscriber here. */
  get mayCome(): boolean {
    const { first } = this.#waiting
    if (first === undefined || this.#session.subscribed) return true
    return first.kind === SUBSCRIBE || first.kind === UNSUBSCRIBE
  }

  /** It has subscribed, or is about to. */
  get subscribes(): boolean {
    return this.#session.subscribed || this.#waiting.first?.kind === SUBSCRIBE
  }

  /** Hands over what is pushed. */
  take(reply: Reply, requestsLost: boolean): Taken {
    const { type, values } = reply
    if (type === PLUS) return reply.line.length > 17 && MONITOR_LINE.test(reply.line) ? PASSED : ANSWER
    if (type !== PUSH && (type !== STAR || values.length === 0)) return ANSWER
    const kind = values[0] ?? ''
    if (CONFIRMATION.test(kind)) return this.#confirmation(kind, reply, requestsLost)
    if (type === STAR) {
      if (!MESSAGE.test(kind) || (reply.elements !== 3 && reply.elements !== 4)) return ANSWER
      if (!this.subscribes && !this.#subscribedBefore()) return ANSWER
    }
    if (type === PUSH) this.#session.version = '3'
    this.#pushed(kind, reply)
    return PUSHED
  }

  /** A client joined mid-way that gets one message after another and asks for nothing has subscribed before. */
  #subscribedBefore(): boolean {
    if (this.#session.db !== '' || this.#waiting.count > 0) return false
    this.unasked += 1
    this.#session.subscribed = this.unasked > 1
    return this.#session.subscribed
  }

  #confirmation(kind: string, reply: Reply, requestsLost: boolean): Taken {
    if (reply.elements !== 3) return ANSWER
    const session = this.#session
    const { first } = this.#waiting
    const command = first !== undefined && isConfirmedBy(first, kind, reply) ? first : null
    if (command === null && (first === undefined || (reply.type === STAR && !session.subscribed))) {
      // Its command was missed, or is late.
      if (requestsLost || first === undefined) session.subscribed = /^[1-9]\d*$/.test(reply.values[2])
      return requestsLost && session.subscribed ? PASSED : ANSWER
    }
    session.subscribed = reply.values[2] !== '0'
    if (command === null) return PASSED
    command.awaited -= 1
    if (command.awaited === 0) return CONFIRMED
    if (command.respStartUs === 0) command.respStartUs = reply.startUs
    command.respBytes += reply.sizeBytes
    return PASSED
  }

  /** A message to a subscriber, an invalidation: nobody asked for it just now. */
  #pushed(kind: string, reply: Reply): void {
    const exchange = new Exchange()
    exchange.protocol = 'redis'
    exchange.method = /^[a-z-]{1,32}$/i.test(kind) ? `PUSH ${kind.toUpperCase()}` : 'PUSH'
    if (MESSAGE.test(kind)) exchange.resource = reply.values[kind === 'pmessage' ? 2 : 1] ?? ''
    exchange.endpoint = endpointOf(exchange.method, exchange.resource)
    setReply(exchange, reply)
    this.#session.apply(exchange)
    nameDb(exchange)
    this.#out.exchange(exchange)
  }
}

/** Not to be handed over by itself where its command was not seen. */
export function isConfirmation(reply: Reply): boolean {
  return CONFIRMATION.test(reply.values[0] ?? '')
}

function isConfirmedBy(command: Command, kind: string, reply: Reply): boolean {
  if (command.kind !== SUBSCRIBE && command.kind !== UNSUBSCRIBE) return false
  if (command.method !== kind.toUpperCase()) return false
  return command.counted || command.respStartUs > 0 || command.key === reply.values[1]
}
