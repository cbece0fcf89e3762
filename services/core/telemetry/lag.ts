/** How far a reader of topics is behind, in messages and in seconds, per partition: measured against what was committed. */
import type { Bus } from '../ports/bus.js'
import { gauge, type Labels, type MetricFamily } from './metrics.js'

export interface ReadPosition {
  readonly topic: string
  readonly partition: number
  /** Next offset to read as of the last commit; below 0n where nothing was committed. */
  readonly committed: bigint
  /** Time of the newest record that was committed, ms since 1970; of its assignment where there is none yet. */
  readonly committedMs: number
}

interface End {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

/** Asks the bus for ends now and then: what is shown is so old at most. */
const EVERY_MS = 15_000

export class LagSampler {
  readonly #bus: Bus
  readonly #positions: () => readonly ReadPosition[]
  readonly #nowMs: () => number
  readonly #ends = new Map<string, End>()
  #timer: NodeJS.Timeout | null = null
  #asking = false

  constructor(bus: Bus, positions: () => readonly ReadPosition[], nowMs: () => number) {
    this.#bus = bus
    this.#positions = positions
    this.#nowMs = nowMs
  }

  start(): void {
    this.#timer = setInterval(() => void this.sample(), EVERY_MS)
    this.#timer.unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  /** Ends of all partitions now. While the bus is away the last known ones stay. */
  async sample(): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    try {
      const asked = this.#positions().map(async ({ topic, partition }) => {
        this.#ends.set(`${topic}/${partition}`, {
          topic,
          partition,
          offset: await this.#bus.endOffset(topic, partition),
        })
      })
      await Promise.all(asked)
    } catch {
      // The reader itself says that the bus is away.
    } finally {
      this.#asking = false
    }
  }

  *lags(): Generator<{ readonly labels: Labels; readonly messages: number; readonly seconds: number }> {
    const now = this.#nowMs()
    for (const { topic, partition, committed, committedMs } of this.#positions()) {
      const end = this.#ends.get(`${topic}/${partition}`)
      if (end === undefined) continue
      const messages = Math.max(0, Number(end.offset - (committed < 0n ? 0n : committed)))
      const seconds = messages === 0 ? 0 : Math.max(0, (now - committedMs) / 1000)
      yield { labels: { topic, partition }, messages, seconds }
    }
  }

  families(service: string): MetricFamily[] {
    const lags = [...this.lags()]
    return [
      gauge(
        `klartext_${service}_lag_messages`,
        'Messages behind the last commit.',
        lags.map(({ labels, messages }) => [labels, messages] as const),
      ),
      gauge(
        `klartext_${service}_lag_seconds`,
        'Age of the newest message that was committed, where others wait.',
        lags.map(({ labels, seconds }) => [labels, seconds] as const),
      ),
    ]
  }
}
