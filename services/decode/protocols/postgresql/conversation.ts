/**
 * Which answer belongs to which operation. The server answers in order: a simple query with everything up to
 * ReadyForQuery, each message of the extended protocol with its own reply, Sync with ReadyForQuery. After an error in the
 * extended protocol it passes over what the client sent until its next Sync. A *unit* is what one ReadyForQuery ends.
 *
 * Names of statements and portals take effect here, with the server's answer, since only it knows whether they do.
 *
 * After a loss answers are not counted off any more. What is sent later than the loss is answered whole; in between, a
 * client that waits for its answers has only its last unit open, and of the unit that the loss touched the last answers
 * belong to the last operations. What rests on such a conclusion is kept until the client's next message confirms it.
 */
import type { Exchange, Outcome } from '../../../core/exchange.js'
import type { CloseReason, ExchangeSink, Handover } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { aloneOf, answer, describeStatement, requestOf, unanswered } from './describe.js'
import * as ops from './op.js'
import { endsUnit, isFlow, Op } from './op.js'
import { type Portal, Prepared, Statement } from './prepared.js'
import { Queue } from './queue.js'
import { Reply, ReplyError } from './reply.js'
import { AsIf, leadsToExecute } from './skipped.js'
import { Session } from './startup.js'

/** After so long a silence a client that sends ahead is taken to have had all its answers. */
const QUIET_US = 5_000_000
/** Answers of a touched unit that are kept until its end shows whose they are. */
const TOUCHED_MAX = 256

/** Where the next message of the server belongs. */
export const TAKE = 0
/** Its request is not here yet: the client's direction goes first. */
export const WAIT = 1
/** It answers a request that was lost. */
export const ALONE = 2
/** It answers the unit that a loss touched. */
export const TOUCHED = 3

/** Two readings of a pair that stands beside a loss: one exchange, or two. */
interface Doubt {
  readonly sure: Exchange
  readonly request: Exchange
  readonly response: Exchange
}

export class Conversation {
  readonly #out: ExchangeSink
  readonly session = new Session()
  readonly prepared = new Prepared()
  readonly queue = new Queue()
  reply = new Reply()
  /** The operation that failed: what follows until its Sync is passed over. */
  #failing: Op | null = null
  /** The server takes copied data. */
  copying = false
  /** After a loss: answers are not counted off until it is known again where they belong. */
  #dark = false
  /** Answers to what was sent since then are whole. */
  #lossUs = 0
  /** Requests were lost too, so that an answer may be theirs. */
  #missing = false
  #touched = false
  #touchedReplies: Reply[] = []
  #ambiguous = false
  /** This client was seen to wait for an answer before its next unit, or not to. */
  #waits = false
  #sendsAhead = false
  /** A unit after the login was answered. */
  #served = false
  #lastReadyUs = 0
  /** The last message of the server before a loss. */
  #answeredUs = 0
  /** What is handed over now rests on a conclusion. */
  #doubting = false
  #doubts: Doubt[] = []
  handover: Handover | null = null
  /** GSS encryption from here on. */
  opaque = false

  constructor(out: ExchangeSink) {
    this.#out = out
  }

  get first(): Op | null {
    return this.queue.first
  }

  get last(): Op | null {
    return this.queue.last
  }

  /** No answer was lost that is not accounted for. */
  get counted(): boolean {
    return !this.#dark
  }

  /** It asked for TLS, and nobody can count on seeing the answer any more. */
  get lostEncryption(): boolean {
    return !this.counted && this.queue.first?.kind === ops.SSL
  }

  /** An encryption request that is not answered decides what the client's next bytes are. */
  get asksEncryption(): boolean {
    const last = this.queue.last
    return last !== null && (last.kind === ops.SSL || last.kind === ops.GSSENC)
  }

  // The client's side.

