/**
 * Queries and responses belong together by id and question, whichever way round they go. Every query is a flow: one that is
 * sent again while the first is open is a flow of its own, marked with its number (`dns.retry`), since both were on the
 * wire; answers go to the oldest first, so that its latency is what its user waited. A second answer to one query stands alone.
 */
import { Exchange } from '../../../core/exchange.js'
import type { CloseReason, ExchangeSink } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { CROSSING_US_MAX } from '../pairing/crossing.js'
import { exchangeOf, setResponse } from './exchanges.js'
import type { DnsMessage } from './message.js'

/** Queries without an answer on one connection, about 600 bytes each: a forwarder that asks from one port. */
export const PENDING_MAX = 256
/** Resolvers give up sooner: 5 s per try by default in libc, 10 s in Zeek's sessions. */
const PENDING_US_MAX = 15_000_000
/** Responses that came before their query, because directions are captured apart. */
const EARLY_MAX = 32
const EARLY_US_MAX = 2_000_000

interface Waiting {
  readonly exchange: Exchange
  readonly id: number
  /** AXFR and IXFR are answered in several messages; how many came. */
  readonly transfer: boolean
  messages: number
  lost: boolean
}

export class Pairing {
  readonly #out: ExchangeSink
  readonly #stream: boolean
  #pending: Waiting[] = []
  #early: Waiting[] = []

  constructor(out: ExchangeSink, stream: boolean) {
    this.#out = out
    this.#stream = stream
  }

  message(message: DnsMessage, sizeBytes: number, timeUs: number, whole: boolean): void {
    this.#expire(timeUs)
    if (message.response) this.#response(message, sizeBytes, timeUs, whole)
    else this.#query(message, sizeBytes, timeUs, whole)
  }

  /** A response without a question, as servers refuse what they do not understand: to a query with its id. */
  awaits({ id, response, questions, wellFormed }: DnsMessage): boolean {
    return response && questions === 0 && wellFormed && this.#pending.some((each) => each.id === id)
  }

  #query(message: DnsMessage, sizeBytes: number, timeUs: number, whole: boolean): void {
    const waiting = waitingOf(message, this.#stream)
    const { exchange } = waiting
    exchange.reqBytes = sizeBytes
    exchange.reqStartUs = timeUs
    exchange.reqEndUs = timeUs
    exchange.complete = whole
    if (exchange.l7Version === 'mdns') {
      // Whoever knows answers, from another address, to all.
      this.#out.exchange(exchange)
      return
    }
    if (this.#pending.length > 0) this.#countRetry(waiting)
    const early = waiting.transfer
      ? -1
      : this.#early.findIndex((each) => matches(each, waiting) && each.exchange.respStartUs >= timeUs - CROSSING_US_MAX)
    if (early >= 0) {
      const [answer] = this.#early.splice(early, 1)
      this.#out.exchange(joined(exchange, answer.exchange))
      return
    }
    if (this.#pending.length >= PENDING_MAX) this.#unanswered(this.#pending.shift() as Waiting, 'unknown')
    this.#pending.push(waiting)
  }

  #countRetry(waiting: Waiting): void {
    let tries = 0
    for (const each of this.#pending) if (matches(each, waiting)) tries += 1
    if (tries > 0 && waiting.exchange.attrs !== null) waiting.exchange.attrs['dns.retry'] = String(tries)
  }

  #response(message: DnsMessage, sizeBytes: number, timeUs: number, whole: boolean): void {
    const at = this.#find(message)
    if (at < 0) {
      this.#alone(message, sizeBytes, timeUs, whole)
      return
    }
    const waiting = this.#pending[at]
    const { exchange } = waiting
    if (waiting.messages === 0) setResponse(exchange, message, sizeBytes, timeUs)
    else {
      exchange.respBytes += sizeBytes
      exchange.respEndUs = timeUs
      exchange.truncated = true
    }
    waiting.messages += 1
    if (!whole || (waiting.transfer && waiting.messages === 1 && message.rcode === 0 && !message.beginsWithSoa)) {
      exchange.complete = false
    }
    if (waiting.transfer && !transferEnds(message, waiting)) return
    this.#pending.splice(at, 1)
    this.#out.exchange(exchange)
  }

  /** The oldest query that this answers; a response without a question (mDNS, later parts of a transfer) goes by its id. */
  #find(message: DnsMessage): number {
    const pending = this.#pending
    for (let i = 0; i < pending.length; i++) {
      if (pending[i].id !== message.id) continue
      if (message.questions === 0) return i
      const { method, resource } = pending[i].exchange
      if (method === message.type && sameName(resource, message.name)) return i
    }
    return -1
  }

