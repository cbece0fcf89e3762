/** SSLRequest and GSSENCRequest: what the server answers decides what every later byte is. */
import type { Exchange } from '../../../core/exchange.js'
import type { Handover } from '../../../core/protocol.js'
import { GSSENC, SSL } from './op.js'
import type { Operations } from './operations.js'

export class Encryption {
  readonly #operations: Operations
  handover: Handover | null = null
  /** GSS encryption from here on. */
  opaque = false

  constructor(operations: Operations) {
    this.#operations = operations
  }

  /** A request that is not answered decides what the client's next bytes are. */
  get asked(): boolean {
    const { last } = this.#operations.queue
    return last !== null && (last.kind === SSL || last.kind === GSSENC)
  }

  /** One byte in answer. */
  answered(letter: string, timeUs: number): void {
    const exchange = this.#request()
    exchange.outcome = 'ok'
    exchange.respStartUs = timeUs
    exchange.respEndUs = timeUs
    exchange.respBytes = 1
    this.#hand(exchange, letter === 'N' ? 'refused' : letter === 'S' ? 'tls' : 'gss')
    if (letter === 'S') this.handover = { protocol: 'tls', exchange }
    else if (letter === 'G') this.opaque = true
  }

  /** What follows is TLS: the answer, which was lost, was yes. */
  follows(): void {
    const exchange = this.#request()
    exchange.complete = false
    exchange.gaps += 1
    this.#hand(exchange, 'tls')
    this.handover = { protocol: 'tls', exchange }
  }

  #request(): Exchange {
    return this.#operations.requestOf(this.#operations.queue.shift())
  }

  #hand(exchange: Exchange, encryption: string): void {
    if (exchange.attrs !== null) exchange.attrs['postgresql.encryption'] = encryption
    this.#operations.hand(exchange)
    this.#operations.next()
  }
}