  push(op: Op): void {
    if (this.queue.first === null) {
      if (!this.#dark && this.#served && op.startUs >= this.#lastReadyUs) this.#waits = true
    } else if (this.queue.full) {
      this.#giveUp(this.queue.length, 'no_response', 'postgresql.too_many_pending')
      this.#goDark(op.startUs)
    }
    this.queue.push(op)
  }

  /** The client has spoken on without a loss, and after it had its answer: nothing was missing between. */
  spoke(timeUs: number): void {
    if (this.#doubts.length === 0 || this.#doubting) return
    if (timeUs < this.#lastReadyUs) {
      this.#sendsAhead = true
      return this.#split()
    }
    this.#ambiguous = false
    for (const { sure } of this.#doubts.splice(0)) this.#out.exchange(sure)
  }

  requestsEnded(): void {
    if (!this.#doubting) this.spoke(this.#lastReadyUs)
  }

  #split(): void {
    for (const { request, response } of this.#doubts.splice(0)) {
      this.#out.exchange(request)
      this.#out.exchange(response)
    }
  }

  requestsLost(timeUs: number): void {
    this.#split()
    const { taker } = this
    if (this.copying && taker !== null) taker.gaps += 1
    this.copying = false
    if (this.queue.last?.kind !== ops.LOST) this.queue.push(new Op(ops.LOST, timeUs))
  }

  // The server's side.

  repliesLost(timeUs: number): void {
    if (this.queue.first?.kind === ops.EXECUTE) this.reply = new Reply()
    this.reply.gaps += 1
    this.#failing = null
    this.copying = false
    this.#split()
    this.#goDark(timeUs)
  }

  #goDark(lossUs: number): void {
    this.#dark = true
    this.#touched = false
    this.#touchedReplies = []
    this.#lossUs = lossUs
  }

  #light(): void {
    this.#dark = false
    this.#touched = false
    this.#touchedReplies = []
    this.#missing = false
  }

  /** Where a message that came at `timeUs` belongs. */
  place(timeUs: number): number {
    if (this.#dark) return this.#inTheDark(timeUs)
    let { first } = this.queue
    // Data of a copy that failed: nobody asks for it any more.
    while (first !== null && first.kind === ops.COPY) {
      this.queue.shift()
      first = this.queue.first
    }
    if (first === null) {
      if (this.#doubts.length === 0) return WAIT
      // One answer too many: what came before it was not what it seemed.
      this.#sendsAhead = true
      this.#goDark(timeUs)
      return this.#answersLost()
    }
    this.#answeredUs = timeUs
    if (first.kind !== ops.LOST) return TAKE
    this.#goDark(0)
    return this.#inTheDark(timeUs)
  }

  /** An answer that the next operation cannot have. */
  mismatch(timeUs: number): number {
    this.#failing = null
    this.copying = false
    this.#doubting = false
    this.#split()
    this.#goDark(timeUs + 1)
    return this.#inTheDark(timeUs)
  }

  #inTheDark(timeUs: number): number {
    if (this.#touched && this.queue.until(timeUs).count === 1) return TOUCHED
    while (this.queue.first?.kind === ops.LOST) this.#giveUp(1, 'unknown', '')
    const { count, from, lost } = this.queue.until(timeUs)
    if (count === 0) return this.#answersLost()
    const missing = lost || this.#missing
    const unit = this.queue.at(from) as Op
    const waited = !this.#sendsAhead && (this.#waits || this.#answeredBefore(unit, from))
    if (count === 1 ? this.#sendsAhead && missing : !waited) this.#ambiguous = true
    if (this.#ambiguous && count === 1 && unit.startUs - this.#lastReadyUs > QUIET_US) this.#ambiguous = false
    // One that speaks after each answer waits, or keeps a window full; which of them, the next answers show.
    const inTurn = count === 1 && !this.#sendsAhead && !missing && unit.startUs >= this.#lossUs
    const tried = this.#ambiguous && inTurn && unit.startUs > this.#lastReadyUs && this.#doubts.length === 0
    if (this.#ambiguous && !tried) {
      this.#giveUpUntil(timeUs)
      this.reply = new Reply()
      return this.#answersLost()
    }
    if (from > 0) {
      this.#giveUp(from, 'unknown', 'postgresql.response_lost')
      this.reply = new Reply()
    }
    this.#split()
    this.reply.inferred = true
    // A unit behind lost requests may have begun among them, but for one that is a single message.
    const whole = !this.#missing || endsUnit(unit.kind)
    if (unit.startUs >= this.#lossUs && whole) {
      this.#doubting = this.#ambiguous || (this.#missing && !this.#waits)
      this.#light()
      this.reply = new Reply()
      this.reply.inferred = true
      return TAKE
    }
    this.#touched = true
    return TOUCHED
  }

  /** The answer to the unit before had begun when this one was sent. */
  #answeredBefore(unit: Op, from: number): boolean {
    let before = from - 1
    while (before > 0 && !endsUnit(this.queue.at(before - 1)?.kind ?? ops.LOST)) before -= 1
    const sentUs = this.queue.at(before)?.startUs ?? Number.POSITIVE_INFINITY
    return !this.#missing && sentUs <= this.#answeredUs && this.#answeredUs < unit.startUs
  }

  /** The answer is to something that was lost; then so may be the one before it. */
  #answersLost(): number {
    this.#split()
    return ALONE
  }

  #giveUpUntil(timeUs: number): void {
    let to = 0
    let inside = false
    for (let op = this.queue.at(to); op !== null; op = this.queue.at(++to)) {
      if (!inside && op.startUs > timeUs) break
      inside = !endsUnit(op.kind)
    }
    this.#giveUp(to, 'unknown', 'postgresql.response_lost')
  }

  /** The first `count` operations get no answer any more. */
  #giveUp(count: number, outcome: Outcome, anomaly: string): void {
    for (; count > 0; count--) {
      const op = this.queue.shift()
      if (op.kind === ops.LOST) {
        this.#missing = true
        this.prepared.requestsLost()
      } else this.#assume(op)
      if (!isFlow(op.kind)) continue
      const exchange = this.#requestOf(op)
      unanswered(exchange, outcome, anomaly)
      this.#out.exchange(exchange)
    }
  }

  /** Nobody saw the answer: what holds unless something failed, and nothing where something else might. */
  #assume(op: Op): void {
    if (op.kind === ops.PARSE) this.prepared.defineUnsure(op)
    else if (op.kind === ops.BIND) this.prepared.bind(op)
    else if (op.kind === ops.CLOSE) this.#close(op)
    else if (op.kind === ops.QUERY && FORGETS.test(op.text)) this.prepared.closeAll()
  }

