/**
 * Pairs requests and answers of protocols that answer in order (HTTP/1, Redis, SMTP). While nothing is lost they are
 * counted off. After a loss of unknown content counting says nothing; then the order in time does, for clients that wait
 * for an answer before they ask again: an answer belongs to the last request sent before it began. Whether a further
 * request was lost in between shows only with the next bytes of the client, so such a pair is handed over when the next
 * request has come without a gap, or the client's direction has ended without one. What stays in doubt is handed over
 * apart, a request without an answer and an answer without a request: never a guess.
 *
 * An answer that was captured a moment before its request crossed it on the way, or its own request was never captured and
 * the next one's answer is still to come. So it stays beside that request: what the client sends next shows the former, a
 * further answer before that the latter.
 */
import type { Exchange, Outcome } from '../../../core/exchange.js'
import type { CloseReason, ExchangeSink } from '../../../core/protocol.js'
import { type Direction, TO_CLIENT } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { CROSSING_US_MAX } from './crossing.js'
import { joinResponse, note, Pending, restorePending, savePending } from './pending.js'

/** Requests without an answer on one connection: a one-sided capture must not grow. Real clients pipeline far fewer. */
export const PENDING_MAX = 1024
/** What they may say in all. A state of it is read and written for each checkpoint. */
const PENDING_CHARS_MAX = 128 * 1024
const LOOK_EVERY = 16
/** After so long a silence a client that sends ahead is taken to have had all its answers. */
const QUIET_US = 5_000_000

/** What the exchanges of a protocol look like from the start, and the names of its anomalies: `http1.response_lost` ... */
export interface PairingNames {
  readonly protocol: string
  readonly responseLost: string
  readonly responseAlone: string
  /** Paired by time, after a loss, with evidence that nothing else was lost. */
  readonly inferred: string
  readonly tooMany: string
  /** A request whose head has no end. */
  readonly headCut: string
  /** The answer began before the request was whole. */
  readonly early: string
}

export class PairingByOrder {
  readonly #out: ExchangeSink
  readonly #names: PairingNames
  /** Requests in order, from the oldest that is not handed over. */
  #open: Pending[] = []
  /** An answer that came before its request, where by count the next request is its own. */
  #early: Pending | null = null
  /** An answer with a `partner`. */
  #doubtful: Pending | null = null
  #requestsLost = false
  #responsesLost = false
  /** The client says nothing more. */
  #requestsOver = false
  /** This client was seen to send a request before the last one was answered. */
  #sendsAhead = false
  /** This client was seen to wait for an answer before its next request. */
  #waits = false
  /** Something was lost before the oldest open request, and that this client waits is taken for granted so far. */
  #assumed = false
  /** Answers of a client that sends ahead were lost: nobody can tell which. */
  #ambiguous = false
  #lastResponseUs = 0
  /** When the answers went on after the last loss. */
  #lossUs = 0
  /** When the last answer began that was handed over alone. */
  #aloneUs = 0
  /** Requests and answers that began. */
  #begun = 0

  constructor(out: ExchangeSink, names: PairingNames) {
    this.#out = out
    this.#names = names
  }

  /** The oldest request without an answer, or null. */
  get nextUnanswered(): Pending | null {
    const open = this.#open
    for (let i = 0; i < open.length; i++) if (!open[i].answered) return open[i]
    return null
  }

