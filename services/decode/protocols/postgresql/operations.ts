/** Operations under way: those that wait, what the server has said so far to the first of them, and the names they use. */
import type { Exchange } from '../../../core/exchange.js'
import type { ExchangeSink } from '../../../core/protocol.js'
import { aloneOf, newExchange, requestOf } from './describe.js'
import { COPY, EXECUTE, type Op, QUERY, SYNC } from './op.js'
import { type Portal, Prepared } from './prepared.js'
import { Queue } from './queue.js'
import { Reply, restoredReply } from './reply.js'
import { Session } from './startup.js'

export class Operations {
  readonly #out: ExchangeSink
  /** Does anybody look at attributes? */
  readonly withAttrs: boolean
  readonly session = new Session()
  readonly prepared = new Prepared()
  readonly queue = new Queue()
  reply = new Reply()
  /** The server takes copied data. */
  copying = false

  constructor(out: ExchangeSink) {
    this.#out = out
    this.withAttrs = out.withoutAttrs !== true
  }

  hand(exchange: Exchange): void {
    this.#out.exchange(exchange)
  }

  /** An exchange of this connection, still without content. */
  newExchange(): Exchange {
    return newExchange(this.session, this.withAttrs)
  }

  requestOf(op: Op): Exchange {
    return this.requestBy(op, op.kind === EXECUTE ? this.prepared.portal(op.name) : null)
  }

  /** `portal` is what an Execute runs. */
  requestBy(op: Op, portal: Portal | null): Exchange {
    return requestOf(op, portal, this.session, this.withAttrs)
  }

  aloneOf(reply: Reply): Exchange {
    return aloneOf(reply, this.session, this.withAttrs)
  }

  /** An answer whose request was lost has come to its end. */
  standAlone(): void {
    this.hand(this.aloneOf(this.reply))
    this.forget(this.reply)
    this.reply = new Reply()
  }

  /** After some statements no prepared one is left. */
  forget(reply: Reply): void {
    if (forgets(reply.tags)) this.prepared.closeAll()
  }

  /** What was said is handed over; the answer to the next operation follows. */
  next(): void {
    this.reply.clear()
    this.copying = false
  }

  /** The operation that copied data is for: the first, unless a loss left others before it. */
  get taker(): Op | null {
    return this.queue.at(this.#takerAt())
  }

  #takerAt(): number {
    let at = 0
    for (let op = this.queue.at(at); op !== null; op = this.queue.at(++at)) {
      if (op.kind === QUERY || op.kind === EXECUTE) break
    }
    return at
  }

  /** CopyInResponse: the data the client sends, or has sent, is this operation's; a Sync among it was passed over. */
  copiesIn(): void {
    this.copying = true
    const taker = this.#takerAt()
    const op = this.queue.at(taker)
    if (op === null) return
    op.copies = true
    for (let next = this.queue.at(taker + 1); next !== null; next = this.queue.at(taker + 1)) {
      if (next.kind !== COPY && next.kind !== SYNC) return
      this.queue.remove(taker + 1)
      if (next.kind === SYNC) continue
      op.copyRows += next.copyRows
      op.bytes += next.bytes
      op.gaps += next.gaps
      op.copyFailed = next.copyFailed
      op.endUs = Math.max(op.endUs, next.endUs)
      if (next.copyEnded) {
        this.copying = false
        return
      }
    }
  }

  saved(): SavedOperations {
    return { session: this.session, all: this.queue.saved(), reply: this.reply, copying: this.copying }
  }

  restore(saved: SavedOperations): void {
    Object.assign(this.session, saved.session)
    this.queue.restore(saved.all)
    this.reply = restoredReply(saved.reply)
    this.copying = saved.copying
  }
}

export interface SavedOperations {
  session: Session
  all: Partial<Op>[]
  reply: Reply
  copying: boolean
}

/** After these no prepared statement is left. */
const FORGETS = /^\s*(DEALLOCATE|DISCARD)\s+ALL/i

/** By the text of a query. */
export function isForgetting(text: string): boolean {
  return FORGETS.test(text)
}

/** By the tag of its answer. */
function forgets(tag: string): boolean {
  return tag.charCodeAt(0) === 68 && FORGETS.test(tag)
}