  #requestOf(op: Op): Exchange {
    return requestOf(op, op.kind === ops.EXECUTE ? this.prepared.portal(op.name) : null, this.session)
  }

  /** ParseComplete, BindComplete, CloseComplete: true if that is what the first operation waits for. */
  completes(kind: number): boolean {
    const op = this.queue.first
    if (op === null || op.kind !== kind || this.#failing !== null) return false
    if (kind === ops.PARSE) this.prepared.define(op)
    else if (kind === ops.BIND) this.prepared.bind(op)
    else this.#close(op)
    this.queue.shift()
    return true
  }

  #close(op: Op): void {
    if (op.portal === 'P') this.prepared.closePortal(op.name)
    else this.prepared.close(op.name)
  }

  /** ParameterDescription: the types that the server worked out. */
  describes(types: string): boolean {
    const op = this.queue.first
    if (op?.kind !== ops.DESCRIBE) return false
    const statement = this.prepared.statement(op.name)
    if (statement !== null) statement.setTypes(types)
    return true
  }

  /** RowDescription or NoData. False if nothing asked for one. */
  described(): boolean {
    const op = this.queue.first
    if (op?.kind === ops.DESCRIBE) this.queue.shift()
    else if (op?.kind !== ops.QUERY && op?.kind !== ops.EXECUTE) return false
    return true
  }

  /** May rows or their end come now? */
  get answers(): boolean {
    const op = this.queue.first
    return op !== null && this.#failing === null && (op.kind === ops.QUERY || op.kind === ops.EXECUTE)
  }

  /** Are rows certainly its? */
  get awaitsRows(): boolean {
    return !this.#dark && this.answers
  }

  /** A message that belongs to the first operation came then. */
  answeredAt(timeUs: number): void {
    this.#answeredUs = timeUs
  }

  /** The first operation has its whole answer. A query has it with ReadyForQuery only. */
  executed(): void {
    const op = this.queue.first
    if (op === null || op.kind !== ops.EXECUTE) return
    this.#hand(op)
    this.queue.shift()
    this.#next()
  }

  #hand(op: Op): void {
    const sure = this.#requestOf(op)
    if (op.kind === ops.STARTUP) sure.outcome = 'ok'
    answer(sure, this.reply, this.session)
    // Data that nobody seemed to ask for: CopyInResponse was not seen.
    if (this.queue.at(1)?.kind === ops.COPY && !op.copies) sure.complete = false
    if (forgets(this.reply.tags)) this.prepared.closeAll()
    if (!this.#doubting) return this.#out.exchange(sure)
    this.#doubt(op, sure, this.reply)
    if (contradicts(sure.method, this.reply.tags)) this.#split()
  }

  #doubt(op: Op, sure: Exchange, reply: Reply): void {
    const request = this.#requestOf(op)
    unanswered(request, 'unknown', 'postgresql.response_lost')
    this.#doubts.push({ sure, request, response: aloneOf(reply, this.session) })
  }

  #next(): void {
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
      if (op.kind === ops.QUERY || op.kind === ops.EXECUTE) break
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
      if (next.kind !== ops.COPY && next.kind !== ops.SYNC) return
      this.queue.remove(taker + 1)
      if (next.kind === ops.SYNC) continue
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

  /** ErrorResponse: false if nothing can have it. */
  failed(): boolean {
    const op = this.queue.first
    if (op === null || this.#failing !== null) return false
    if (op.kind === ops.SYNC) return false
    // Data may still be on its way, unless the client has said that this is why.
    this.reply.dataOpen = op.copies && !op.copyFailed
    if (!this.reply.fatal && (op.kind === ops.QUERY || op.kind === ops.FUNCTION)) {
      this.copying = false
      return true
    }
    if (endsUnit(op.kind)) {
      // The server closes: refused at the door, or ended by its operator.
      this.#hand(op)
      this.queue.shift()
      this.#next()
      return true
    }
    this.#failing = op
    this.copying = false
    if (op.kind === ops.EXECUTE) {
      this.#hand(op)
      this.queue.shift()
    }
    return true
  }

  /** ReadyForQuery: true, false if it fits nothing, or WAIT for the Sync. */
  ready(timeUs: number): boolean | typeof WAIT {
    if (this.#failing !== null) {
      const passed = this.#passOver(this.#failing)
      if (passed === true) this.#readyAt(timeUs)
      return passed
    }
    const op = this.queue.first
    if (op === null || !endsUnit(op.kind) || op.kind === ops.SSL || op.kind === ops.GSSENC) return false
    // That a client waits for its login says nothing of what it does later.
    this.#served ||= op.kind !== ops.STARTUP
    if (op.kind !== ops.SYNC) this.#hand(op)
    this.queue.shift()
    this.#readyAt(timeUs)
    return true
  }

  #readyAt(timeUs: number): void {
    this.#next()
    this.#failing = null
    this.#doubting = false
    this.#lastReadyUs = timeUs
    const next = this.queue.first
    if (next !== null && next.kind !== ops.LOST && next.startUs < timeUs) this.#sendsAhead = true
  }

  /** What stands between an error and the Sync was not done. */
  #passOver(failing: Op): boolean | typeof WAIT {
    const all = this.queue.all()
    const sync = all.findIndex(({ kind }) => kind === ops.SYNC || kind === ops.LOST)
    if (sync < 0) return WAIT
    if (all[sync].kind === ops.LOST) return false
    const done = all.slice(0, sync)
    const asIf = new AsIf(this.prepared)
    let told = failing.kind === ops.EXECUTE
    for (const op of done) {
      if (op === failing && !leadsToExecute(done)) {
        this.#failedAlone(failing)
        told = true
      } else if (op.kind === ops.EXECUTE || op.kind === ops.QUERY || op.kind === ops.FUNCTION) {
        this.#notDone(op, asIf.portal(op), told)
        told = true
      } else asIf.takes(op)
      this.queue.shift()
    }
    this.queue.shift()
    return true
  }

  /** There is no Execute to tell of the error. */
  #failedAlone(op: Op): void {
    const exchange = requestOf(op, null, this.session)
    const attrs = exchange.attrs as Record<string, string>
    const statement =
      op.kind === ops.PARSE ? new Statement(op.text, op.types, op.truncated) : this.prepared.statement(op.name)
    if (statement !== null) describeStatement(exchange, attrs, statement)
    attrs['postgresql.message'] = MESSAGES[op.kind] ?? ''
    answer(exchange, this.reply, this.session)
    this.#out.exchange(exchange)
  }

  #notDone(op: Op, portal: Portal | null, told: boolean): void {
    const exchange = requestOf(op, portal, this.session)
    if (!told) answer(exchange, this.reply, this.session)
    else {
      exchange.respStartUs = this.reply.startUs
      exchange.respEndUs = this.reply.endUs
      exchange.outcome = 'client_error'
      exchange.error = 'pipeline_aborted'
    }
    this.#out.exchange(exchange)
  }

  /** One byte in answer to an SSLRequest or GSSENCRequest. */
  encryption(letter: string, timeUs: number): void {
    const exchange = this.#requestOf(this.queue.shift())
    exchange.outcome = 'ok'
    exchange.respStartUs = timeUs
    exchange.respEndUs = timeUs
    exchange.respBytes = 1
    const encryption = letter === 'N' ? 'refused' : letter === 'S' ? 'tls' : 'gss'
    if (exchange.attrs !== null) exchange.attrs['postgresql.encryption'] = encryption
    this.#out.exchange(exchange)
    this.#next()
    if (letter === 'S') this.handover = { protocol: 'tls', exchange }
    else if (letter === 'G') this.opaque = true
  }

  /** What follows is TLS: the answer, which was lost, was yes. */
  encryptionFollows(): void {
    const exchange = this.#requestOf(this.queue.shift())
    exchange.complete = false
    exchange.gaps += 1
    if (exchange.attrs !== null) exchange.attrs['postgresql.encryption'] = 'tls'
    this.#out.exchange(exchange)
    this.#next()
    this.handover = { protocol: 'tls', exchange }
  }

  /** An exchange of its own: a notification, a cancel request. */
  alone(exchange: Exchange): void {
    this.#out.exchange(exchange)
  }

  /** An answer whose request was lost has come to its end. */
  standAlone(): void {
    this.#out.exchange(aloneOf(this.reply, this.session))
    if (forgets(this.reply.tags)) this.prepared.closeAll()
    this.reply = new Reply()
  }

  /** ReadyForQuery while nobody knew what was answered. */
  readyAlone(timeUs: number): void {
    this.reply = new Reply()
    this.#lastReadyUs = timeUs
  }

  /** An error comes beside a loss; one that ends the session answers nothing, and takes nothing of an answer. */
  errs(timeUs: number): void {
    if (this.queue.first?.kind === ops.QUERY) return
    const { inferred, gaps } = this.reply
    this.reply = new Reply()
    this.reply.inferred = inferred
    this.reply.gaps = gaps
    this.reply.startUs = timeUs
  }

  /** In a touched unit an answer has ended. Of a query all belong together. */
  endsTouched(): void {
    const { error } = this.reply
    if (this.reply.fatal && this.queue.last?.kind === ops.STARTUP && LOGIN_ERRORS.test(error?.sqlstate ?? '')) {
      return this.readyTouched(this.reply.endUs)
    }
    if (this.reply.fatal) return this.standAlone()
    if (this.queue.first?.kind === ops.QUERY || this.#touchedReplies.length >= TOUCHED_MAX) return
    this.#touchedReplies.push(this.reply)
    this.reply = new Reply()
    this.reply.inferred = true
  }

  /** ReadyForQuery of the unit that a loss touched. */
  readyTouched(timeUs: number): void {
    const replies = this.#touchedReplies
    if (this.reply.ended) replies.push(this.reply)
    const all = this.queue.all()
    let size = all.findIndex(({ kind }) => endsUnit(kind) || kind === ops.LOST)
    const whole = size >= 0 && all[size].kind !== ops.LOST
    if (size < 0) size = all.length
    if (whole) size += 1
    let left = all.slice(0, size).filter(({ kind }) => isFlow(kind)).length
    // After an error not every Execute has an answer.
    const countable =
      whole && replies.length < TOUCHED_MAX && (left === 1 || !replies.some(({ error }) => error !== null))
    const alone = countable ? Math.max(0, replies.length - left) : replies.length
    for (const reply of replies.splice(0, alone)) this.#out.exchange(aloneOf(reply, this.session))
    for (; size > 0; size--) {
      const op = this.queue.first as Op
      const has = isFlow(op.kind) && countable && replies.length >= left
      if (isFlow(op.kind)) left -= 1
      if (has) this.#pairTouched(op, replies.shift() as Reply)
      else this.#giveUp(1, 'unknown', 'postgresql.response_lost')
    }
    this.#light()
    this.#readyAt(timeUs)
  }

  #pairTouched(op: Op, reply: Reply): void {
    this.queue.shift()
    const sure = this.#requestOf(op)
    answer(sure, reply, this.session)
    sure.complete = false
    this.#doubt(op, sure, reply)
    if (forgets(reply.tags)) this.prepared.closeAll()
  }

  close(reason: CloseReason): void {
    this.#split()
    const { first } = this.queue
    if (this.#dark) {
      for (const reply of this.#touchedReplies) this.#out.exchange(aloneOf(reply, this.session))
      if (this.reply.startUs !== 0) this.standAlone()
    } else if (first !== null && this.reply.startUs !== 0 && isFlow(first.kind)) this.#cutShort(first, reason)
    const failing = this.#failing
    if (failing !== null && this.queue.first === failing && !leadsToExecute(this.queue.all())) {
      this.#failedAlone(failing)
      this.queue.shift()
    }
    const outcome: Outcome =
      reason === 'reset' ? 'reset' : this.#dark || reason === 'evicted' ? 'unknown' : 'no_response'
    this.#giveUp(this.queue.length, outcome, '')
  }

  /** The answer was under way. */
  #cutShort(op: Op, reason: CloseReason): void {
    const exchange = this.#requestOf(op)
    answer(exchange, this.reply, this.session)
    exchange.complete = false
    if (!this.reply.ended) exchange.outcome = reason === 'reset' ? 'reset' : 'unknown'
    this.#out.exchange(exchange)
    this.queue.shift()
  }

  save(out: StateWriter): void {
    this.prepared.save(out)
    const all = this.queue.all()
    const saved: Saved = {
      session: this.session,
      all: this.queue.saved(),
      reply: this.reply,
      failing: this.#failing,
      failingAt: this.#failing === null ? -1 : all.indexOf(this.#failing),
      copying: this.copying,
      dark: this.#dark,
      lossUs: this.#lossUs,
      missing: this.#missing,
      touched: this.#touched,
      touchedReplies: this.#touchedReplies,
      ambiguous: this.#ambiguous,
      waits: this.#waits,
      sendsAhead: this.#sendsAhead,
      served: this.#served,
      lastReadyUs: this.#lastReadyUs,
      answeredUs: this.#answeredUs,
      doubting: this.#doubting,
      doubts: this.#doubts,
      handover: this.handover,
      opaque: this.opaque,
    }
    out.string(JSON.stringify(saved))
  }

  restore(state: StateReader): void {
    this.prepared.restore(state)
    const saved = JSON.parse(state.string()) as Saved
    Object.assign(this.session, saved.session)
    this.queue.restore(saved.all)
    this.reply = restoredReply(saved.reply)
    const { failing } = saved
    // A failed Execute is no longer among them.
    if (failing !== null)
      this.#failing = this.queue.at(saved.failingAt) ?? Object.assign(new Op(failing.kind, failing.startUs), failing)
    this.copying = saved.copying
    this.#dark = saved.dark
    this.#lossUs = saved.lossUs
    this.#missing = saved.missing
    this.#touched = saved.touched
    this.#touchedReplies = saved.touchedReplies.map(restoredReply)
    this.#ambiguous = saved.ambiguous
    this.#waits = saved.waits
    this.#sendsAhead = saved.sendsAhead
    this.#served = saved.served
    this.#lastReadyUs = saved.lastReadyUs
    this.#answeredUs = saved.answeredUs
    this.#doubting = saved.doubting
    this.#doubts = saved.doubts
    this.handover = saved.handover
    this.opaque = saved.opaque
  }
}

