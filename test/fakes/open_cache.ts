/** A Cache that a test looks into and harms, that is away or slow when told, and forgets nothing but claims. */
import assert from 'node:assert/strict'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { KlartextError } from '../../services/core/errors.js'
import type { Cache } from '../../services/core/ports/cache.js'

export class OpenCache implements Cache {
  readonly values = new Map<string, Buffer>()
  readonly #nowMs: () => number
  #claimedMs = Number.NEGATIVE_INFINITY
  failing: KlartextError | null = null
  onGet = () => {}
  onSet: (key: string) => void = () => {}

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  async get(key: string): Promise<Buffer | null> {
    this.onGet()
    if (this.failing !== null) throw this.failing
    return this.values.get(key) ?? null
  }

  async set(key: string, value: Buffer): Promise<void> {
    if (this.failing !== null) throw this.failing
    this.onSet(key)
    this.values.set(key, value)
  }

  async claim(_: string, ttlMs: number): Promise<boolean> {
    if (this.failing !== null) throw this.failing
    if (this.#nowMs() < this.#claimedMs + ttlMs) return false
    this.#claimedMs = this.#nowMs()
    return true
  }

  async close(): Promise<void> {}

  keyOf(end: RegExp): string {
    return [...this.values.keys()].find((key) => end.test(key)) ?? assert.fail(`no key ${end}`)
  }

  edit(end: RegExp, change: (value: Buffer) => Buffer | null): void {
    const key = this.keyOf(end)
    const value = change(this.values.get(key) as Buffer)
    if (value === null) this.values.delete(key)
    else this.values.set(key, value)
  }

  editHead(change: (head: Record<string, unknown>) => void): void {
    this.edit(/head$/, (value) => {
      const head = JSON.parse(gunzipSync(value).toString())
      change(head)
      return gzipSync(JSON.stringify(head))
    })
  }
}
