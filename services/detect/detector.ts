/** Runs every rule at its times, and knows how each of them fares. */
import type { Finding } from '../core/finding.js'
import type { Clock } from '../core/ports/clock.js'
import type { OnTaskFailure, Scheduler } from '../core/ports/scheduler.js'
import type { DetectEngine } from './engine.js'
import type { DetectMetrics } from './metrics.js'
import type { Rule } from './rule.js'

export interface DetectorOptions {
  readonly engine: DetectEngine
  readonly scheduler: Scheduler
  readonly metrics: DetectMetrics
  readonly clock: Clock
  readonly onFailure: OnTaskFailure
  readonly onFindings?: (findings: readonly Finding[]) => void
}

const WATCH_MS = 5_000

export class Detector {
  readonly #options: DetectorOptions
  /** Since when, by `elapsedMs`. */
  readonly #running = new Map<string, number>()
  /** By rule: why its last run failed. */
  readonly #trouble = new Map<string, string>()

  constructor(options: DetectorOptions) {
    this.#options = options
  }

  get #nowMs(): number {
    return this.#options.clock.elapsedMs()
  }

  async start(): Promise<void> {
    const { engine, scheduler } = this.#options
    for (const rule of engine.rules) await scheduler.every(rule.name, rule.everyUs / 1000, () => this.#run(rule))
  }

  /**
   * Runs each rule once now, since a process that was killed may have left one half-done, and from then on those whose last
   * run failed: neither waits for the rule's next time. `beat` is called as long as no run hangs for `stuckMs`.
   */
  async watch(stopping: AbortSignal, stuckMs: number, beat: () => void): Promise<void> {
    const { engine, clock, onFailure } = this.#options
    let due: readonly Rule[] = engine.rules
    while (!stopping.aborted) {
      const sleep = () => clock.sleep(WATCH_MS, stopping).catch(() => {})
      let over = false
      const running = this.#runAll(due, stopping, onFailure).then(() => {
        over = true
      })
      while (!over && !stopping.aborted) {
        if (this.#longestRunMs < stuckMs) beat()
        await Promise.race([running, sleep()])
      }
      await running
      // A run that the scheduler began may go on: what is raced here must not be over already, or nothing else gets a turn.
      if (this.#longestRunMs < stuckMs) beat()
      await sleep()
      due = engine.rules.filter(({ name }) => this.#trouble.has(name))
    }
  }

  async #runAll(rules: readonly Rule[], stopping: AbortSignal, onFailure: OnTaskFailure): Promise<void> {
    for (const rule of rules) {
      if (!stopping.aborted) await this.#run(rule).catch((error: unknown) => onFailure(rule.name, error))
    }
  }

  async #run(rule: Rule): Promise<void> {
    const { engine, metrics, onFindings } = this.#options
    if (this.#running.has(rule.name)) return
    const begun = this.#nowMs
    this.#running.set(rule.name, begun)
    try {
      const findings = await engine.catchUp(rule)
      this.#trouble.delete(rule.name)
      metrics.ran(rule.name, findings.length, (this.#nowMs - begun) / 1000)
      if (findings.length > 0) onFindings?.(findings)
    } catch (error) {
      this.#trouble.set(rule.name, (error as Error).message)
      metrics.failures += 1
      throw error
    } finally {
      this.#running.delete(rule.name)
    }
  }

  /** The oldest run under way, in ms; 0 where none is. */
  get #longestRunMs(): number {
    const now = this.#nowMs
    return Math.max(0, ...[...this.#running.values()].map((begun) => now - begun))
  }

  /** One line, or null where the last run of each rule went well. */
  get notReady(): string | null {
    for (const [rule, reason] of this.#trouble) return `rule ${rule}: ${reason}`
    return null
  }
}
