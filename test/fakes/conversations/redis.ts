/** Redis on one connection: pipelines, transactions over several turns, a database chosen once for all that follows. */
import type { Random } from '../../../services/core/random.js'
import { answer, ask, type Conversation, type Said } from './conversation.js'

function command(...words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`

export class RedisConversation implements Conversation {
  readonly #random: Random
  #turns = 0
  /** Answers that EXEC will give; null outside of MULTI. */
  #queued: string[] | null = null
  exchanges = 0

  constructor(random: Random) {
    this.#random = random
  }

  turn(): Said[] {
    const random = this.#random
    this.#turns += 1
    if (this.#turns === 2) return this.#say([['SELECT', String(1 + random.below(9))]], ['+OK\r\n'])
    if (this.#queued !== null) return this.#inTransaction(this.#queued)
    if (random.chance(0.05)) {
      this.#queued = []
      return this.#say([['MULTI']], ['+OK\r\n'])
    }
    const count = random.chance(0.2) ? 2 + random.below(12) : 1
    const pairs = Array.from({ length: count }, () => this.#command())
    return this.#say(
      pairs.map(({ words }) => words),
      pairs.map(({ reply }) => reply),
    )
  }

  #inTransaction(queued: string[]): Said[] {
    if (queued.length < 2 || this.#random.chance(0.4)) {
      const { words, reply } = this.#command()
      queued.push(reply)
      return this.#say([words], ['+QUEUED\r\n'])
    }
    this.#queued = null
    return this.#say([['EXEC']], [`*${queued.length}\r\n${queued.join('')}`])
  }

  #command(): { words: string[]; reply: string } {
    const random = this.#random
    const key = `user:${random.below(5000)}:cart`
    switch (random.below(5)) {
      case 0:
        return { words: ['SET', key, 'v'.repeat(random.below(200))], reply: '+OK\r\n' }
      case 1:
        return { words: ['GET', key], reply: random.chance(0.2) ? '$-1\r\n' : bulk('v'.repeat(random.below(300))) }
      case 2:
        return { words: ['HGETALL', key], reply: `*4\r\n${bulk('a')}${bulk('1')}${bulk('b')}${bulk('2')}` }
      case 3:
        return { words: ['INCR', key], reply: `:${random.below(1000)}\r\n` }
      default:
        return {
          words: ['LPUSH', key, 'x'],
          reply: '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n',
        }
    }
  }

  #say(commands: readonly string[][], replies: readonly string[]): Said[] {
    this.exchanges += commands.length
    return [ask(...commands.map((words) => command(...words))), answer(...replies)]
  }

  finish(): Said[] {
    return this.#queued === null ? [] : this.#execAll(this.#queued)
  }

  #execAll(queued: readonly string[]): Said[] {
    this.#queued = null
    return this.#say([['EXEC']], [`*${queued.length}\r\n${queued.join('')}`])
  }
}
