/** A generated world that writes down what it has planted, and what only looks like it. */
import type { Flow } from '../../../services/core/flow.js'
import { type CallOptions, World } from '../world.js'

export const S = 1_000_000
export const MINUTE = 60 * S

export class LoggedWorld extends World {
  /** What was planted, by what it is, each in words of who takes part. */
  readonly plants = new Map<string, Set<string>>()
  /** Look-alikes, likewise: for people who read what a test says. */
  readonly decoys = new Map<string, Set<string>>()
  #names = 0

  plant(what: string, who: string): void {
    note(this.plants, what, who)
  }

  decoy(what: string, who: string): void {
    note(this.decoys, what, who)
  }

  /** A name that nobody else has. */
  name(word: string): string {
    this.#names += 1
    return `${word}-${this.#names}`
  }

  /** From `low` to `high`. */
  between(low: number, high: number): number {
    return low + this.random.next() * (high - low)
  }

  /** A latency with a long tail, as services have: its median, and how far the tail reaches. */
  longTail(medianUs: number, sigma: number): number {
    const uniform = Math.max(this.random.next(), 1e-12)
    const gauss = Math.sqrt(-2 * Math.log(uniform)) * Math.cos(2 * Math.PI * this.random.next())
    return Math.round(medianUs * Math.exp(sigma * gauss))
  }

  /** At random times, so many a minute on average, as seen at the server's end. Times: µs since 1970. */
  traffic(
    client: string,
    server: string,
    fromUs: number,
    toUs: number,
    perMinute: number,
    more: (atUs: number) => Partial<Flow> & Pick<CallOptions, 'latencyUs'>,
  ): void {
    const gapUs = MINUTE / perMinute
    for (let atUs = fromUs; ; ) {
      atUs += Math.round(-Math.log(1 - this.random.next()) * gapUs)
      if (atUs >= toUs) return
      const { latencyUs = 2500, ...columns } = more(atUs)
      this.call({ client, server, atUs, latencyUs, networkUs: 0, seen: 'server', more: columns })
    }
  }
}

function note(into: Map<string, Set<string>>, what: string, who: string): void {
  const known = into.get(what) ?? new Set()
  into.set(what, known.add(who))
}
