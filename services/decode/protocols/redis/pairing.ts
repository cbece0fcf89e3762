/**
 * Which answer belongs to which command. Redis answers in order, so answers are counted off; but not every value is an
 * answer (pushes, messages to subscribers, lines of MONITOR), not every command has one (CLIENT REPLY OFF and SKIP,
 * REPLCONF ACK), and some have several (SUBSCRIBE: one per channel). After a loss counting says nothing: then time does,
 * for clients that wait for their answers before they ask again; what stays in doubt is handed over apart.
 */
import { Exchange } from '../../../core/exchange.js'
import type { CloseReason, ExchangeSink } from '../../../core/protocol.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { Command, setReply } from './command.js'
import { CLIENT, REPLCONF, SUBSCRIBE, SYNC, UNSUBSCRIBE } from './commands.js'
import { endpointOf } from './key_template.js'
import { copyOfReply, type Reply } from './reply_reader.js'
import { PLUS, PUSH, STAR } from './resp.js'
import { Session } from './session.js'
import { Transaction } from './transaction.js'

/** Commands without an answer: below 100 bytes each and what they say, so that the deepest pipeline stays below 1 MiB. */
export const PENDING_MAX = 4096
/** What they may say in all, in characters, looked at now and then. */
const PENDING_CHARS_MAX = 128 * 1024
const LOOK_EVERY = 64
/** Beyond so many waiting commands their text is not kept: 512 characters each. */
export const PENDING_TEXTS_MAX = 256
/** Answers that were read before their commands, because directions are captured apart. */
const EARLY_MAX = 32
/** After so long a silence a client that sends ahead is taken to have had all its answers. */
const QUIET_US = 5_000_000

/** An answer that is seen so little before its command only seems so: two interfaces, queues or clocks saw them. */
const CROSSING_US_MAX = 100_000
/** Too many clients, protected mode: said to whoever connects, before any command; then the server closes. */
const UNASKED = /^(?:ERR|DENIED)$/

