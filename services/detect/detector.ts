/** Runs every rule at its times, and knows how each of them fares. */
import type { Finding } from '../core/finding.js'
import type { Scheduler } from '../core/ports/scheduler.js'
import type { DetectEngine } from './engine.js'
import type { DetectMetrics } from './metrics.js'
import type { Rule } from './rule.js'

export interface DetectorOptions {
  readonly engine: DetectEngine
  readonly scheduler: Scheduler
  readonly metrics: DetectMetrics
  readonly nowMs: () => number
  readonly onFindings?: (findings: readonly Finding[]) => void
}

export class Detector {
  readonly #options: DetectorOptions
  /** Since when, ms since 1970. */
  readonly #running = new Map<string, number>()
  /** By rule: why its last run failed. */
  readonly #trouble = new Map<string, string>()

  constructor(options: DetectorOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const { engine, scheduler } = this.#options
    for (const rule of engine.rules) await scheduler.every(rule.name, rule.everyUs / 1000, () => this.#run(rule))
  }

  async #run(rule: Rule): Promise<void> {
    const { engine, metrics, nowMs, onFindings } = this.#options
    const begun = nowMs()
    this.#running.set(rule.name, begun)
    try {
      const findings = await engine.catchUp(rule)
      this.#trouble.delete(rule.name)
      metrics.ran(rule.name, findings.length, (nowMs() - begun) / 1000)
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
  get longestRunMs(): number {
    const now = this.#options.nowMs()
    return Math.max(0, ...[...this.#running.values()].map((begun) => now - begun))
  }

  /** One line, or null where the last run of each rule went well. */
  get notReady(): string | null {
    for (const [rule, reason] of this.#trouble) return `rule ${rule}: ${reason}`
    return null
  }
}
