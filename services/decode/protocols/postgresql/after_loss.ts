/**
 * Whose answers these are, after a loss: they are not counted off any more. What is sent later than the loss is answered
 * whole; in between, a client that waits for its answers has only its last unit open, and of the unit that the loss touched
 * the last answers belong to the last operations. What rests on such a conclusion is kept until the client's next message
 * confirms it.
 */
import type { Exchange, Outcome } from '../../../core/exchange.js'
import { answer, unanswered } from './describe.js'
import type { Doubts } from './doubts.js'
import * as ops from './op.js'
import { endsUnit, isFlow, type Op } from './op.js'
import { isForgetting, type Operations } from './operations.js'
import type { Pace } from './pace.js'
import { ALONE, TAKE, TOUCHED } from './place.js'
import { Reply, restoredReply } from './reply.js'

/** After so long a silence a client that sends ahead is taken to have had all its answers. */
const QUIET_US = 5_000_000
/** Answers of a touched unit that are kept until its end shows whose they are. */
const TOUCHED_MAX = 256

export class AfterLoss {
  readonly #operations: Operations
  readonly #doubts: Doubts
  readonly #pace: Pace
  /** It is not known yet again where answers belong. */
  dark = false
  /** Answers to what was sent since then are whole. */
  #lossUs = 0
  /** Requests were lost too, so that an answer may be theirs. */
  #missing = false
  #touched = false
  #touchedReplies: Reply[] = []
  #ambiguous = false

  constructor(operations: Operations, doubts: Doubts, pace: Pace) {
    this.#operations = operations
    this.#doubts = doubts
    this.#pace = pace
  }

  begin(lossUs: number): void {
    this.dark = true
    this.#touched = false
    this.#touchedReplies = []
    this.#lossUs = lossUs
  }

