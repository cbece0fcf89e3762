/**
 * Which answer belongs to which operation. The server answers in order: a simple query with everything up to
 * ReadyForQuery, each message of the extended protocol with its own reply, Sync with ReadyForQuery. After an error in the
 * extended protocol it passes over what the client sent until its next Sync. A *unit* is what one ReadyForQuery ends.
 *
 * Names of statements and portals take effect here, with the server's answer, since only it knows whether they do.
 */
import type { Outcome } from '../../../core/exchange.js'
import type { CloseReason, ExchangeSink } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { AfterLoss, type SavedLoss } from './after_loss.js'
import { answer } from './describe.js'
import { contradicts, type Doubt, Doubts } from './doubts.js'
import { Encryption } from './encryption.js'
import { Failure, type SavedFailure } from './failure.js'
import * as ops from './op.js'
import { endsUnit, isFlow, Op } from './op.js'
import { Operations, type SavedOperations } from './operations.js'
import { Pace } from './pace.js'
import { TAKE, WAIT } from './place.js'
import { Reply } from './reply.js'

export class Conversation {
  readonly operations: Operations
  readonly encryption: Encryption
  readonly #doubts: Doubts
  readonly #failure: Failure
  readonly #pace = new Pace()
  readonly #afterLoss: AfterLoss

  constructor(out: ExchangeSink) {
    this.operations = new Operations(out)
    this.encryption = new Encryption(this.operations)
    this.#doubts = new Doubts(out)
    this.#failure = new Failure(this.operations)
    this.#afterLoss = new AfterLoss(this.operations, this.#doubts, this.#pace)
  }

  get first(): Op | null {
    return this.operations.queue.first
  }

  get reply(): Reply {
    return this.operations.reply
  }

  /** No answer was lost that is not accounted for. */
  get counted(): boolean {
    return !this.#afterLoss.dark
  }

  /** It asked for TLS, and nobody can count on seeing the answer any more. */
  get lostEncryption(): boolean {
    return this.#afterLoss.dark && this.first?.kind === ops.SSL
  }

  // The client's side.

  push(op: Op): void {
    const { queue } = this.operations
    if (queue.first === null) {
      const { served, lastReadyUs } = this.#pace
      if (this.counted && served && op.startUs >= lastReadyUs) this.#pace.waits = true
    } else if (queue.full) {
      this.#afterLoss.giveUp(queue.length, 'no_response', 'postgresql.too_many_pending')
      this.#afterLoss.begin(op.startUs)
    }
    queue.push(op)
  }

