/** The capture service's work: what the source has goes to the bus, and beside it what was seen and not seen. */
import type { Clock } from '../core/ports/clock.js'
import type { CoverageRow } from '../core/rows.js'
import type { SegmentPublisher } from './publisher.js'

/** As NativeSource: inert until `start`; what was captured before `stop` still comes out. */
export interface CapturerSource {
  start(): void
  stop(): Promise<void>
  rawBatches(): AsyncIterable<Buffer>
  coverage(): CoverageRow[]
  /** Batches that wait to be taken. */
  readonly waitingBatches: number
}

export interface CapturerOptions {
  readonly source: CapturerSource
  readonly publisher: SegmentPublisher
  readonly clock: Clock
  readonly cluster: string
  readonly node: string
  /** Between two reports of coverage. */
  readonly coverageMs: number
  /** At the end what waits for the bus is sent for so long at most. */
  readonly drainMs: number
  readonly onError: (error: unknown) => void
  readonly onProgress: () => void
}

const LOOK_MS = 1_000

export class Capturer {
  readonly #options: CapturerOptions
  #taken = 0
  #takenBefore = -1
  /** What could not be sent any more when it ended. */
  unsentBytes = 0

  constructor(options: CapturerOptions) {
    this.#options = options
  }

  /** Captures until `stop`; rejects with what the bus refuses for good. */
  async run(): Promise<void> {
    const { source, publisher, coverageMs } = this.#options
    const looking = setInterval(() => this.#look(), LOOK_MS)
    const reporting = setInterval(() => void this.#report(), coverageMs)
    try {
      source.start()
      await Promise.race([this.#publish(), publisher.failed])
    } catch (error) {
      await source.stop()
      throw error
    } finally {
      clearInterval(looking)
      clearInterval(reporting)
    }
    await this.#drain()
  }

  async #publish(): Promise<void> {
    const { source, publisher } = this.#options
    for await (const batch of source.rawBatches()) {
      publisher.publishBatch(batch)
      this.#taken += 1
    }
  }

  /** A quiet host is no fault; batches that wait and are not taken are. */
  #look(): void {
    const { source, onProgress } = this.#options
    if (source.waitingBatches === 0 || this.#taken !== this.#takenBefore) onProgress()
    this.#takenBefore = this.#taken
  }

  async #report(): Promise<void> {
    const { source, publisher, cluster, node, onError } = this.#options
    try {
      await publisher.report(source.coverage(), { cluster, node })
    } catch (error) {
      onError(error)
    }
  }

  async #drain(): Promise<void> {
    const { publisher, clock, drainMs } = this.#options
    const stop = new AbortController()
    const late = clock.sleep(drainMs, stop.signal).catch(() => {})
    await Promise.race([publisher.flush().then(() => this.#report()), late])
    stop.abort()
    this.unsentBytes = publisher.queuedBytes
  }

  stop(): Promise<void> {
    return this.#options.source.stop()
  }
}
