/**
 * Which answer belongs to which command. Redis answers in order, so answers are counted off; but not every value is an
 * answer (`pushes.ts`), not every command has one (`reply_mode.ts`, REPLCONF ACK), and some have several (SUBSCRIBE: one per
 * channel). After a loss counting says nothing: then time does, for clients that wait for their answers before they ask
 * again; what stays in doubt is handed over apart.
 */
import type { CloseReason, ExchangeSink } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import type { Command } from './command.js'
import { REPLCONF, SYNC } from './commands.js'
import { Crossing, mayBeSurplus, RESYNCHRONISING } from './crossing.js'
import { EarlyReplies, isUnasked } from './early.js'
import { Exchanges } from './exchanges.js'
import { ANSWER, CONFIRMED, PUSHED, Pushes } from './pushes.js'
import { copyOfReply, type Reply } from './reply.js'
import { ReplyMode } from './reply_mode.js'
import { Session } from './session.js'
import { Transaction } from './transaction.js'
import { Waiting } from './waiting.js'

/** Beyond so many waiting commands their text is not kept: 512 characters each. */
export const PENDING_TEXTS_MAX = 256
/** After so long a silence a client that sends ahead is taken to have had all its answers. */
const QUIET_US = 5_000_000

export class Pairing {
  readonly session = new Session()
  readonly #transaction: Transaction
  readonly #exchanges: Exchanges
  readonly #waiting = new Waiting()
  readonly #mode = new ReplyMode()
  readonly pushes: Pushes
  readonly #early = new EarlyReplies()
  /** The last command, which does not wait then, with an answer that may be another's. */
  #crossing: Crossing | null = null
  #requestsLost = false
  /** When the command was sent whose answer was hit by the last loss. */
  #hitUs = 0
  #sendsAhead = false
  #lastReplyUs = 0
  /** Answers to drop before the next counts: their commands were handed over when too many waited. */
  #toDrop = 0
  /** Something was paired: this is Redis. */
  proven = false

  constructor(out: ExchangeSink) {
    this.#transaction = new Transaction(out, this.session)
    this.#exchanges = new Exchanges(out, this.session, this.#transaction)
    this.pushes = new Pushes(out, this.session, this.#waiting)
  }

  get waiting(): number {
    return this.#waiting.count
  }

  request(command: Command): void {
    const waiting = this.#waiting
    this.pushes.unasked = 0
    if (this.#crossing !== null) this.#crossed()
    if (this.#requestsLost) this.#settle(command.startUs)
    command.silent = this.#silent(command)
    const full = waiting.isFull
    if (command.silent !== '' && (waiting.count === 0 || full)) {
      this.#exchanges.unanswered(command)
      return
    }
    if (full) {
      waiting.last.dropped += 1
      command.note('redis.too_many_pending')
      this.#exchanges.giveUp(command)
      return
    }
    command.counted = !this.#requestsLost
    waiting.push(command)
    if (this.#early.count > 0 && !this.#requestsLost) this.#takeEarly()
  }

  /** Why no answer is due, `''` if one is. */
  #silent(command: Command): string {
    if (command.kind !== REPLCONF || !/^(ack|fack)$/i.test(command.option)) return this.#mode.silent(command)
    if (this.waiting === 0) this.session.replicating = true
    return 'replication'
  }

  /** `reply` may be filled anew after the call. */
  reply(reply: Reply): void {
    this.#lastReplyUs = reply.endUs
    if (this.#isPush(reply)) return
    if (this.#crossing !== null) {
      // Two answers and one command: this one is its own.
      this.#surplus()
      if (this.#isPush(reply)) return
    }
    if (this.#toDrop > 0) {
      this.#toDrop -= 1
      return
    }
    const { first } = this.#waiting
    const doubtful = this.#requestsLost && first?.counted !== true
    if (!doubtful && first !== undefined) {
      if (reply.startUs < first.startUs) this.#answerBefore(first, copyOfReply(reply))
      else this.#answer(first, reply)
      return
    }
    if (RESYNCHRONISING.test(reply.line)) this.session.replicating = true
    if (this.#early.isFull) {
      if (doubtful) this.#apart()
      else this.#exchanges.alone(this.#early.shift())
    }
    this.#early.push(reply)
  }

  /** True if this value is dealt with: it is no answer, or the last of those that a command gets. */
  #isPush(reply: Reply): boolean {
    const what = this.pushes.take(reply, this.#requestsLost)
    if (what === ANSWER) return false
    if (what === PUSHED) this.proven = true
    else if (what === CONFIRMED) this.#answer(this.#waiting.first as Command, reply)
    return true
  }

  /** `command` is the first that waits. */
  #answer(command: Command, reply: Reply): void {
    const next = this.#waiting.second
    if (next !== undefined && next.startUs > command.startUs && next.startUs < reply.startUs) this.#sendsAhead = true
    this.proven = true
    this.#exchanges.answered(command, reply)
    this.#toDrop += command.dropped
    this.#waiting.shift()
    this.#passSilent()
  }

  /** `command` is the first that waits; `reply`, which is kept, may have come before it. */
  #answerBefore(command: Command, reply: Reply): void {
    if (this.#requestsLost || this.waiting > 1 || command.dropped > 0 || !mayBeSurplus(command, reply)) {
      this.#answer(command, reply)
      return
    }
    this.proven = true
    this.#waiting.shift()
    this.#crossing = new Crossing(command, reply)
  }

  /** The client said more, or nobody does: what the last command was given is its answer. */
  #crossed(): void {
    const { command, reply } = this.#crossing as Crossing
    this.#crossing = null
    this.#exchanges.answered(command, reply)
  }

  /** The server said more: what the last command was given, and what came with it, answers commands that were not seen. */
  #surplus(): void {
    const { command, reply } = this.#crossing as Crossing
    this.#crossing = null
    this.#exchanges.alone(reply)
    this.#aloneEarly()
    this.#waiting.push(command)
  }

  /** Commands without an answer keep their place among the others. */
  #passSilent(): void {
    const waiting = this.#waiting
    for (let { first } = waiting; first !== undefined && first.silent !== ''; first = waiting.first) {
      this.#exchanges.unanswered(first)
      this.#toDrop += first.dropped
      waiting.shift()
    }
  }