  /** Nothing was lost, and all requests seen are answered: an answer that comes now came before its request, or has none. */
  get awaitsRequest(): boolean {
    if (this.#requestsLost || this.#responsesLost || this.#requestsOver || this.#early !== null) return false
    // One that comes beside a crossing one has its request already.
    if (this.#doubtful?.crossing) return false
    return this.nextUnanswered === null
  }

  /** The request that began last, unless it is handed over. */
  get newest(): Pending | null {
    return this.#open[this.#open.length - 1] ?? this.#doubtful?.partner ?? null
  }

  /** A request begins: the exchange to fill. `requestDone` is called when it is whole. */
  request(startUs: number): Pending {
    const open = this.#open
    this.#begun += 1
    const doubtful = this.#doubtful
    if (doubtful?.crossing) this.#confirm(doubtful)
    else if (doubtful !== null) {
      // Sent before that answer came: this client does not wait, and the answer may be anyone's.
      if (startUs < doubtful.exchange.respStartUs) this.#split(doubtful)
      else this.#confirm(doubtful)
      this.#assumed = false
    }
    const early = this.#early
    if (early !== null) {
      const { respStartUs } = early.exchange
      if (!this.#requestsLost && mayAnswer(respStartUs, startUs, !early.counted)) {
        this.#early = null
        if (respStartUs < startUs && this.#doubtful === null) {
          const pending = this.#newRequest()
          this.#cross(pending, early)
          return pending
        }
        early.alone = false
        early.counted = true
        early.requestDone = false
        open.push(early)
        return early
      }
      this.#leaveAlone()
    }
    if (open.length === 0) this.#nothingOutstanding(startUs)
    else if (open.length >= LOOK_EVERY && open.length % LOOK_EVERY === 0) this.#keepSmall()
    const pending = this.#newRequest()
    open.push(pending)
    return pending
  }

  #newRequest(): Pending {
    const pending = new Pending()
    pending.exchange.protocol = this.#names.protocol
    pending.counted = !this.#requestsLost
    return pending
  }

  /** `request` is the newest and not among the open ones; `answer` came before it. */
  #cross(request: Pending, answer: Pending): void {
    answer.partner = request
    answer.crossing = true
    request.crossing = true
    this.#doubtful = answer
  }

