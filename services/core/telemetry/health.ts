/** Whether a service lives and is ready, with the reason where not. */

export class Health {
  readonly #nowMs: () => number
  readonly #stuckMs: number
  /** What stands against being ready, by what it is about; asked when somebody asks. */
  readonly #against = new Map<string, () => string | null>()
  #beatMs: number
  #watching = true

  /** Without a beat for `stuckMs` it does not live. */
  constructor(nowMs: () => number, stuckMs: number) {
    this.#nowMs = nowMs
    this.#stuckMs = stuckMs
    this.#beatMs = nowMs()
  }

  /** The service's loop has come round. */
  beat(): void {
    this.#beatMs = this.#nowMs()
  }

  /** Silence is no fault any more: the service is ending. */
  stopWatching(): void {
    this.#watching = false
  }

  /** ms since the last beat; 0 where nobody watches. */
  get silentMs(): number {
    return this.#watching ? Math.max(0, this.#nowMs() - this.#beatMs) : 0
  }

  /** One line, or null where it lives. */
  get stuck(): string | null {
    const silentMs = this.silentMs
    return silentMs > this.#stuckMs ? `no progress for ${Math.round(silentMs / 1000)} s` : null
  }

  /** `reason` is one line; null: nothing stands against it. */
  set(about: string, reason: string | null): void {
    if (reason === null) this.#against.delete(about)
    else this.#against.set(about, () => reason)
  }

  /** `reason` is asked for whenever somebody wants to know. */
  watch(about: string, reason: () => string | null): void {
    this.#against.set(about, reason)
  }

  /** One line, or null where it is ready. */
  get notReady(): string | null {
    if (this.stuck !== null) return this.stuck
    const reasons: string[] = []
    for (const [about, reasonOf] of this.#against) {
      const reason = reasonOf()
      if (reason !== null) reasons.push(`${about}: ${reason}`)
    }
    return reasons.length === 0 ? null : reasons.join('; ')
  }
}