  #alone(message: DnsMessage, sizeBytes: number, timeUs: number, whole: boolean): void {
    const waiting = waitingOf(message, false)
    const { exchange } = waiting
    setResponse(exchange, message, sizeBytes, timeUs)
    exchange.complete = whole
    if (exchange.l7Version === 'mdns') {
      this.#out.exchange(exchange)
      return
    }
    if (this.#early.length >= EARLY_MAX) this.#standAlone(this.#early.shift() as Waiting)
    this.#early.push(waiting)
  }

  #standAlone({ exchange }: Waiting): void {
    exchange.complete = false
    exchange.anomalies = [...exchange.anomalies, 'dns.response_without_query']
    this.#out.exchange(exchange)
  }

  #expire(nowUs: number): void {
    while (this.#pending.length > 0 && nowUs - this.#pending[0].exchange.reqStartUs > PENDING_US_MAX) {
      this.#unanswered(this.#pending.shift() as Waiting, 'no_response')
    }
    while (this.#early.length > 0 && nowUs - this.#early[0].exchange.respStartUs > EARLY_US_MAX) {
      this.#standAlone(this.#early.shift() as Waiting)
    }
  }

  #unanswered({ exchange, lost, messages }: Waiting, outcome: Exchange['outcome']): void {
    exchange.complete = false
    if (messages === 0) exchange.outcome = lost && outcome === 'no_response' ? 'unknown' : outcome
    this.#out.exchange(exchange)
  }

  /** Messages of unknown content are missing: the answers to what waits may be among them. */
  lost(): void {
    for (const waiting of this.#pending) {
      waiting.lost = true
      if (waiting.messages > 0) waiting.exchange.complete = false
    }
  }

  close(reason: CloseReason): void {
    for (const waiting of this.#early.splice(0)) this.#standAlone(waiting)
    const outcome = reason === 'reset' ? 'reset' : reason === 'evicted' ? 'unknown' : 'no_response'
    for (const waiting of this.#pending.splice(0)) this.#unanswered(waiting, outcome)
  }

  save(out: StateWriter): void {
    out.string(JSON.stringify([this.#pending, this.#early]))
  }

  restore(state: StateReader): void {
    try {
      const [pending, early] = (JSON.parse(state.string()) as Waiting[][]).map((list) =>
        list.map((each) => ({ ...each, exchange: Object.assign(new Exchange(), each.exchange) })),
      )
      this.#pending = pending
      this.#early = early
    } catch {
      state.failed = true
    }
  }
}

function waitingOf(message: DnsMessage, stream: boolean): Waiting {
  const transfer = stream && (message.type === 'AXFR' || message.type === 'IXFR')
  return { exchange: exchangeOf(message), id: message.id, transfer, messages: 0, lost: false }
}

/** Servers may change the case of letters, and do (draft-vixie-dnsext-dns0x20). */
function sameName(one: string, other: string): boolean {
  return one === other || (one.length === other.length && one.toLowerCase() === other.toLowerCase())
}

function matches(one: Waiting, other: Waiting): boolean {
  const { method, resource } = other.exchange
  return one.id === other.id && one.exchange.method === method && sameName(one.exchange.resource, resource)
}

/** A transfer begins and ends with the zone's SOA (RFC 5936 section 2.2); one alone says that nothing changed (RFC 1995). */
function transferEnds(message: DnsMessage, { messages, exchange }: Waiting): boolean {
  if (message.rcode !== 0 || message.answerCount === 0) return true
  return message.endsWithSoa && (messages > 1 || message.answerCount > 1 || exchange.method === 'IXFR')
}

/** The early answer with what only the query knows. */
function joined(query: Exchange, answer: Exchange): Exchange {
  const { reqBytes, reqStartUs, reqEndUs, method, resource, endpoint, l7Version } = query
  const complete = query.complete && answer.complete
  const attrs = { ...query.attrs, ...answer.attrs }
  if (answer.attrs?.['dns.flags'] === undefined) delete attrs['dns.flags']
  Object.assign(answer, { reqBytes, reqStartUs, reqEndUs, method, resource, endpoint, l7Version, complete, attrs })
  return answer
}