  /** What was taken for its answer was one too many: the request waits again. */
  #surplus(answer: Pending): void {
    const request = answer.partner as Pending
    this.#doubtful = null
    answer.partner = null
    answer.crossing = false
    request.crossing = false
    this.#open.unshift(request)
    if (answer.responseDone) this.#standAlone(answer)
  }

  /** Another protocol follows what `answer` says: it is its request's. The exchange that knows both. */
  switches(answer: Pending): Exchange {
    if (answer !== this.#doubtful || !answer.crossing) return answer.exchange
    answer.confirmed = true
    return answer.request
  }

  /** For a client that waits, what was lost before does not matter any more. Whether it does is not known yet: `assumed`. */
  #nothingOutstanding(startUs: number): void {
    const lastUs = this.#lastResponseUs
    if (startUs < this.#aloneUs) {
      this.#requestsLost = true
      return
    }
    if (this.#requestsLost || this.#responsesLost) {
      if (this.#ambiguous && startUs - lastUs > QUIET_US) this.#ambiguous = false
      if (this.#ambiguous || this.#sendsAhead) return
      if (!this.#waits) this.#assumed = true
      this.#requestsLost = false
      this.#responsesLost = false
    } else if (lastUs !== 0 && startUs >= lastUs) this.#waits = true
  }

  requestDone(pending: Pending): void {
    pending.requestDone = true
    const doubtful = this.#doubtful
    if (doubtful !== null && doubtful.partner === pending) this.#joinIfDone(doubtful)
    else if (pending.responseDone) this.#emitOpen(pending)
  }

  /**
   * An answer begins: the exchange to fill, which may be its request's. `responseDone` is called when it is whole. One of a
   * kind that also comes unasked is given to no request after a loss.
   */
  response(startUs: number, mayBeUnasked = false): Pending {
    this.#begun += 1
    if (this.#early !== null) {
      // Two answers and no request: requests of this client are not seen, or later than answers may wait.
      this.#leaveAlone()
      this.#requestsLost = true
    }
    const doubtful = this.#doubtful
    if (doubtful?.crossing && !doubtful.confirmed) {
      // Two answers and one request: the later one is its own, unless a server says so that it has nothing to answer.
      if (mayBeUnasked) this.#confirm(doubtful)
      else this.#surplus(doubtful)
    }
    // Two answers and no request between them: one of them belongs to a request that was lost.
    if (this.#doubtful !== null) this.#split(this.#doubtful)
    if (mayBeUnasked && (this.#requestsLost || this.#responsesLost)) return this.#alone()
    const first = this.nextUnanswered
    if (first === null && !this.#responsesLost && !this.#requestsLost) {
      this.#early = this.#alone()
      this.#early.counted = !mayBeUnasked
      return this.#early
    }
    if (first === null || this.#responsesLost || !first.counted) return this.#byTime(startUs)
    // A server that gave up waiting says so (408), and the client's next request crosses it on the way.
    if (!mayAnswer(startUs, first.exchange.reqStartUs, mayBeUnasked)) return this.#alone()
    if (startUs < first.exchange.reqStartUs && !this.#assumed && first === this.newest) {
      const answer = this.#alone()
      this.#open.pop()
      this.#cross(first, answer)
      return answer
    }
    this.#judgeClient(first, startUs)
    return this.#assumed ? this.#byAssumption(first, startUs) : first
  }

  /** Counted off after a loss, as if this client waited for answers: what comes next shows whether it does. */
  #byAssumption(first: Pending, startUs: number): Pending {
    if (this.#sendsAhead) {
      this.#assumed = false
      this.#requestsLost = true
      for (const pending of this.#open) pending.counted = false
      return this.#byTime(startUs)
    }
    return this.#doubt(first)
  }

  #doubt(request: Pending): Pending {
    this.#open.splice(this.#open.indexOf(request), 1)
    const answer = this.#alone()
    answer.partner = request
    return (this.#doubtful = answer)
  }

  /** By time, not by order of arrival: a source may hold segments of one direction back. */
  #judgeClient(answered: Pending, startUs: number): void {
    const open = this.#open
    const next = open[0] === answered ? open[1] : open[open.indexOf(answered) + 1]
    if (next !== undefined && next.exchange.reqStartUs < startUs) this.#sendsAhead = true
  }

  #byTime(startUs: number): Pending {
    const open = this.#open
    const from = open.findIndex((pending) => !pending.answered)
    if (from < 0) return this.#alone()
    this.#leaveAnsweredApart(from)
    if (from === open.length) return this.#alone()
    let to = from
    while (to < open.length && open[to].exchange.reqStartUs <= startUs) to++
    if (to === from) return this.#alone()
    const onlyOne = to - from === 1 && (this.#responsesLost || !this.#sendsAhead)
    if (this.#ambiguous || !(onlyOne || (!this.#sendsAhead && this.#waitedBefore(open[to - 1], open[to - 2])))) {
      this.#ambiguous = true
      for (const pending of open.splice(from, to - from)) this.#answerLost(pending)
      return this.#alone()
    }
    for (const pending of open.splice(from, to - from - 1)) this.#answerLost(pending)
    const request = open[from]
    note(request.exchange, this.#names.inferred)
    const certain = (!this.#responsesLost && this.#waits) || open.length > from + 1
    this.#responsesLost = false
    this.#requestsLost = false
    for (const pending of open) pending.counted = true
    return certain ? request : this.#doubt(request)
  }

  /** Requests that were sent before an answer that stood alone: it may have been theirs. */
  #leaveAnsweredApart(from: number): void {
    const open = this.#open
    let to = from
    while (to < open.length && open[to].exchange.reqStartUs < this.#aloneUs) to++
    for (const pending of open.splice(from, to - from)) this.#answerLost(pending)
  }

  /** Did the client wait for an answer before this request? It did so before, or something came between the two. */
  #waitedBefore(request: Pending, before: Pending): boolean {
    const { reqStartUs } = request.exchange
    const { reqEndUs } = before.exchange
    return this.#waits || (reqEndUs < reqStartUs && reqEndUs <= this.#lossUs && this.#lossUs <= reqStartUs)
  }

  responseDone(pending: Pending): void {
    this.#lastResponseUs = pending.exchange.respEndUs
    pending.responseDone = true
    if (pending === this.#early) return
    if (pending === this.#doubtful) this.#joinIfDone(pending)
    else if (pending.alone) this.#standAlone(pending)
    else if (pending.requestDone) this.#emitOpen(pending)
  }

  /** Messages of unknown number were lost in this direction; what follows came at `timeUs`. */
  lost(direction: Direction, timeUs: number): void {
    const doubtful = this.#doubtful
    if (direction === TO_CLIENT) {
      if (doubtful?.crossing && !doubtful.confirmed) this.#surplus(doubtful)
      this.#responsesLost = true
      this.#lossUs = timeUs
      return
    }
    this.#requestsLost = true
    if (doubtful?.crossing) this.#confirm(doubtful)
    else if (doubtful !== null && !doubtful.confirmed) this.#split(doubtful)
    if (this.#early !== null) this.#leaveAlone()
  }

  /** The client's direction ended, and all its bytes were seen. */
  requestsEnded(): void {
    this.#requestsOver = true
    // Of a crossing one the client's end tells nothing: the next answer does.
    if (this.#doubtful !== null && !this.#doubtful.crossing) this.#confirm(this.#doubtful)
  }

  /** Hands over what is open. The decoder has ended the messages under way before. */
  close(reason: CloseReason): void {
    if (this.#tooLittle()) return
    if (this.#doubtful !== null && (this.#assumed || this.#doubtful.crossing)) this.#confirm(this.#doubtful)
    if (this.#doubtful !== null) this.#split(this.#doubtful)
    if (this.#early !== null) this.#leaveAlone()
    const lost = this.#responsesLost || this.#ambiguous || reason === 'evicted'
    const outcome: Outcome = reason === 'reset' ? 'reset' : lost ? 'unknown' : 'no_response'
    for (const pending of this.#open.splice(0)) this.#unanswered(pending, outcome)
  }

  /** One request without the end of its head is all there ever was: that is no proof of the protocol. */
  #tooLittle(): boolean {
    if (this.#begun !== 1 || this.#open.length !== 1) return false
    const { exchange } = this.#open[0]
    return exchange.gaps === 0 && exchange.anomalies.includes(this.#names.headCut)
  }

  #confirm(answer: Pending): void {
    answer.confirmed = true
    this.#joinIfDone(answer)
  }

  #joinIfDone(answer: Pending): void {
    const request = answer.partner
    if (request === null || !answer.confirmed || !answer.responseDone || !request.requestDone) return
    this.#doubtful = null
    joinResponse(request.exchange, answer.exchange)
    if (answer.crossing) note(request.exchange, this.#names.early)
    this.#out.exchange(request.exchange)
  }

  /** Whose answer it is cannot be known. */
  #split(answer: Pending): void {
    const request = answer.partner
    this.#doubtful = null
    this.#assumed = false
    answer.partner = null
    answer.crossing = false
    if (request !== null) {
      request.crossing = false
      const { exchange } = request
      exchange.anomalies = exchange.anomalies.filter((each) => each !== this.#names.inferred)
      // Its own messages may still be under way; then it is handed over with them.
      if (request.requestDone) this.#answerLost(request)
      else this.#open.unshift(request)
    }
    if (answer.responseDone) this.#standAlone(answer)
    this.#responsesLost = true
  }

  #alone(): Pending {
    const pending = new Pending()
    pending.exchange.protocol = this.#names.protocol
    pending.alone = true
    pending.requestDone = true
    return pending
  }

  #leaveAlone(): void {
    const early = this.#early
    this.#early = null
    if (early?.responseDone) this.#standAlone(early)
  }

  #standAlone(pending: Pending): void {
    this.#aloneUs = Math.max(this.#aloneUs, pending.exchange.respStartUs)
    note(pending.exchange, this.#names.responseAlone)
    pending.exchange.complete = false
    this.#out.exchange(pending.exchange)
  }

  #emitOpen(pending: Pending): void {
    const open = this.#open
    if (open[0] === pending) open.shift()
    else {
      const at = open.indexOf(pending)
      if (at >= 0) open.splice(at, 1)
    }
    this.#out.exchange(pending.exchange)
  }

  /** Deep pipelines are looked at now and then: so many requests, and no more than so much text of theirs, may wait. */
  #keepSmall(): void {
    const open = this.#open
    let chars = 0
    for (const { exchange } of open) chars += charsOf(exchange)
    while (open.length >= LOOK_EVERY && (chars > PENDING_CHARS_MAX || open.length >= PENDING_MAX)) {
      const before = open.length
      chars -= charsOf(open[0].exchange)
      this.#giveUpOldest()
      if (open.length === before) return
    }
  }

  #giveUpOldest(): void {
    const oldest = this.nextUnanswered
    if (oldest === null) return
    this.#open.splice(this.#open.indexOf(oldest), 1)
    note(oldest.exchange, this.#names.tooMany)
    this.#unanswered(oldest, 'no_response')
    // Its answer may still come, and then counting would be off by one.
    this.#ambiguous = true
    this.#requestsLost = true
    for (const pending of this.#open) pending.counted = false
  }

  #answerLost(pending: Pending): void {
    note(pending.exchange, this.#names.responseLost)
    this.#unanswered(pending, 'unknown')
  }

  #unanswered(pending: Pending, outcome: Outcome): void {
    const { exchange } = pending
    exchange.complete = false
    if (exchange.outcome === 'unknown') exchange.outcome = outcome
    this.#out.exchange(exchange)
  }

  /** `request` and `response` are the messages under way in the decoder. */
  save(out: StateWriter, request: Pending | null, response: Pending | null): void {
    out.bool(this.#requestsLost)
    out.bool(this.#responsesLost)
    out.bool(this.#requestsOver)
    out.bool(this.#sendsAhead)
    out.bool(this.#waits)
    out.bool(this.#assumed)
    out.bool(this.#ambiguous)
    out.number(this.#lastResponseUs)
    out.number(this.#lossUs)
    out.number(this.#aloneUs)
    out.number(this.#begun)
    const all = this.#all()
    // A request beside its doubtful answer is saved with it: -2.
    const partner = this.#doubtful?.partner ?? null
    // Messages may be under way whose exchange was handed over: their rest must still be read as theirs.
    for (const each of [request, response]) {
      if (each !== null && each !== partner && !all.includes(each)) all.push(each)
    }
    out.number(all.length)
    for (const pending of all) savePending(pending, out)
    out.number(this.#open.length)
    out.number(request !== null && request === partner ? -2 : indexOf(all, request))
    for (const each of [response, this.#early, this.#doubtful]) out.number(indexOf(all, each))
  }

  #all(): Pending[] {
    const all = [...this.#open]
    if (this.#early !== null) all.push(this.#early)
    if (this.#doubtful !== null) all.push(this.#doubtful)
    return all
  }

  /** The messages under way, as `save` was given them; null if the state cannot be read. */
  restore(state: StateReader): { request: Pending | null; response: Pending | null } | null {
    this.#requestsLost = state.bool()
    this.#responsesLost = state.bool()
    this.#requestsOver = state.bool()
    this.#sendsAhead = state.bool()
    this.#waits = state.bool()
    this.#assumed = state.bool()
    this.#ambiguous = state.bool()
    this.#lastResponseUs = state.number()
    this.#lossUs = state.number()
    this.#aloneUs = state.number()
    this.#begun = state.number()
    const count = state.number()
    const all: Pending[] = []
    for (let i = 0; i < count && !state.failed; i++) all.push(restorePending(state))
    this.#open = all.slice(0, state.number())
    const request = state.number()
    const response = all[state.number()] ?? null
    this.#early = all[state.number()] ?? null
    this.#doubtful = all[state.number()] ?? null
    if (state.failed) return null
    return { request: request === -2 ? (this.#doubtful?.partner ?? null) : (all[request] ?? null), response }
  }
}

function mayAnswer(responseUs: number, requestUs: number, mayBeUnasked: boolean): boolean {
  return responseUs >= requestUs || (!mayBeUnasked && requestUs - responseUs <= CROSSING_US_MAX)
}

function charsOf({ resource, reqHeaders }: Exchange): number {
  let chars = 512 + resource.length
  for (let i = 0; i < reqHeaders.length; i++) chars += reqHeaders[i].length
  return chars
}

function indexOf(all: readonly Pending[], pending: Pending | null): number {
  return pending === null ? -1 : all.indexOf(pending)
}
