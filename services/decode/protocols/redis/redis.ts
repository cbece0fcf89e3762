/** Redis and what speaks like it (Valkey, KeyDB, Dragonfly): RESP2 and RESP3. One command is one exchange. */
import type { Cursor } from '../../../core/cursor.js'
import {
  BAD,
  type CloseReason,
  type Decoder,
  type ExchangeSink,
  type Protocol,
  type Verdict,
  WITHDRAW,
} from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { Command } from './command.js'
import { argsNeeded, type CommandSpec, commandSpec, PLAIN } from './commands.js'
import { Pairing, PENDING_TEXTS_MAX } from './pairing.js'
import { PlainRequest } from './plain_request.js'
import { REDIS_PRIVACY } from './privacy.js'
import { findCommand, findPushed, isTurned, looksLikeAnswer, probeHead } from './probe.js'
import { ReplyReader } from './reply_reader.js'
import { ALL_ARGS, RequestReader } from './request_reader.js'
import { DOLLAR, LF, PUSH } from './resp.js'

export const redis: Protocol = {
  name: 'redis',
  transports: ['tcp', 'unix'],
  privacy: { redis: REDIS_PRIVACY },
  probe: (head: Cursor, direction: Direction): Verdict => probeHead(head, direction),
  turned: isTurned,
  open: (out: ExchangeSink): Decoder => new RedisDecoder(out),
}

const STATE_VERSION = 4

/** What is no name at all: the server will refuse it. */
const ODD: CommandSpec = { name: '', kind: PLAIN, keyAt: 0, hasSubcommand: false, known: false, secretive: true }

/** Empty between two calls, so that one serves all connections. */
const plain = new PlainRequest()

class RedisDecoder implements Decoder {
  readonly #pairing: Pairing
  readonly #requests: RequestReader
  readonly #replies = new ReplyReader()
  /** Answers were lost, and no later command was answered yet. */
  #repliesMissing = false
  /** After a loss of answers: the window begins where a segment does, and what came before it is lost. */
  #atSegmentStart = false
  #beforeLost = false
  #withdrawn = false
  /** Attributes are asked for: the text of commands is one. */
  readonly #withTexts: boolean
  /** The last command was a line. */
  #inline = false

  constructor(out: ExchangeSink) {
    this.#pairing = new Pairing(out)
    this.#requests = new RequestReader(out.withoutAttrs === true ? argsNeeded : ALL_ARGS)
    this.#withTexts = out.withoutAttrs !== true
  }

  parse(direction: Direction, input: Cursor): number {
    return direction === TO_SERVER ? this.#request(input) : this.#reply(input)
  }

  #request(input: Cursor): number {
    const requests = this.#requests
    if (!requests.underWay) {
      const command = plain.parse(input, this.#keepsText)
      if (command !== null) {
        this.#inline = false
        this.#pairing.request(command)
        return plain.consumedBytes
      }
    }
    const consumed = requests.parse(input)
    if (consumed === BAD) return this.#bad(TO_SERVER)
    if (requests.done) {
      const spec = commandSpec(requests.args[0])
      this.#inline = requests.inline
      if (spec === null && (requests.inline || !this.#pairing.proven)) return this.#bad(TO_SERVER)
      this.#take(spec ?? ODD, true)
    }
    return consumed
  }

  get #keepsText(): boolean {
    return this.#withTexts && this.#pairing.waiting < PENDING_TEXTS_MAX
  }

  #take(spec: CommandSpec, whole: boolean): void {
    const requests = this.#requests
    const pairing = this.#pairing
    const command = Command.of(spec, requests, this.#keepsText)
    command.whole = whole
    if (spec === ODD) command.note('redis.odd_command')
    requests.next()
    pairing.request(command)
  }

  #reply(input: Cursor): number {
    const pairing = this.#pairing
    if (pairing.session.replicating) return input.length
    if (pairing.syncing && input.bytes[input.pos] === DOLLAR) {
      const { reply } = this.#replies
      reply.type = DOLLAR
      reply.startUs = input.timeUs(input.pos)
      reply.endUs = reply.startUs
      pairing.reply(reply)
      this.#replies.next()
      return input.length
    }
    if (input.bytes[input.pos] === LF && pairing.keptAlive) return 1
    const replies = this.#replies
    if (!replies.underWay) replies.keepValues = pairing.pushes.mayCome
    const consumed = replies.parse(input)
    if (consumed === BAD) return this.#bad(TO_CLIENT)
    if (replies.done) {
      pairing.reply(replies.reply)
      replies.next()
    }
    return consumed
  }

