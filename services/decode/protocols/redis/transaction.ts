/**
 * MULTI ... EXEC. Every queued command is a flow of its own, as its user sent it; its outcome is its element in EXEC's
 * answer, and that is when it ends. Where that cannot be told (DISCARD, an aborted EXEC, a loss) the command is handed over
 * with what is known: it was queued, and nothing else.
 */
import type { Exchange } from '../../../core/exchange.js'
import type { ExchangeSink } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { Command, setError } from './command.js'
import { DISCARD, EXEC, MULTI, RESET } from './commands.js'
import type { Reply } from './reply.js'
import type { Session } from './session.js'

/** Longer transactions have their further commands handed over when they are queued. */
const QUEUED_MAX = 512
const QUEUED_CHARS_MAX = 64 * 1024

const TRANSACTION = 'redis.transaction'

export class Transaction {
  readonly #out: ExchangeSink
  readonly #session: Session
  #queued: Command[] = []
  /** Commands in all, with those that are handed over. */
  #count = 0
  /** MULTI was seen: the first queued command is the first element. */
  #begun = false
  /** Its answer may be among what was lost. */
  #maybe = false

  constructor(out: ExchangeSink, session: Session) {
    this.#out = out
    this.#session = session
  }

  get mayBeOpen(): boolean {
    return this.#begun || this.#maybe
  }

  /** The server said QUEUED. */
  queue(command: Command): void {
    this.#count += 1
    const room = this.#queued.length < QUEUED_MAX && this.#chars() + command.chars <= QUEUED_CHARS_MAX
    if (room) this.#queued.push(command)
    else this.#handOver(command, 'queued', null)
  }

  #chars(): number {
    let chars = 0
    for (const command of this.#queued) chars += command.chars
    return chars
  }

  answered(command: Command, reply: Reply, exchange: Exchange): void {
    switch (command.kind) {
      case MULTI:
        if (reply.error !== '') return
        // What ended the one before was missed.
        this.lost()
        this.#begun = true
        break
      case EXEC:
        if (reply.elements >= 0)
          exchange.attrs = { ...exchange.attrs, 'db.operation.batch.size': String(reply.elements) }
        this.#executed(reply)
        break
      case DISCARD:
      case RESET:
        if (reply.error === '') this.#end('discarded', reply)
    }
  }

  #executed(reply: Reply): void {
    if (reply.error !== '' || reply.elements < 0) return this.#end('aborted', reply)
    const known = this.#begun && reply.elements === this.#count
    let next = 0
    for (let i = 0; i < this.#queued.length; i++) {
      const command = this.#queued[i]
      if (!known) {
        this.#handOver(command, 'queued', null)
        continue
      }
      let error = ''
      if (reply.errors[next] === i) {
        error = String(reply.errors[next + 1])
        next += 2
      }
      const exchange = this.#exchange(command, 'executed')
      setError(exchange, error)
      exchange.respStartUs = reply.startUs
      exchange.respEndUs = reply.endUs
      // A queued SELECT or AUTH counts from here on.
      const answer = Object.assign(Object.create(Object.getPrototypeOf(reply)), reply, { error, line: 'OK' }) as Reply
      this.#session.answered(command, answer)
      this.#out.exchange(exchange)
    }
    this.#clear()
  }

  /** What is queued stays without a result: nobody will know, or nothing was done. */
  #end(what: 'discarded' | 'aborted', reply: Reply): void {
    for (const command of this.#queued) this.#handOver(command, what, reply)
    this.#clear()
  }

  #clear(): void {
    this.#queued = []
    this.#count = 0
    this.#begun = false
    this.#maybe = false
  }

  lost(): void {
    for (const command of this.#queued) {
      this.#handOver(command, 'queued', null)
    }
    this.#clear()
    this.#maybe = true
  }

  /** `end` is the answer that ended the transaction, where it was seen. */
  #handOver(command: Command, what: string, end: Reply | null): void {
    const exchange = this.#exchange(command, what)
    if (end === null) exchange.complete = false
    else {
      exchange.respStartUs = end.startUs
      exchange.respEndUs = end.endUs
    }
    this.#out.exchange(exchange)
  }

  #exchange(command: Command, what: string): Exchange {
    const exchange = command.exchange(this.#session.db)
    this.#session.apply(exchange)
    exchange.attrs = { ...exchange.attrs, [TRANSACTION]: what }
    return exchange
  }

  save(out: StateWriter): void {
    out.number(this.#queued.length)
    for (const command of this.#queued) command.save(out)
    out.number(this.#count)
    out.bool(this.#begun)
    out.bool(this.#maybe)
  }

  restore(state: StateReader): void {
    const size = state.number()
    for (let i = 0; i < size && !state.failed; i++) this.#queued.push(Command.restore(state))
    this.#count = state.number()
    this.#begun = state.bool()
    this.#maybe = state.bool()
  }
}
