/** The Cache of one process: for tests and simulations, which drive its clock. */
import type { Cache } from '../../core/ports/cache.js'

export class MemoryCache implements Cache {
  readonly #nowMs: () => number
  readonly #kept = new Map<string, { readonly value: Buffer; readonly untilMs: number }>()

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs
  }

  async get(key: string): Promise<Buffer | null> {
    return this.#find(key)
  }

  async set(key: string, value: Buffer, ttlMs: number): Promise<void> {
    this.#kept.set(key, { value, untilMs: this.#nowMs() + ttlMs })
  }

  async claim(key: string, ttlMs: number): Promise<boolean> {
    if (this.#find(key) !== null) return false
    await this.set(key, Buffer.alloc(0), ttlMs)
    return true
  }

  #find(key: string): Buffer | null {
    const found = this.#kept.get(key)
    if (found !== undefined && found.untilMs > this.#nowMs()) return found.value
    this.#kept.delete(key)
    return null
  }

  async close(): Promise<void> {
    this.#kept.clear()
  }
}