  /** The client has spoken on without a loss, and after it had its answer: nothing was missing between. */
  spoke(timeUs: number): void {
    if (this.#doubts.none || this.#doubts.doubting) return
    if (timeUs >= this.#pace.lastReadyUs) return this.#afterLoss.confirm()
    this.#pace.sendsAhead = true
    this.#doubts.split()
  }

  requestsEnded(): void {
    this.spoke(this.#pace.lastReadyUs)
  }

  requestsLost(timeUs: number): void {
    const { operations } = this
    this.#doubts.split()
    const { taker, queue } = operations
    if (operations.copying && taker !== null) taker.gaps += 1
    operations.copying = false
    if (queue.last?.kind !== ops.LOST) queue.push(new Op(ops.LOST, timeUs))
  }

  // The server's side.

  repliesLost(timeUs: number): void {
    const { operations } = this
    if (this.first?.kind === ops.EXECUTE) operations.reply = new Reply()
    operations.reply.gaps += 1
    this.#failure.op = null
    operations.copying = false
    this.#doubts.split()
    this.#afterLoss.begin(timeUs)
  }

  /** Where a message that came at `timeUs` belongs. */
  place(timeUs: number): number {
    if (this.#afterLoss.dark) return this.#afterLoss.place(timeUs)
    const { queue } = this.operations
    let { first } = queue
    // Data of a copy that failed: nobody asks for it any more.
    while (first !== null && first.kind === ops.COPY) {
      queue.shift()
      first = queue.first
    }
    if (first === null) {
      if (this.#doubts.none) return WAIT
      // One answer too many: what came before it was not what it seemed.
      if (!this.#doubts.crossing) this.#pace.sendsAhead = true
      this.#afterLoss.begin(timeUs)
      return this.#afterLoss.answersLost()
    }
    this.#pace.answeredUs = timeUs
    if (first.kind !== ops.LOST) return TAKE
    this.#afterLoss.begin(0)
    return this.#afterLoss.place(timeUs)
  }

  /** An answer that the next operation cannot have. */
  mismatch(timeUs: number): number {
    this.#failure.op = null
    this.operations.copying = false
    this.#doubts.doubting = false
    this.#doubts.split()
    this.#afterLoss.begin(timeUs + 1)
    return this.#afterLoss.place(timeUs)
  }

  /** ParseComplete, BindComplete, CloseComplete: true if that is what the first operation waits for. */
  completes(kind: number): boolean {
    const { queue, prepared } = this.operations
    const op = queue.first
    if (op === null || op.kind !== kind || this.#failure.op !== null) return false
    if (kind === ops.PARSE) prepared.define(op)
    else if (kind === ops.BIND) prepared.bind(op)
    else prepared.closes(op)
    queue.shift()
    return true
  }

  /** ParameterDescription: the types that the server worked out. */
  describes(types: string): boolean {
    const op = this.first
    if (op?.kind !== ops.DESCRIBE) return false
    this.operations.prepared.statement(op.name)?.setTypes(types)
    return true
  }

  /** RowDescription or NoData. False if nothing asked for one. */
  described(): boolean {
    const op = this.first
    if (op?.kind === ops.DESCRIBE) this.operations.queue.shift()
    else if (op?.kind !== ops.QUERY && op?.kind !== ops.EXECUTE) return false
    return true
  }

  /** May rows or their end come now? */
  get answers(): boolean {
    const op = this.first
    return op !== null && this.#failure.op === null && (op.kind === ops.QUERY || op.kind === ops.EXECUTE)
  }

  /** Are rows certainly the first operation's? */
  get awaitsRows(): boolean {
    return this.counted && this.answers
  }

  /** A message that belongs to the first operation came then. */
  answeredAt(timeUs: number): void {
    this.#pace.answeredUs = timeUs
  }

  /** The first operation has its whole answer. A query has it with ReadyForQuery only. */
  executed(): void {
    const op = this.first
    if (op?.kind === ops.EXECUTE) this.#finish(op)
  }

  /** `op` is the first. */
  #finish(op: Op): void {
    this.#hand(op)
    this.operations.queue.shift()
    this.operations.next()
  }

  #hand(op: Op): void {
    const { operations } = this
    const { reply, session } = operations
    const sure = operations.requestOf(op)
    if (op.kind === ops.STARTUP) sure.outcome = 'ok'
    answer(sure, reply, session)
    // Data that nobody seemed to ask for: CopyInResponse was not seen.
    if (operations.queue.at(1)?.kind === ops.COPY && !op.copies) sure.complete = false
    operations.forget(reply)
    const crossing = !this.#doubts.doubting && this.#crosses(op)
    if (!this.#doubts.doubting && !crossing) return operations.hand(sure)
    this.#afterLoss.doubt(op, sure, reply, crossing)
    if (contradicts(sure.method, reply.tags)) this.#doubts.split()
  }

  /** Was the answer captured before `op`, the first, whose unit is the last that was sent, and whole? */
  #crosses(op: Op): boolean {
    const { queue, reply } = this.operations
    if (reply.startUs === 0 || reply.startUs >= op.startUs) return false
    if (op.kind === ops.QUERY) return queue.length === 1
    return op.kind === ops.EXECUTE && queue.length === 2 && queue.last?.kind === ops.SYNC
  }

  /** ErrorResponse: false if nothing can have it. */
  failed(): boolean {
    const op = this.first
    if (op === null || this.#failure.op !== null || op.kind === ops.SYNC) return false
    const { operations } = this
    const { reply } = operations
    // Data may still be on its way, unless the client had said before that it was all, or says that this is why.
    const saidAll = !operations.copying && op.endUs <= reply.endUs
    reply.dataOpen = op.copies && !op.copyFailed && !saidAll
    if (!reply.fatal && (op.kind === ops.QUERY || op.kind === ops.FUNCTION)) {
      operations.copying = false
    } else if (endsUnit(op.kind)) {
      // The server closes: refused at the door, or ended by its operator.
      this.#finish(op)
    } else {
      this.#failure.op = op
      operations.copying = false
      if (op.kind === ops.EXECUTE) {
        this.#hand(op)
        operations.queue.shift()
      }
    }
    return true
  }

  /** ReadyForQuery: true, false if it fits nothing, or WAIT for the Sync. */
  ready(timeUs: number): boolean | typeof WAIT {
    if (this.#failure.op !== null) {
      const passed = this.#failure.passOver(this.#failure.op)
      if (passed === true) this.#readyAt(timeUs)
      return passed
    }
    const op = this.first
    if (op === null || !endsUnit(op.kind) || op.kind === ops.SSL || op.kind === ops.GSSENC) return false
    // That a client waits for its login says nothing of what it does later.
    this.#pace.served ||= op.kind !== ops.STARTUP
    if (op.kind !== ops.SYNC) this.#hand(op)
    this.operations.queue.shift()
    this.#readyAt(timeUs)
    return true
  }

  #readyAt(timeUs: number): void {
    this.operations.next()
    this.#failure.op = null
    this.#doubts.doubting = false
    this.#pace.lastReadyUs = timeUs
    const next = this.first
    if (next !== null && next.kind !== ops.LOST && next.startUs < timeUs) this.#pace.sendsAhead = true
  }

  /** ReadyForQuery while nobody knew what was answered. */
  readyAlone(timeUs: number): void {
    this.operations.reply = new Reply()
    this.#pace.lastReadyUs = timeUs
  }

  /** An error comes beside a loss. */
  errs(timeUs: number): void {
    this.#afterLoss.errs(timeUs)
  }

  /** In a touched unit an answer has ended. */
  endsTouched(): void {
    if (this.#afterLoss.refused) this.readyTouched(this.reply.endUs)
    else this.#afterLoss.ended()
  }

  /** ReadyForQuery of the unit that a loss touched. */
  readyTouched(timeUs: number): void {
    this.#afterLoss.ready()
    this.#readyAt(timeUs)
  }

  close(reason: CloseReason): void {
    if (this.#doubts.crossing) this.#doubts.confirm()
    this.#doubts.split()
    const { queue, reply } = this.operations
    const { first } = queue
    const { dark } = this.#afterLoss
    if (dark) this.#afterLoss.close()
    else if (first !== null && reply.startUs !== 0 && isFlow(first.kind)) this.#cutShort(first, reason)
    this.#failure.close()
    const outcome: Outcome = reason === 'reset' ? 'reset' : dark || reason === 'evicted' ? 'unknown' : 'no_response'
    this.#afterLoss.giveUp(queue.length, outcome, '')
  }

  /** The answer was under way. */
  #cutShort(op: Op, reason: CloseReason): void {
    const { operations } = this
    const exchange = operations.requestOf(op)
    answer(exchange, operations.reply, operations.session)
    exchange.complete = false
    if (!operations.reply.ended) exchange.outcome = reason === 'reset' ? 'reset' : 'unknown'
    operations.hand(exchange)
    operations.queue.shift()
  }

  save(out: StateWriter): void {
    this.operations.prepared.save(out)
    const { doubting, pairs } = this.#doubts
    const { handover, opaque } = this.encryption
    const saved: Saved = {
      ...this.operations.saved(),
      ...this.#failure.saved(),
      ...this.#afterLoss.saved(),
      ...this.#pace,
      doubting,
      doubts: pairs,
      handover,
      opaque,
    }
    out.string(JSON.stringify(saved))
  }

  restore(state: StateReader): void {
    this.operations.prepared.restore(state)
    const saved = JSON.parse(state.string()) as Saved
    this.operations.restore(saved)
    this.#failure.restore(saved)
    this.#afterLoss.restore(saved)
    for (const name of Object.keys(this.#pace)) Object.assign(this.#pace, { [name]: saved[name as keyof Pace] })
    this.#doubts.doubting = saved.doubting
    this.#doubts.pairs = saved.doubts
    this.encryption.handover = saved.handover
    this.encryption.opaque = saved.opaque
  }
}

interface Saved extends SavedOperations, SavedFailure, SavedLoss, Pace {
  doubting: boolean
  doubts: Doubt[]
  handover: Encryption['handover']
  opaque: boolean
}