  #end(): void {
    this.dark = false
    this.#touched = false
    this.#touchedReplies = []
    this.#missing = false
  }

  /** The client went on as one that had its answer: no conclusion was wrong. */
  confirm(): void {
    this.#ambiguous = false
    this.#doubts.confirm()
  }

  /** Where a message that came at `timeUs` belongs. */
  place(timeUs: number): number {
    const { queue } = this.#operations
    if (this.#touched && queue.until(timeUs).count === 1) return TOUCHED
    while (queue.first?.kind === ops.LOST) this.giveUp(1, 'unknown', '')
    const { count, from, lost } = queue.until(timeUs)
    if (count === 0) return this.answersLost()
    const unit = queue.at(from) as Op
    if (this.#mayBeAnother(unit, count, from, lost)) {
      this.#giveUpUntil(timeUs)
      this.#operations.reply = new Reply()
      return this.answersLost()
    }
    if (from > 0) {
      this.giveUp(from, 'unknown', 'postgresql.response_lost')
      this.#operations.reply = new Reply()
    }
    this.#doubts.split()
    // A unit behind lost requests may have begun among them, but for one that is a single message.
    const whole = !this.#missing || endsUnit(unit.kind)
    if (unit.startUs >= this.#lossUs && whole) {
      this.#doubts.doubting = this.#ambiguous || (this.#missing && !this.#pace.waits)
      this.#end()
      this.#operations.reply = inferred(new Reply())
      return TAKE
    }
    inferred(this.#operations.reply)
    this.#touched = true
    return TOUCHED
  }

  /** Could the answer be that of another unit than `unit`, the last of `count` that were sent by then? */
  #mayBeAnother(unit: Op, count: number, from: number, lost: boolean): boolean {
    const { waits, sendsAhead, lastReadyUs } = this.#pace
    const missing = lost || this.#missing
    const waited = !sendsAhead && (waits || this.#answeredBefore(unit, from))
    if (count === 1 ? sendsAhead && missing : !waited) this.#ambiguous = true
    if (this.#ambiguous && count === 1 && unit.startUs - lastReadyUs > QUIET_US) this.#ambiguous = false
    // One that speaks after each answer waits, or keeps a window full; which of them, the next answers show.
    const inTurn = count === 1 && !sendsAhead && !missing && unit.startUs >= this.#lossUs
    const tried = this.#ambiguous && inTurn && unit.startUs > lastReadyUs && this.#doubts.none
    return this.#ambiguous && !tried
  }

  /** The answer to the unit before had begun when this one was sent. */
  #answeredBefore(unit: Op, from: number): boolean {
    const { queue } = this.#operations
    let before = from - 1
    while (before > 0 && !endsUnit(queue.at(before - 1)?.kind ?? ops.LOST)) before -= 1
    const sentUs = queue.at(before)?.startUs ?? Number.POSITIVE_INFINITY
    const { answeredUs } = this.#pace
    return !this.#missing && sentUs <= answeredUs && answeredUs < unit.startUs
  }

  /** The answer is to something that was lost; then so may be the one before it. */
  answersLost(): number {
    this.#doubts.split()
    return ALONE
  }

  #giveUpUntil(timeUs: number): void {
    const { queue } = this.#operations
    let to = 0
    let inside = false
    for (let op = queue.at(to); op !== null; op = queue.at(++to)) {
      if (!inside && op.startUs > timeUs) break
      inside = !endsUnit(op.kind)
    }
    this.giveUp(to, 'unknown', 'postgresql.response_lost')
  }

  /** The first `count` operations get no answer any more. */
  giveUp(count: number, outcome: Outcome, anomaly: string): void {
    const operations = this.#operations
    for (; count > 0; count--) {
      const op = operations.queue.shift()
      if (op.kind === ops.LOST) {
        this.#missing = true
        operations.prepared.requestsLost()
      } else this.#assume(op)
      if (!isFlow(op.kind)) continue
      const exchange = operations.requestOf(op)
      unanswered(exchange, outcome, anomaly)
      operations.hand(exchange)
    }
  }

  /** Nobody saw the answer: what holds unless something failed, and nothing where something else might. */
  #assume(op: Op): void {
    const { prepared } = this.#operations
    if (op.kind === ops.PARSE) prepared.defineUnsure(op)
    else if (op.kind === ops.BIND) prepared.bind(op)
    else if (op.kind === ops.CLOSE) prepared.closes(op)
    else if (op.kind === ops.QUERY && isForgetting(op.text)) prepared.closeAll()
  }

  /** An error comes beside a loss; one that ends the session answers nothing, and takes nothing of an answer. */
  errs(timeUs: number): void {
    const operations = this.#operations
    if (operations.queue.first?.kind === ops.QUERY) return
    const { inferred, gaps } = operations.reply
    operations.reply = new Reply()
    operations.reply.inferred = inferred
    operations.reply.gaps = gaps
    operations.reply.startUs = timeUs
  }

  /** A login was refused: nothing else follows. */
  get refused(): boolean {
    const { reply, queue } = this.#operations
    return reply.fatal && queue.last?.kind === ops.STARTUP && LOGIN_ERRORS.test(reply.error?.sqlstate ?? '')
  }

  /** In a touched unit an answer has ended. Of a query all belong together. */
  ended(): void {
    const operations = this.#operations
    if (operations.reply.fatal) return operations.standAlone()
    if (operations.queue.first?.kind === ops.QUERY || this.#touchedReplies.length >= TOUCHED_MAX) return
    this.#touchedReplies.push(operations.reply)
    operations.reply = inferred(new Reply())
  }

  /** ReadyForQuery of the unit that a loss touched. */
  ready(): void {
    const { queue, reply } = this.#operations
    const replies = this.#touchedReplies
    if (reply.ended) replies.push(reply)
    const all = queue.all()
    let size = all.findIndex(({ kind }) => endsUnit(kind) || kind === ops.LOST)
    const whole = size >= 0 && all[size].kind !== ops.LOST
    if (size < 0) size = all.length
    if (whole) size += 1
    let left = all.slice(0, size).filter(({ kind }) => isFlow(kind)).length
    // After an error not every Execute has an answer.
    const countable =
      whole && replies.length < TOUCHED_MAX && (left === 1 || !replies.some(({ error }) => error !== null))
    const alone = countable ? Math.max(0, replies.length - left) : replies.length
    for (const each of replies.splice(0, alone)) this.#operations.hand(this.#operations.aloneOf(each))
    for (; size > 0; size--) {
      const op = queue.first as Op
      const has = isFlow(op.kind) && countable && replies.length >= left
      if (isFlow(op.kind)) left -= 1
      if (has) this.#pair(op, replies.shift() as Reply)
      else this.giveUp(1, 'unknown', 'postgresql.response_lost')
    }
    this.#end()
  }

  #pair(op: Op, reply: Reply): void {
    const operations = this.#operations
    operations.queue.shift()
    const sure = operations.requestOf(op)
    answer(sure, reply, operations.session)
    sure.complete = false
    this.doubt(op, sure, reply)
    operations.forget(reply)
  }

  /** `sure` is the exchange of `op` and `reply`, if they belong together. */
  doubt(op: Op, sure: Exchange, reply: Reply, crossing = false): void {
    const request = this.#operations.requestOf(op)
    unanswered(request, 'unknown', 'postgresql.response_lost')
    this.#doubts.add({ sure, request, response: this.#operations.aloneOf(reply), crossing })
  }

  /** The connection is over while it is dark. */
  close(): void {
    const operations = this.#operations
    for (const reply of this.#touchedReplies) operations.hand(operations.aloneOf(reply))
    if (operations.reply.startUs !== 0) operations.standAlone()
  }

  saved(): SavedLoss {
    return {
      dark: this.dark,
      lossUs: this.#lossUs,
      missing: this.#missing,
      touched: this.#touched,
      touchedReplies: this.#touchedReplies,
      ambiguous: this.#ambiguous,
    }
  }

  restore(saved: SavedLoss): void {
    this.dark = saved.dark
    this.#lossUs = saved.lossUs
    this.#missing = saved.missing
    this.#touched = saved.touched
    this.#touchedReplies = saved.touchedReplies.map(restoredReply)
    this.#ambiguous = saved.ambiguous
  }
}

export interface SavedLoss {
  dark: boolean
  lossUs: number
  missing: boolean
  touched: boolean
  touchedReplies: Reply[]
  ambiguous: boolean
}

/** Errors that only a login gets: authorization, no such database, too many connections, starting up. */
const LOGIN_ERRORS = /^(28|3D|53300|57P03)/

function inferred(reply: Reply): Reply {
  reply.inferred = true
  return reply
}
