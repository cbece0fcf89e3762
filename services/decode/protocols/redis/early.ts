/** Answers that were read before their commands, because directions are captured apart, or that answer none we saw. */
import type { StateReader, StateWriter } from '../../../core/state.js'
import { CROSSING_US_MAX } from '../pairing/crossing.js'
import { copyOfReply, type Reply } from './reply.js'

const EARLY_MAX = 32
/** Too many clients, protected mode: said to whoever connects, before any command; then the server closes. */
const UNASKED = /^(?:ERR|DENIED)$/

export class EarlyReplies {
  #replies: Reply[] = []

  get count(): number {
    return this.#replies.length
  }

  get isFull(): boolean {
    return this.#replies.length >= EARLY_MAX
  }

  /** Keeps a copy. */
  push(reply: Reply): void {
    this.#replies.push(copyOfReply(reply))
  }

  shift(): Reply {
    return this.#replies.shift() as Reply
  }

  all(): readonly Reply[] {
    return this.#replies
  }

  takeAll(): Reply[] {
    return this.#replies.splice(0)
  }

  save(out: StateWriter): void {
    out.string(JSON.stringify(this.#replies))
  }

  restore(state: StateReader): void {
    try {
      this.#replies = (JSON.parse(state.string()) as Reply[]).map(copyOfReply)
    } catch {
      state.failed = true
    }
  }
}

/** True if `reply` cannot answer what was sent at `askedUs`. `first`: the server said nothing else yet. */
export function isUnasked(reply: Reply, askedUs: number, first: boolean): boolean {
  const aheadUs = askedUs - reply.startUs
  return aheadUs > CROSSING_US_MAX || (aheadUs > 0 && first && UNASKED.test(reply.error))
}
