/**
 * Pairs that stand beside a loss, or whose answer was captured before the request. Each can be read as one exchange, or as two: a request and another one's answer. They are
 * kept until the client's next message shows which.
 */
import type { Exchange } from '../../../core/exchange.js'
import type { ExchangeSink } from '../../../core/protocol.js'

export interface Doubt {
  readonly sure: Exchange
  readonly request: Exchange
  readonly response: Exchange
  /** Nothing was lost, but the answer was captured first: both crossed, or it answers what was never captured. */
  readonly crossing?: boolean
}

export class Doubts {
  readonly #out: ExchangeSink
  /** What is handed over now rests on a conclusion. */
  doubting = false
  pairs: Doubt[] = []

  constructor(out: ExchangeSink) {
    this.#out = out
  }

  get none(): boolean {
    return this.pairs.length === 0
  }

  get crossing(): boolean {
    return this.pairs.length > 0 && this.pairs.every((pair) => pair.crossing === true)
  }

  add(doubt: Doubt): void {
    this.pairs.push(doubt)
  }

  /** Each is one exchange. */
  confirm(): void {
    for (const { sure } of this.pairs.splice(0)) this.#out.exchange(sure)
  }

  /** Each is two. */
  split(): void {
    for (const { request, response } of this.pairs.splice(0)) {
      this.#out.exchange(request)
      this.#out.exchange(response)
    }
  }
}

/** Verbs whose command tags say the same word. */
const SAID: ReadonlySet<string> = new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'BEGIN', 'SHOW', 'LISTEN'])

/** Can this tag not be the answer to that verb? */
export function contradicts(verb: string, tags: string): boolean {
  const said = /^[A-Z]*/.exec(tags)?.[0] ?? ''
  return SAID.has(verb) && SAID.has(said) && verb !== said
}
