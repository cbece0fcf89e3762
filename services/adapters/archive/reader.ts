/** A segment archive as a source of segments. */
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { KlartextError } from '../../core/errors.js'
import type { SegmentSource } from '../../core/ports/source.js'
import type { CoverageRow } from '../../core/rows.js'
import type { Segment } from '../../core/segment.js'
import { AvroInput } from '../../core/wire/avro.js'
import { readSegmentBatch, type SegmentBatch } from '../../core/wire/segment_batch.js'
import { type Block, ContainerParser } from './container.js'

const READ_BYTES = 1 << 20

export interface ArchiveSourceOptions {
  /** What messages call the file. */
  readonly name?: string
  readonly onProgress?: (bytesRead: number) => void
}

/** A file that is cut or broken gives its whole blocks, then throws a KlartextError with the position. */
export class ArchiveSource implements SegmentSource {
  readonly #input: string | Readable
  readonly #name: string
  readonly #onProgress: (bytesRead: number) => void
  /** Number of the last batch of each capturer. */
  readonly #sequences = new Map<string, number>()
  #lostBatches = 0
  #lastUs = 0

  constructor(input: string | Readable, options: ArchiveSourceOptions = {}) {
    this.#input = input
    this.#name = options.name ?? (typeof input === 'string' ? input : 'standard input')
    this.#onProgress = options.onProgress ?? (() => {})
  }

  async *batches(signal?: AbortSignal): AsyncGenerator<Segment[]> {
    const input = this.#input
    const file = typeof input === 'string' ? createReadStream(input, { highWaterMark: READ_BYTES }) : input
    const parser = new ContainerParser(this.#name)
    let read = 0
    try {
      for await (const bytes of file) {
        if (signal?.aborted) return
        read += (bytes as Buffer).length
        this.#onProgress(read)
        parser.feed(bytes as Buffer)
        for (let block = parser.next(); block !== null; block = parser.next()) yield* this.#segments(block)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
      throw new KlartextError('UNREADABLE', `${this.#name}: ${(error as Error).message}`, { cause: error })
    } finally {
      file.destroy()
    }
    parser.end()
  }

  /** Batches that the capturer numbered and that are not here: it had to drop them. */
  coverage(): CoverageRow[] {
    if (this.#lostBatches === 0) return []
    const row = {
      ts: this.#lastUs,
      cluster: '',
      node: '',
      kind: 'loss',
      subject: 'archive',
      pid: 0,
      container: '',
    } as const
    return [{ ...row, state: '', reason: 'lost_batch', detail: '', bytes: 0, count: this.#lostBatches }]
  }

  *#segments(block: Block): Generator<Segment[]> {
    const input = new AvroInput(block.bytes, `block at byte ${block.offset}`, 'CAPTURE_BROKEN')
    for (let i = 0; i < block.records; i++) {
      const batch = this.#batch(input)
      this.#count(batch)
      if (batch.segments.length > 0) yield batch.segments
    }
    if (input.remaining > 0) throw this.#broken(input.bad(`${input.remaining} bytes behind its batches`))
  }

  #batch(input: AvroInput): SegmentBatch {
    try {
      return readSegmentBatch(input)
    } catch (error) {
      throw this.#broken(error as Error)
    }
  }

  #broken(error: Error): KlartextError {
    return new KlartextError('CAPTURE_BROKEN', `${this.#name}: ${error.message}; everything before it was read`)
  }

  #count(batch: SegmentBatch): void {
    const capturer = `${batch.cluster}\n${batch.node}\n${batch.bootId}`
    const last = this.#sequences.get(capturer)
    // A number that goes back is a capturer that was started again.
    if (last !== undefined && batch.sequence > last + 1) this.#lostBatches += batch.sequence - last - 1
    this.#sequences.set(capturer, batch.sequence)
    const segment = batch.segments.at(-1)
    if (segment !== undefined) this.#lastUs = segment.timeUs
  }
}
