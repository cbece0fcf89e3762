/**
 * The Cache in Redis, shared by workers. Redis is never the truth: without it, with a slow one, or with one that was emptied
 * everything goes on, only slower. So a call takes 50 ms at most, and while Redis is away it takes none.
 */
import { Redis } from 'ioredis'
import type { Cache } from '../../core/ports/cache.js'

const ANSWER_MS_MAX = 50
const CONNECT_MS = 5_000
const RECONNECT_MS = 1_000
/** Commands that may wait for answers; more are dropped, since a cache that is this far behind is of no use. */
const WAITING_MAX = 1_000

export interface RedisCacheOptions {
  /** `redis://user:password@host:6379/0` or `rediss://`. */
  readonly url: string
  /** Before each key. */
  readonly prefix: string
}

export class RedisCache implements Cache {
  readonly #redis: Redis
  readonly #prefix: string
  #waiting = 0
  /** For metrics: asked and answered, asked and not there, not asked or not answered in time. */
  hits = 0
  misses = 0
  failures = 0

  constructor({ url, prefix }: RedisCacheOptions) {
    this.#prefix = prefix
    this.#redis = new Redis(url, {
      connectTimeout: CONNECT_MS,
      // Nothing is queued for a Redis that is away: it fails at once.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => RECONNECT_MS,
    })
    // Without a listener a lost connection would end the process; it comes back by itself.
    this.#redis.on('error', () => {})
  }

  async get(key: string): Promise<Buffer | null> {
    const value = await this.#call(() => this.#redis.getBuffer(this.#prefix + key))
    if (value === undefined) this.failures += 1
    else if (value === null) this.misses += 1
    else this.hits += 1
    return value ?? null
  }

  set(key: string, value: Buffer, ttlMs: number): void {
    void this.#call(() => this.#redis.set(this.#prefix + key, value, 'PX', Math.max(1, Math.ceil(ttlMs)))).then(
      (answer) => {
        if (answer === undefined) this.failures += 1
      },
    )
  }

  /** undefined where Redis did not answer, or not in time. */
  async #call<T>(call: () => Promise<T>): Promise<T | undefined> {
    if (this.#redis.status !== 'ready' || this.#waiting >= WAITING_MAX) return undefined
    this.#waiting += 1
    const answer = call()
      .catch(() => undefined)
      .finally(() => {
        this.#waiting -= 1
      })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), ANSWER_MS_MAX)
    })
    return Promise.race([answer, late]).finally(() => clearTimeout(timer))
  }

  async close(): Promise<void> {
    this.#redis.disconnect()
  }
}
