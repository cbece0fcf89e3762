/** What may befall a process at any call it makes: it dies there, the call fails, or it stands still while others go on. */
import { KlartextError } from '../../services/core/errors.js'
import type { FlowMessages, Store, TableName, TableRows } from '../../services/core/ports/store.js'
import type { Random } from '../../services/core/random.js'

/** Thrown where a process dies (kill -9): from then on no call of it has any effect. */
export class Killed extends Error {}

/** Per call. */
export interface Odds {
  die: number
  fail: number
  stall: number
}

export interface LifeEvents {
  /** Whoever is told of a stall releases it, sooner or later. */
  readonly onStall?: (release: () => void) => void
  readonly onDeath?: () => void
}

export class Life {
  readonly #random: Random
  readonly #odds: Odds
  readonly #events: LifeEvents
  dead = false

  /** `odds` may be changed while it lives. */
  constructor(random: Random, odds: Odds, events: LifeEvents = {}) {
    this.#random = random
    this.#odds = odds
    this.#events = events
  }

  async call<T>(work: () => Promise<T>): Promise<T> {
    if (this.dead) throw new Killed()
    const { die, fail, stall } = this.#odds
    const fate = this.#random.next()
    if (fate >= die + fail + stall) return work()
    if (fate >= die + fail) {
      await new Promise<void>((resolve) => (this.#events.onStall ?? ((release) => release()))(resolve))
      return this.call(work)
    }
    // Half of them behind the effect: it was done, and nobody was told.
    if (this.#random.chance(0.5)) await work()
    if (fate >= die) throw new KlartextError('BUS_FAILED', 'no answer', { retryable: true })
    this.dead = true
    this.#events.onDeath?.()
    throw new Killed()
  }
}

export class MortalStore implements Store {
  readonly #store: Store
  readonly #life: Life

  constructor(store: Store, life: Life) {
    this.#store = store
    this.#life = life
  }

  insert<T extends TableName>(table: T, rows: readonly TableRows[T][], token: string, into?: string): Promise<void> {
    return this.#life.call(() => this.#store.insert(table, rows, token, into))
  }

  insertFlows(flows: FlowMessages, token: string): Promise<void> {
    return this.#life.call(() => this.#store.insertFlows(flows, token))
  }

  query(sql: string, format: string): Promise<Buffer> {
    return this.#store.query(sql, format)
  }

  command(sql: string): Promise<void> {
    return this.#store.command(sql)
  }

  async close(): Promise<void> {}
}