interface Saved {
  session: Session
  all: Partial<Op>[]
  reply: Reply
  failing: Op | null
  failingAt: number
  copying: boolean
  dark: boolean
  lossUs: number
  missing: boolean
  touched: boolean
  touchedReplies: Reply[]
  ambiguous: boolean
  waits: boolean
  sendsAhead: boolean
  served: boolean
  lastReadyUs: number
  answeredUs: number
  doubting: boolean
  doubts: Doubt[]
  handover: Handover | null
  opaque: boolean
}

/** After these no prepared statement is left. */
const FORGETS = /^\s*(DEALLOCATE|DISCARD)\s+ALL/i

/** Errors that only a login gets: authorization, no such database, too many connections, starting up. */
const LOGIN_ERRORS = /^(28|3D|53300|57P03)/

/** Verbs whose command tags say the same word. */
const SAID: ReadonlySet<string> = new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'BEGIN', 'SHOW', 'LISTEN'])

/** Can this tag not be the answer to that verb? */
function contradicts(verb: string, tags: string): boolean {
  const said = /^[A-Z]*/.exec(tags)?.[0] ?? ''
  return SAID.has(verb) && SAID.has(said) && verb !== said
}

function forgets(tag: string): boolean {
  return tag.charCodeAt(0) === 68 && FORGETS.test(tag)
}

function restoredReply(saved: Reply): Reply {
  const reply = Object.assign(new Reply(), saved)
  if (saved.error !== null) reply.error = Object.assign(new ReplyError(), saved.error)
  return reply
}

const MESSAGES: Readonly<Record<number, string>> = {
  [ops.PARSE]: 'Parse',
  [ops.BIND]: 'Bind',
  [ops.DESCRIBE]: 'Describe',
  [ops.CLOSE]: 'Close',
}