const CONFIRMATION = /^[ps]?(?:un)?subscribe$/
const MESSAGE = /^[ps]?message$/
const RESYNCHRONISING = /^(?:FULLRESYNC [0-9a-f]{40} \d+|CONTINUE(?: [0-9a-f]{40})?)$/
const MONITOR_LINE = /^\d+\.\d+ \[\d+ /

const REPLIES_ON = 0
const REPLIES_OFF = 1
const REPLIES_SKIP_NEXT = 2
/** What CLIENT REPLY said was lost. */
const REPLIES_UNKNOWN = 3

export class Pairing {
  readonly #out: ExchangeSink
  readonly session = new Session()
  readonly #transaction: Transaction
  #open: Command[] = []
  #head = 0
  /** Those that wait say more than may be kept. */
  #sayTooMuch = false
  /** How many waited when that was found out. */
  #lookedAt = 0
  #early: Reply[] = []
  #replies = REPLIES_ON
  #requestsLost = false
  /** When the command was sent whose answer was hit by the last loss. */
  #hitUs = 0
  #sendsAhead = false
  #lastReplyUs = 0
  /** Answers to drop before the next counts: their commands were handed over when too many waited. */
  #toDrop = 0
  /** Since the last command. */
  #unaskedMessages = 0
  /** Something was paired: this is Redis. */
  proven = false

  constructor(out: ExchangeSink) {
    this.#out = out
    this.#transaction = new Transaction(out, this.session)
  }

  get waiting(): number {
    return this.#open.length - this.#head
  }

  /** Arrays may be messages or confirmations to a subscriber here. */
  get mayBePush(): boolean {
    if (this.session.subscribed || this.waiting === 0) return true
    const { kind } = this.#open[this.#head]
    return kind === SUBSCRIBE || kind === UNSUBSCRIBE
  }

  request(command: Command): void {
    this.#unaskedMessages = 0
    if (this.#requestsLost) this.#settle(command.startUs)
    command.silent = this.#silent(command)
    const full = this.#isFull()
    if (command.silent !== '' && (this.waiting === 0 || full)) {
      this.#unanswered(command)
      return
    }
    if (full) {
      this.#open[this.#open.length - 1].dropped += 1
      command.note('redis.too_many_pending')
      this.#giveUp(command)
      return
    }
    command.counted = !this.#requestsLost
    this.#open.push(command)
    if (this.#early.length > 0 && !this.#requestsLost) this.#takeEarly()
  }

  #isFull(): boolean {
    const { waiting } = this
    if (waiting >= PENDING_MAX) return true
    if (waiting % LOOK_EVERY === 0 && waiting !== this.#lookedAt) {
      let chars = 0
      for (let i = this.#head; i < this.#open.length; i++) chars += this.#open[i].chars
      this.#sayTooMuch = chars > PENDING_CHARS_MAX
      this.#lookedAt = waiting
    }
    return this.#sayTooMuch
  }

  /** Why no answer is due, `''` if one is. CLIENT REPLY decides for itself and for what follows (networking.c). */
  #silent(command: Command): string {
    if (command.kind === REPLCONF && /^(ack|fack)$/i.test(command.option)) {
      if (this.waiting === 0) this.session.replicating = true
      return 'replication'
    }
    if (command.kind === CLIENT && command.method === 'CLIENT REPLY') {
      const mode = command.word.toUpperCase()
      if (mode === 'ON') {
        this.#replies = REPLIES_ON
        return ''
      }
      if (mode === 'OFF') this.#replies = REPLIES_OFF
      else if (mode === 'SKIP' && this.#replies !== REPLIES_OFF) this.#replies = REPLIES_SKIP_NEXT
      else if (mode === '') {
        this.#replies = REPLIES_UNKNOWN
        return 'unknown'
      }
      if (mode === 'OFF' || mode === 'SKIP') return mode.toLowerCase()
    }
    if (this.#replies === REPLIES_OFF) return 'off'
    if (this.#replies !== REPLIES_SKIP_NEXT) return ''
    this.#replies = REPLIES_ON
    return 'skip'
  }

  /** `reply` may be filled anew after the call. */
  reply(reply: Reply): void {
    this.#lastReplyUs = reply.endUs
    if (this.#isPush(reply)) return
    if (this.#toDrop > 0) {
      this.#toDrop -= 1
      return
    }
    const doubtful = this.#requestsLost && (this.waiting === 0 || !this.#open[this.#head].counted)
    if (!doubtful && this.waiting > 0) {
      this.#answer(reply)
      return
    }
    if (RESYNCHRONISING.test(reply.line)) this.session.replicating = true
    if (this.#early.length >= EARLY_MAX) {
      if (doubtful) this.#apart()
      else this.#alone(this.#early.shift() as Reply)
    }
    this.#early.push(copyOfReply(reply))
  }

  #answer(reply: Reply): void {
    const command = this.#open[this.#head]
    const next = this.#open[this.#head + 1]
    if (next !== undefined && next.startUs > command.startUs && next.startUs < reply.startUs) this.#sendsAhead = true
    this.#join(command, reply)
    this.#shift()
  }

  /** Commands without an answer keep their place among the others. */
  #passSilent(): void {
    const open = this.#open
    while (this.#head < open.length && open[this.#head].silent !== '') {
      this.#unanswered(open[this.#head])
      this.#toDrop += open[this.#head].dropped
      this.#head += 1
    }
  }

  #join(command: Command, reply: Reply): void {
    this.proven = true
    // A script may answer with this word too; then no transaction is open.
    const queued = reply.line === 'QUEUED' && reply.type === PLUS
    if (queued && (this.#transaction.mayBeOpen || this.session.db === '')) {
      this.#transaction.queue(command)
      return
    }
    const { db } = this.session
    const exchange = command.exchange('')
    setReply(exchange, reply)
    if (command.respStartUs > 0) {
      exchange.respStartUs = command.respStartUs
      exchange.respBytes += command.respBytes
    }
    this.session.answered(command, reply)
    this.session.apply(exchange)
    exchange.host = db
    if (command.user !== '') exchange.principal = command.user
    nameDb(exchange)
    this.#transaction.answered(command, reply, exchange)
    this.#out.exchange(exchange)
  }

  #shift(): void {
    const open = this.#open
    this.#toDrop += open[this.#head].dropped
    this.#head += 1
    this.#passSilent()
    if (this.#head === open.length) {
      open.length = 0
      this.#head = 0
    } else if (this.#head >= 512 && this.#head * 2 > open.length) {
      open.splice(0, this.#head)
      this.#head = 0
    }
  }

  /** True if this value answers nothing: it is handed over on its own, or only confirms. */
  #isPush(reply: Reply): boolean {
    const { type, values } = reply
    if (type === PLUS) return reply.line.length > 17 && MONITOR_LINE.test(reply.line)
    if (type !== PUSH && (type !== STAR || values.length === 0)) return false
    const kind = values[0] ?? ''
    if (CONFIRMATION.test(kind)) return this.#confirmation(kind, reply)
    if (type === STAR) {
      if (!MESSAGE.test(kind) || (reply.elements !== 3 && reply.elements !== 4)) return false
      const asked = this.waiting > 0 && this.#open[this.#head].kind === SUBSCRIBE
      if (!asked && !this.session.subscribed && !this.#subscribedBefore()) return false
    }
    if (type === PUSH) this.session.version = '3'
    this.#pushed(kind, reply)
    return true
  }

  /** A client joined mid-way that gets one message after another and asks for nothing has subscribed before. */
  #subscribedBefore(): boolean {
    if (this.session.db !== '' || this.waiting > 0) return false
    this.#unaskedMessages += 1
    this.session.subscribed = this.#unaskedMessages > 1
    return this.session.subscribed
  }

  /** SUBSCRIBE a b: two values, one per channel, as pushes in RESP3 and as arrays in RESP2. */
  #confirmation(kind: string, reply: Reply): boolean {
    if (reply.elements !== 3) return false
    const command = this.#open[this.#head]
    const expected =
      command !== undefined &&
      (command.kind === SUBSCRIBE || command.kind === UNSUBSCRIBE) &&
      command.method === kind.toUpperCase() &&
      (command.counted || command.respStartUs > 0 || command.key === reply.values[1])
    if (!expected && (this.waiting === 0 || (reply.type === STAR && !this.session.subscribed))) {
      // Its command was missed, or is late.
      if (this.#requestsLost || this.waiting === 0) this.session.subscribed = /^[1-9]\d*$/.test(reply.values[2])
      return this.#requestsLost && this.session.subscribed
    }
    this.session.subscribed = reply.values[2] !== '0'
    if (!expected) return true
    command.awaited -= 1
    if (command.awaited === 0) this.#answer(reply)
    else {
      if (command.respStartUs === 0) command.respStartUs = reply.startUs
      command.respBytes += reply.sizeBytes
    }
    return true
  }

  /** A message to a subscriber, an invalidation: nobody asked for it just now. */
  #pushed(kind: string, reply: Reply): void {
    const exchange = new Exchange()
    exchange.protocol = 'redis'
    exchange.method = /^[a-z-]{1,32}$/i.test(kind) ? `PUSH ${kind.toUpperCase()}` : 'PUSH'
    if (MESSAGE.test(kind)) exchange.resource = reply.values[kind === 'pmessage' ? 2 : 1] ?? ''
    exchange.endpoint = endpointOf(exchange.method, exchange.resource)
    setReply(exchange, reply)
    this.session.apply(exchange)
    nameDb(exchange)
    this.proven = true
    this.#out.exchange(exchange)
  }

  /** An answer came first because directions are captured apart, or it answers something from before the capture. */
  #takeEarly(): void {
    while (this.#early.length > 0 && this.waiting > 0) {
      const reply = this.#early.shift() as Reply
      const { counted, startUs } = this.#open[this.#head]
      const aheadUs = startUs - reply.startUs
      const unasked = aheadUs > CROSSING_US_MAX || (aheadUs > 0 && !this.proven && UNASKED.test(reply.error))
      if (!counted || unasked) this.#alone(reply)
      else if (!this.#isPush(reply)) this.#answer(reply)
    }
  }

  /**
   * Requests were lost, and answers came since. A client that now asks again has had all its answers, if it waits for them:
   * as many as it sent requests that we saw, and they are theirs; otherwise nobody can tell.
   */
  #settle(startUs: number): void {
    if (this.#early.length === 0 || startUs <= this.#lastReplyUs) return
    if (this.#replies === REPLIES_UNKNOWN) {
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
    const answers = this.#early
    const asked = this.#open.filter((command, i) => i >= this.#head && command.silent === '')
    if (answers.length !== asked.length) return false
    for (const [i, answer] of answers.entries()) if (answer.startUs < asked[i].startUs) return false
    this.#early = []
    for (const answer of answers) {
      this.#open[this.#head].note('redis.paired_after_loss')
      if (!this.#isPush(answer)) this.#answer(answer)
    }
    return true
  }

  #apart(): void {
    this.#lose(this.#open.length)
    for (const reply of this.#early.splice(0)) this.#alone(reply)
  }

  /** The client says nothing more, and all of it was seen. */
  requestsEnded(): void {
    if (this.#requestsLost) this.#settle(Number.POSITIVE_INFINITY)
  }

  /** Those before index `until` get no answer any more. */
  #lose(until: number): void {
    const open = this.#open
    for (let i = this.#head; i < until; i++) {
      if (open[i].silent === '') open[i].note('redis.response_lost')
      this.#giveUp(open[i])
    }
    open.splice(0, until)
    this.#head = 0
    this.#toDrop = 0
    this.#passSilent()
  }

  requestsLost(): void {
    // What was doubtful stays so.
    if (this.#requestsLost) this.#apart()
    else for (const reply of this.#early.splice(0)) this.#alone(reply)
    this.#requestsLost = true
    this.session.forget()
    this.#transaction.lost()
  }

  /**
   * Values are missing; `underWayUs` is when the one under way began, 0 if there is none. What the oldest that waits was
   * told is hit, unless it was sent after all that we saw.
   */
  repliesLost(underWayUs: number): void {
    for (const reply of this.#early.splice(0)) this.#alone(reply)
    const lastUs = Math.max(underWayUs, this.#lastReplyUs)
    if (this.waiting > 0 && this.#open[this.#head].startUs <= lastUs) {
      const { dropped } = this.#open[this.#head]
      this.#hitUs = this.#open[this.#head].startUs
      this.#lose(this.#head + 1)
      this.#toDrop += dropped
    }
    this.#transaction.lost()
  }

  /**
   * After a loss of answers, a segment starts at `atUs`; `beforeUs` is the time of the answers just before it, 0 if they
   * were lost. True if it begins the answer to a command that waits: the first one sent after all others were answered.
   */
  repliesGoOn(atUs: number, beforeUs: number): boolean {
    const open = this.#open
    let first = open.length - 1
    while (first >= this.#head && open[first].startUs > atUs) first--
    if (first < this.#head) return false
    const { startUs } = open[first]
    while (first > this.#head && open[first - 1].startUs === startUs) first--
    // What was sent together with a command whose answer was hit is answered together with it.
    if (beforeUs >= startUs || this.#hitUs >= startUs) return false
    if (beforeUs === 0 && startUs <= this.#lastReplyUs) return false
    if (this.#sendsAhead && (beforeUs === 0 || startUs - beforeUs < QUIET_US)) return false
    this.#lose(first)
    if (this.waiting === 0) return false
    if (beforeUs > 0) return true
    // Its first bytes may be among what was lost: how many answers come until the client asks again will tell.
    for (let i = this.#head; i < this.#open.length; i++) this.#open[i].counted = false
    this.#open[this.#head].whole = false
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

  /** It has subscribed, or is about to. */
  get subscribes(): boolean {
    return this.session.subscribed || (this.waiting > 0 && this.#open[this.#head].kind === SUBSCRIBE)
  }

  /** While a server makes a copy for a replica it sends a line end each second (replication.c). */
  get keptAlive(): boolean {
    return this.waiting > 0 && this.#open[this.#head].kind === SYNC
  }

  /** SYNC is answered with a length and as many bytes, without an end. */
  get syncing(): boolean {
    return this.waiting > 0 && this.#open[this.#head].method === 'SYNC'
  }

  #alone(reply: Reply): void {
    if (CONFIRMATION.test(reply.values[0] ?? '') || reply.line === 'QUEUED') return
    const exchange = new Exchange()
    exchange.protocol = 'redis'
    setReply(exchange, reply)
    exchange.complete = false
    exchange.anomalies = ['redis.response_without_request']
    this.session.apply(exchange)
    this.#out.exchange(exchange)
  }

  /** No answer is due. */
  #unanswered(command: Command): void {
    const exchange = command.exchange(this.session.db)
    this.session.apply(exchange)
    exchange.attrs = { ...exchange.attrs, 'redis.reply_mode': command.silent }
    this.session.missed(command)
    this.#out.exchange(exchange)
  }

  /** Its answer was not seen. */
  #giveUp(command: Command, outcome: Exchange['outcome'] = 'unknown'): void {
    if (command.silent !== '') {
      this.#unanswered(command)
      return
    }
    const exchange = command.exchange(this.session.db)
    this.session.apply(exchange)
    exchange.complete = false
    exchange.outcome = outcome
    this.session.missed(command)
    this.#out.exchange(exchange)
  }

  close(reason: CloseReason, repliesMissing: boolean): void {
    if (this.#requestsLost && this.#early.length > 0) this.#apart()
    this.#transaction.lost()
    for (const reply of this.#early.splice(0)) this.#alone(reply)
    const unknown = repliesMissing || this.#requestsLost || reason === 'evicted'
    const outcome = reason === 'reset' ? 'reset' : unknown ? 'unknown' : 'no_response'
    for (let i = this.#head; i < this.#open.length; i++) this.#giveUp(this.#open[i], outcome)
    this.#open = []
    this.#head = 0
  }

  save(out: StateWriter): void {
    this.session.save(out)
    this.#transaction.save(out)
    out.number(this.waiting)
    for (let i = this.#head; i < this.#open.length; i++) this.#open[i].save(out)
    out.string(JSON.stringify(this.#early))
    out.u8(this.#replies)
    out.bool(this.#requestsLost)
    out.number(this.#hitUs)
    out.bool(this.#sendsAhead)
    out.bool(this.proven)
    out.number(this.#lastReplyUs)
    out.number(this.#toDrop)
    out.number(this.#unaskedMessages)
    out.bool(this.#sayTooMuch)
    out.number(this.#lookedAt)
  }

  restore(state: StateReader): void {
    this.session.restore(state)
    this.#transaction.restore(state)
    const waiting = state.number()
    for (let i = 0; i < waiting && !state.failed; i++) this.#open.push(Command.restore(state))
    try {
      this.#early = (JSON.parse(state.string()) as Reply[]).map(copyOfReply)
    } catch {
      state.failed = true
    }
    this.#replies = state.u8()
    this.#requestsLost = state.bool()
    this.#hitUs = state.number()
    this.#sendsAhead = state.bool()
    this.proven = state.bool()
    this.#lastReplyUs = state.number()
    this.#toDrop = state.number()
    this.#unaskedMessages = state.number()
    this.#sayTooMuch = state.bool()
    this.#lookedAt = state.number()
  }
}

function nameDb(exchange: Exchange): void {
  if (exchange.host === '') return
  if (exchange.attrs === null) exchange.attrs = { 'db.namespace': exchange.host }
  else exchange.attrs['db.namespace'] = exchange.host
}
