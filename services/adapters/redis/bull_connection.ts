/** How BullMQ talks with Redis, and how that ends. */
import { CONNECT_MS, isThere } from './reachable.js'

const RETRY_MS_MAX = 1000

/** Options of the connections of one scheduler or queue. */
export class BullConnection {
  readonly #url: string
  #ending = false

  constructor(url: string) {
    this.#url = url
  }

  /** `perCall`: how often a call is tried while Redis is away; null = until it is back. */
  options(perCall: number | null) {
    return {
      url: this.#url,
      maxRetriesPerRequest: perCall,
      connectTimeout: CONNECT_MS,
      retryStrategy: (times: number) => (this.#ending ? null : Math.min(RETRY_MS_MAX, 50 * times)),
    }
  }

  /**
   * From here on a connection that is lost is not made again: it would keep the process alive. True where Redis is gone:
   * then BullMQ never learns that its jobs have ended and has to be closed by force, or its timers do so.
   */
  async end(): Promise<boolean> {
    this.#ending = true
    return !(await isThere(this.#url))
  }
}
