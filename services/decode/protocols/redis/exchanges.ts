/** Commands and answers become exchanges: paired, alone, without an answer that was due or that was not. */
import { Exchange } from '../../../core/exchange.js'
import type { ExchangeSink } from '../../../core/protocol.js'
import { type Command, setReply } from './command.js'
import { PLAIN } from './commands.js'
import { isConfirmation } from './pushes.js'
import type { Reply } from './reply.js'
import { PLUS } from './resp.js'
import type { Session } from './session.js'
import type { Transaction } from './transaction.js'

export class Exchanges {
  readonly #out: ExchangeSink
  readonly #session: Session
  readonly #transaction: Transaction

  constructor(out: ExchangeSink, session: Session, transaction: Transaction) {
    this.#out = out
    this.#session = session
    this.#transaction = transaction
  }

  answered(command: Command, reply: Reply): void {
    const session = this.#session
    // A script may answer with this word too; then no transaction is open.
    const queued = reply.type === PLUS && reply.line === 'QUEUED'
    if (queued && (this.#transaction.mayBeOpen || session.db === '')) {
      this.#transaction.queue(command)
      return
    }
    const { db } = session
    const exchange = command.exchange(db)
    setReply(exchange, reply)
    if (command.respStartUs > 0) {
      exchange.respStartUs = command.respStartUs
      exchange.respBytes += command.respBytes
    }
    if (command.kind !== PLAIN) session.answered(command, reply)
    session.apply(exchange)
    // What this command has selected holds for those behind it.
    exchange.host = db
    if (command.user !== '') exchange.principal = command.user
    if (command.kind !== PLAIN) this.#transaction.answered(command, reply, exchange)
    this.#out.exchange(exchange)
  }

  /** An answer whose command was not seen. */
  alone(reply: Reply): void {
    if (isConfirmation(reply) || reply.line === 'QUEUED') return
    const exchange = new Exchange()
    exchange.protocol = 'redis'
    setReply(exchange, reply)
    exchange.complete = false
    exchange.anomalies = ['redis.response_without_request']
    this.#session.apply(exchange)
    this.#out.exchange(exchange)
  }

  /** No answer is due. */
  unanswered(command: Command): void {
    const exchange = command.exchange(this.#session.db)
    this.#session.apply(exchange)
    exchange.attrs = { ...exchange.attrs, 'redis.reply_mode': command.silent }
    this.#session.missed(command)
    this.#out.exchange(exchange)
  }

  /** Its answer, if one was due, was not seen. */
  giveUp(command: Command, outcome: Exchange['outcome'] = 'unknown'): void {
    if (command.silent !== '') {
      this.unanswered(command)
      return
    }
    const exchange = command.exchange(this.#session.db)
    this.#session.apply(exchange)
    exchange.complete = false
    exchange.outcome = outcome
    this.#session.missed(command)
    this.#out.exchange(exchange)
  }
}
