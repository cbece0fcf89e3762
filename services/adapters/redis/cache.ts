/**
 * The Cache in Redis, shared by workers. Redis is never the truth: without it, with a slow one, or with one that was emptied
 * everything goes on, only slower. So no call takes longer than a second.
 */
import { Redis } from 'ioredis'
import { KlartextError } from '../../core/errors.js'
import type { Cache } from '../../core/ports/cache.js'

/** The first call waits for the connection too. */
const ANSWER_MS_MAX = 1_000
const RECONNECT_MS = 1_000

export interface RedisCacheOptions {
  /** `redis://user:password@host:6379/0` or `rediss://`. */
  readonly url: string
  /** Before each key. */
  readonly prefix: string
}

export class RedisCache implements Cache {
  readonly #redis: Redis
  readonly #prefix: string
  readonly #host: string
  /** Why there is no connection; null where there is one, or the first one is being made. */
  #trouble: string | null = null

  constructor({ url, prefix }: RedisCacheOptions) {
    this.#prefix = prefix
    this.#host = new URL(url).host
    this.#redis = new Redis(url, {
      connectTimeout: ANSWER_MS_MAX,
      commandTimeout: ANSWER_MS_MAX,
      // What waits for a connection fails with the first attempt that does, and is not sent later by itself.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      retryStrategy: () => RECONNECT_MS,
    })
    // Without a listener a lost connection would end the process; it comes back by itself.
    this.#redis.on('error', (error: Error) => {
      this.#trouble = error.message
    })
    this.#redis.on('ready', () => {
      this.#trouble = null
    })
  }

  get(key: string): Promise<Buffer | null> {
    return this.#call(() => this.#redis.getBuffer(this.#prefix + key))
  }

  async set(key: string, value: Buffer, ttlMs: number): Promise<void> {
    await this.#call(() => this.#redis.set(this.#prefix + key, value, 'PX', ttlMs))
  }

  async claim(key: string, ttlMs: number): Promise<boolean> {
    return (await this.#call(() => this.#redis.set(this.#prefix + key, '', 'PX', ttlMs, 'NX'))) !== null
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    // Nothing is queued for a Redis that is known to be away.
    if (this.#trouble !== null) throw this.#away(this.#trouble)
    try {
      return await call()
    } catch (error) {
      throw this.#away(this.#trouble ?? (error as Error).message, error)
    }
  }

  #away(why: string, cause?: unknown): KlartextError {
    return new KlartextError('CACHE_AWAY', `Redis at ${this.#host}: ${why}`, { retryable: true, cause })
  }

  async close(): Promise<void> {
    this.#redis.disconnect()
  }
}