  /** An answer came first because directions are captured apart, or it answers something from before the capture. */
  #takeEarly(): void {
    for (let { first } = this.#waiting; first !== undefined && this.#early.count > 0; first = this.#waiting.first) {
      const reply = this.#early.shift()
      if (!first.counted || isUnasked(reply, first.startUs, !this.proven)) this.#exchanges.alone(reply)
      else if (!this.#isPush(reply)) this.#answerBefore(first, reply)
    }
  }

  /**
   * Requests were lost, and answers came since. A client that now asks again has had all its answers, if it waits for them:
   * as many as it sent requests that we saw, and they are theirs; otherwise nobody can tell.
   */
  #settle(startUs: number): void {
    if (this.#early.count === 0 || startUs <= this.#lastReplyUs) return
    if (this.#mode.unknown) {
      this.#apart()
      return
    }
    if (this.#sendsAhead) {
      if (startUs - this.#lastReplyUs < QUIET_US) return
      this.#apart()
    } else if (!this.#pairAll()) this.#apart()
    this.#requestsLost = false
  }

  #pairAll(): boolean {
    const answers = this.#early.all()
    const asked = this.#waiting.all().filter((command) => command.silent === '')
    if (answers.length !== asked.length) return false
    for (const [i, answer] of answers.entries()) if (answer.startUs < asked[i].startUs) return false
    for (const answer of this.#early.takeAll()) {
      const first = this.#waiting.first as Command
      first.note('redis.paired_after_loss')
      if (!this.#isPush(answer)) this.#answer(first, answer)
    }
    return true
  }

  #apart(): void {
    this.#lose(this.waiting)
    this.#aloneEarly()
  }

  #aloneEarly(): void {
    for (const reply of this.#early.takeAll()) this.#exchanges.alone(reply)
  }

  /** The client says nothing more, and all of it was seen. */
  requestsEnded(): void {
    if (this.#requestsLost) this.#settle(Number.POSITIVE_INFINITY)
  }

  /** The first `count` get no answer any more. */
  #lose(count: number): void {
    for (let i = 0; i < count; i++) {
      const first = this.#waiting.first as Command
      if (first.silent === '') first.note('redis.response_lost')
      this.#exchanges.giveUp(first)
      this.#waiting.shift()
    }
    this.#toDrop = 0
    this.#passSilent()
  }

  requestsLost(): void {
    if (this.#crossing !== null) this.#crossed()
    // What was doubtful stays so.
    if (this.#requestsLost) this.#apart()
    else this.#aloneEarly()
    this.#requestsLost = true
    this.session.forget()
    this.#transaction.lost()
  }

  /**
   * Values are missing; `underWayUs` is when the one under way began, 0 if there is none. What the oldest that waits was
   * told is hit, unless it was sent after all that we saw.
   */
  repliesLost(underWayUs: number): void {
    if (this.#crossing !== null) this.#surplus()
    this.#aloneEarly()
    const { first } = this.#waiting
    if (first !== undefined && first.startUs <= Math.max(underWayUs, this.#lastReplyUs)) {
      this.#hitUs = first.startUs
      this.#lose(1)
      this.#toDrop += first.dropped
    }
    this.#transaction.lost()
  }

  /**
   * After a loss of answers, a segment starts at `atUs`; `beforeUs` is the time of the answers just before it, 0 if they
   * were lost. True if it begins the answer to a command that waits: the first one sent after all others were answered.
   */
  repliesGoOn(atUs: number, beforeUs: number): boolean {
    const waiting = this.#waiting
    const first = waiting.newestUntil(atUs)
    if (first < 0) return false
    const { startUs } = waiting.at(first)
    // What was sent together with a command whose answer was hit is answered together with it.
    if (beforeUs >= startUs || this.#hitUs >= startUs) return false
    if (beforeUs === 0 && startUs <= this.#lastReplyUs) return false
    if (this.#sendsAhead && (beforeUs === 0 || startUs - beforeUs < QUIET_US)) return false
    this.#lose(first)
    if (waiting.count === 0) return false
    if (beforeUs > 0) return true
    // Its first bytes may be among what was lost: how many answers come until the client asks again will tell.
    for (const command of waiting.all()) command.counted = false
    waiting.at(0).whole = false
    this.#requestsLost = true
    return true
  }

  /** Bytes of the server that could not be read. */
  repliesSeen(timeUs: number): void {
    this.#lastReplyUs = timeUs
  }

  get lastReplyUs(): number {
    return this.#lastReplyUs
  }

  /** While a server makes a copy for a replica it sends a line end each second (replication.c). */
  get keptAlive(): boolean {
    return this.#next?.kind === SYNC
  }

  /** SYNC is answered with a length and as many bytes, without an end. */
  get syncing(): boolean {
    return this.#next?.method === 'SYNC'
  }

  /** Whose answer the server's next words may be. */
  get #next(): Command | undefined {
    return this.#crossing === null ? this.#waiting.first : this.#crossing.command
  }

  close(reason: CloseReason, repliesMissing: boolean): void {
    if (this.#crossing !== null) this.#crossed()
    if (this.#requestsLost && this.#early.count > 0) this.#apart()
    this.#transaction.lost()
    this.#aloneEarly()
    const unknown = repliesMissing || this.#requestsLost || reason === 'evicted'
    const outcome = reason === 'reset' ? 'reset' : unknown ? 'unknown' : 'no_response'
    for (const command of this.#waiting.all()) this.#exchanges.giveUp(command, outcome)
    this.#waiting.clear()
  }

  save(out: StateWriter): void {
    this.session.save(out)
    this.#transaction.save(out)
    this.#waiting.save(out)
    this.#early.save(out)
    Crossing.save(this.#crossing, out)
    this.#mode.save(out)
    out.bool(this.#requestsLost)
    out.number(this.#hitUs)
    out.bool(this.#sendsAhead)
    out.bool(this.proven)
    out.number(this.#lastReplyUs)
    out.number(this.#toDrop)
    out.number(this.pushes.unasked)
  }

  restore(state: StateReader): void {
    this.session.restore(state)
    this.#transaction.restore(state)
    this.#waiting.restore(state)
    this.#early.restore(state)
    this.#crossing = Crossing.restore(state)
    this.#mode.restore(state)
    this.#requestsLost = state.bool()
    this.#hitUs = state.number()
    this.#sendsAhead = state.bool()
    this.proven = state.bool()
    this.#lastReplyUs = state.number()
    this.#toDrop = state.number()
    this.pushes.unasked = state.number()
  }
}
