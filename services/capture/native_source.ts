/** The kernel as a source of segments. */
import { hostname } from 'node:os'
import type { Capture, CaptureOptions, CaptureStats, Count, Library } from '../../native/index.js'
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

/** Batches of 256 KiB that wait for the consumer: beyond 64 MiB the newest are dropped, as the addon does with its own queue. */
const WAITING_BATCHES_MAX = 256

/** Inert until `start`. A consumer that falls behind costs whole batches, counted to the byte as `queue_full`. */
export class NativeSource implements SegmentSource {
  readonly #options: NativeSourceOptions
  readonly #report: CoverageReport
  #capture: Capture | null = null
  #batches: Buffer[] = []
  #wake: (() => void) | null = null
  #ended = false
  #dropped: Count = { count: 0, bytes: 0 }

  constructor(options: NativeSourceOptions = {}) {
    this.#options = { node: hostname(), ...options }
    this.#report = new CoverageReport(this.#options.cluster ?? '', this.#options.node ?? '')
  }

  /** Throws KlartextError `NO_CAPTURE` with one line where `start` would fail for what is missing. */
  check(): void {
    const missing = whyNoCapture()
    if (missing !== null) throw new KlartextError('NO_CAPTURE', `cannot capture this host: ${missing}`)
  }

  /** Throws KlartextError `NO_CAPTURE` with one line. */
  start(): void {
    this.check()
    const addon = loadAddon()
    this.#capture = addon.openCapture(
      { ...this.#options, objectPath: BPF_OBJECT_PATH, version: DECODER_VERSION },
      (batch, payloadBytes) => this.#take(batch, payloadBytes),
    )
    try {
      this.#capture.start()
    } catch (error) {
      throw new KlartextError('NO_CAPTURE', `cannot capture this host: ${(error as Error).message}`)
    }
  }

  #take(batch: Buffer, payloadBytes: number): void {
    if (this.#batches.length >= WAITING_BATCHES_MAX) {
      this.#dropped = { count: this.#dropped.count + 1, bytes: this.#dropped.bytes + payloadBytes }
      return
    }
    this.#batches.push(batch)
    this.#wake?.()
  }

  /** What was captured before still comes out of the iterators, which then end. */
  async stop(): Promise<void> {
    await this.#capture?.stop()
    this.#ended = true
    this.#wake?.()
  }

  get waitingBatches(): number {
    return this.#batches.length
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
    const stats = this.#capture?.stats()
    if (stats === undefined) return null
    const { count, bytes } = stats.lost.queue_full
    const queueFull = { count: count + this.#dropped.count, bytes: bytes + this.#dropped.bytes }
    return { ...stats, lost: { ...stats.lost, queue_full: queueFull } }
  }

  libraries(): Library[] {
    return this.#capture?.libraries() ?? []
  }

  /** Since the last call. */
  coverage(): CoverageRow[] {
    const stats = this.stats()
    return stats === null ? [] : this.#report.rows(stats, this.libraries(), Date.now() * 1000)
  }
}