  /** Bytes that are no RESP: before anything was understood this never was Redis. */
  #bad(direction: Direction): number {
    if (!this.#pairing.proven) {
      this.#withdrawn = true
      return WITHDRAW
    }
    if (direction === TO_SERVER) this.#requestsLost()
    else this.#repliesLost()
    return BAD
  }

  /** The command under way is cut: it may have been carried out all the same. */
  #requestsLost(): void {
    const requests = this.#requests
    const spec = this.#underWay()
    if (spec !== null) {
      requests.gaps += 1
      this.#take(spec, false)
    } else requests.next()
    this.#pairing.requestsLost()
  }

  /** The command that was begun, if its name is whole. */
  #underWay(): CommandSpec | null {
    const { underWay, args } = this.#requests
    const spec = underWay ? commandSpec(args[0] ?? '') : null
    return spec?.hasSubcommand && !args[1] ? null : spec
  }

  #repliesLost(): void {
    const { underWay, reply } = this.#replies
    this.#pairing.repliesLost(underWay && reply.type !== PUSH ? reply.startUs : 0)
    this.#replies.reset()
    this.#repliesMissing = true
    this.#atSegmentStart = false
  }

  resync(direction: Direction, input: Cursor): number {
    if (direction === TO_SERVER) return findCommand(input, this.#inline)
    const found = this.#findReply(input)
    if (found >= 0) {
      this.#repliesMissing = false
      return found
    }
    this.#pairing.repliesSeen(input.timeUs(input.end - 1))
    input.searchedBytes = input.length
    this.#atSegmentStart = true
    this.#beforeLost = false
    return -1
  }

  /** Answers begin where segments begin, if a client waited for them; what is pushed can be told by itself. */
  #findReply(input: Cursor): number {
    const { bytes, pos, end } = input
    const pairing = this.#pairing
    if (this.#atSegmentStart && looksLikeAnswer(bytes, pos, end)) {
      const beforeUs = this.#beforeLost ? 0 : pairing.lastReplyUs
      if (pairing.repliesGoOn(input.timeUs(pos), beforeUs)) return 0
    }
    for (let i = 0; i < input.markCount - 1; i++) {
      const at = input.markEnds[i]
      if (at <= pos || !looksLikeAnswer(bytes, at, end)) continue
      if (pairing.repliesGoOn(input.markTimes[i + 1], input.markTimes[i])) return at - pos
    }
    const pushed = pairing.waiting === 0 || pairing.pushes.subscribes ? findPushed(input) : -1
    if (pushed >= 0) pairing.session.subscribed = true
    return pushed
  }

  gap(direction: Direction, sizeBytes: number): boolean {
    if (direction === TO_SERVER) {
      const inside = this.#requests.gap(sizeBytes)
      if (!inside) this.#requestsLost()
      else if (this.#requests.done) this.#take(commandSpec(this.#requests.args[0]) ?? ODD, true)
      return inside
    }
    if (this.#pairing.session.replicating || this.#replies.gap(sizeBytes)) return true
    this.#repliesLost()
    this.#atSegmentStart = true
    this.#beforeLost = true
    return false
  }

  end(direction: Direction): void {
    if (direction === TO_SERVER && !this.#requests.underWay) this.#pairing.requestsEnded()
  }

  close(reason: CloseReason): void {
    if (this.#withdrawn) return
    const spec = this.#underWay()
    if (spec?.known) this.#take(spec, false)
    this.#pairing.close(reason, this.#repliesMissing || this.#replies.underWay)
  }

  save(out: StateWriter): void {
    out.u8(STATE_VERSION)
    this.#requests.save(out)
    this.#replies.save(out)
    this.#pairing.save(out)
    out.bool(this.#repliesMissing)
    out.bool(this.#atSegmentStart)
    out.bool(this.#beforeLost)
    out.bool(this.#withdrawn)
    out.bool(this.#inline)
  }

  restore(state: StateReader): boolean {
    if (state.u8() !== STATE_VERSION) return false
    this.#requests.restore(state)
    this.#replies.restore(state)
    this.#pairing.restore(state)
    this.#repliesMissing = state.bool()
    this.#atSegmentStart = state.bool()
    this.#beforeLost = state.bool()
    this.#withdrawn = state.bool()
    this.#inline = state.bool()
    return state.finished
  }
}
