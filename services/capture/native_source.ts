/** The kernel as a source of segments. */
import { hostname } from 'node:os'
import type { Capture, CaptureOptions, CaptureStats, Library } from '../../native/index.js'
import { KlartextError } from '../core/errors.js'
import { DECODER_VERSION } from '../core/flow.js'
import type { SegmentSource } from '../core/ports/source.js'
import type { CoverageRow } from '../core/rows.js'
import type { Segment } from '../core/segment.js'
import { decodeSegmentBatch } from '../core/wire/segment_batch.js'
import { BPF_OBJECT_PATH, loadAddon } from './addon.js'
import { CoverageReport } from './coverage.js'
import { whyNoCapture } from './requirements.js'

export type NativeSourceOptions = Omit<CaptureOptions, 'objectPath' | 'version'>

/**
 * Inert until `start`. Batches wait in a list of at most the addon's queue plus what one turn of the event loop brings;
 * a consumer that falls behind makes the addon drop whole batches, counted as `queue_full`.
 */
export class NativeSource implements SegmentSource {
  readonly #options: NativeSourceOptions
  readonly #report: CoverageReport
  #capture: Capture | null = null
  #batches: Buffer[] = []
  #wake: (() => void) | null = null
  #ended = false

  constructor(options: NativeSourceOptions = {}) {
    this.#options = { node: hostname(), ...options }
    this.#report = new CoverageReport(this.#options.cluster ?? '', this.#options.node ?? '')
  }

  /** Throws KlartextError `NO_CAPTURE` with one line. */
  start(): void {
    const missing = whyNoCapture()
    if (missing !== null) throw new KlartextError('NO_CAPTURE', `cannot capture this host: ${missing}`)
    const addon = loadAddon()
    this.#capture = addon.openCapture(
      { ...this.#options, objectPath: BPF_OBJECT_PATH, version: DECODER_VERSION },
      (batch) => {
        this.#batches.push(batch)
        this.#wake?.()
      },
    )
    try {
      this.#capture.start()
    } catch (error) {
      throw new KlartextError('NO_CAPTURE', `cannot capture this host: ${(error as Error).message}`)
    }
  }

  /** What was captured before still comes out of the iterators, which then end. */
  async stop(): Promise<void> {
    await this.#capture?.stop()
    // The last batches were queued before the capture ended; they arrive with the next turns of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setTimeout(resolve, 20))
    this.#ended = true
    this.#wake?.()
  }

  /** Avro SegmentBatches as the addon made them, to be published unchanged. */
  async *rawBatches(): AsyncGenerator<Buffer> {
    for (;;) {
      while (this.#batches.length > 0) yield this.#batches.shift() as Buffer
      if (this.#ended) return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = null
    }
  }

  async *batches(): AsyncGenerator<Segment[]> {
    for await (const batch of this.rawBatches()) yield decodeSegmentBatch(batch).segments
  }

  stats(): CaptureStats | null {
    return this.#capture?.stats() ?? null
  }

  libraries(): Library[] {
    return this.#capture?.libraries() ?? []
  }

  /** Since the last call. */
  coverage(): CoverageRow[] {
    if (this.#capture === null) return []
    return this.#report.rows(this.#capture.stats(), this.#capture.libraries(), Date.now() * 1000)
  }
}
