/** One connection: what is said on it as segments, cut as reads and writes cut it. */
import type { Random } from '../../../services/core/random.js'
import { ConnectionInfo, type Direction, NO_BYTES, Segment, SegmentFlag } from '../../../services/core/segment.js'
import type { Said } from './conversation.js'
import { conversation, PORTS, type Talk } from './talks.js'

const MEAN_SEGMENT_BYTES = 250
/** So many connections have ids, addresses and ports of their own. */
const ID_STEP = 0x9e3779b97f4a7c15n

export class Line {
  readonly talk: Talk
  readonly info: ConnectionInfo
  readonly #random: Random
  readonly #conversation: ReturnType<typeof conversation>
  readonly #positions = [0, 0]
  #said: Said[] = []
  /** Of the first of them, what is out already. */
  #taken = 0
  #turnsLeft: number
  #ends: Direction[] = []

  /** `turns`: so often something is asked before the connection ends. */
  constructor(random: Random, talk: Talk, number: number, turns: number) {
    this.talk = talk
    this.#random = random
    this.#turnsLeft = turns
    this.info = new ConnectionInfo((BigInt(number + 1) * ID_STEP) & 0xffff_ffff_ffff_ffffn)
    Object.assign(this.info, {
      side: 'server',
      source: 'openssl',
      clientIp: `10.0.${(number >> 8) & 0xff}.${number & 0xff}`,
      clientPort: 10_000 + (number % 50_000),
      serverIp: `10.1.0.${1 + (number % 7)}`,
      serverPort: PORTS[talk],
      comm: `${talk}-${number % 7}`,
    })
    this.#conversation = conversation(talk, random, `svc${number % 7}`)
  }

  get exchanges(): number {
    return this.#conversation.exchanges
  }

  /** Whatever it had in mind, it says only how it ends. */
  endSoon(): void {
    this.#turnsLeft = Math.min(this.#turnsLeft, 0)
  }

  /** The next segment; null where the connection is over. */
  next(timeUs: number): Segment | null {
    while (this.#said.length === 0) {
      if (this.#turnsLeft > 0) {
        this.#turnsLeft -= 1
        this.#said = this.#conversation.turn()
      } else if (this.#turnsLeft === 0) {
        this.#turnsLeft = -1
        this.#said = this.#conversation.finish()
        this.#ends = [0, 1]
      } else {
        const direction = this.#ends.shift()
        return direction === undefined ? null : this.#segment(direction, NO_BYTES, timeUs, SegmentFlag.CLOSE)
      }
    }
    const { direction, bytes } = this.#said[0]
    const size = Math.min(bytes.length - this.#taken, 1 + this.#random.below(2 * MEAN_SEGMENT_BYTES))
    const payload = bytes.subarray(this.#taken, this.#taken + size)
    this.#taken += size
    if (this.#taken === bytes.length) {
      this.#said.shift()
      this.#taken = 0
    }
    return this.#segment(direction, payload, timeUs, 0)
  }

  #segment(direction: Direction, payload: Buffer, timeUs: number, flags: number): Segment {
    const position = this.#positions[direction]
    this.#positions[direction] += payload.length
    return new Segment(this.info, direction, position, payload.length, payload, timeUs, 0, flags)
  }
}
