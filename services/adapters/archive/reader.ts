/** A segment archive as a source of segments. */
import { createReadStream } from 'node:fs'
import { inflateRawSync } from 'node:zlib'
import { KlartextError } from '../../core/errors.js'
import type { SegmentSource } from '../../core/ports/source.js'
import type { CoverageRow } from '../../core/rows.js'
import type { Segment } from '../../core/segment.js'
import { decodeSegmentBatch } from '../../core/wire/segment_batch.js'
import { BLOCK_BYTES_MAX, isArchiveMagic, readLong, SYNC_BYTES } from './format.js'

const READ_BYTES = 1 << 20
/** Schema and codec; a header beyond this is none. */
const HEADER_BYTES_MAX = 1 << 20

export interface ArchiveSourceOptions {
  readonly onProgress?: (bytesRead: number) => void
}

/** A file that is cut gives its whole blocks, then throws `CAPTURE_TRUNCATED` with the position. */
export class ArchiveSource implements SegmentSource {
  readonly #path: string
  readonly #options: ArchiveSourceOptions
  #rest: Buffer = Buffer.alloc(0)
  /** Offset in the file of `#rest`. */
  #offset = 0
  #deflate = false

  constructor(path: string, options: ArchiveSourceOptions = {}) {
    this.#path = path
    this.#options = options
  }

  async *batches(signal?: AbortSignal): AsyncGenerator<Segment[]> {
    const file = createReadStream(this.#path, { highWaterMark: READ_BYTES })
    let headerDone = false
    let read = 0
    try {
      for await (const block of file) {
        if (signal?.aborted) return
        read += (block as Buffer).length
        this.#options.onProgress?.(read)
        this.#rest = this.#rest.length === 0 ? block : Buffer.concat([this.#rest, block as Buffer])
        if (!headerDone) headerDone = this.#header()
        if (!headerDone) continue
        for (let batch = this.#next(); batch !== null; batch = this.#next()) yield this.#decode(batch)
      }
    } finally {
      file.destroy()
    }
    if (!headerDone || this.#rest.length > 0) {
      const what = headerDone ? `cut inside a block that starts at byte ${this.#offset}` : 'cut inside its header'
      throw new KlartextError('CAPTURE_TRUNCATED', `${this.#path}: ${what}; everything before it was read`)
    }
  }

  coverage(): CoverageRow[] {
    return []
  }

  #decode(bytes: Buffer): Segment[] {
    try {
      return decodeSegmentBatch(this.#deflate ? inflateRawSync(bytes, { maxOutputLength: BLOCK_BYTES_MAX }) : bytes)
        .segments
    } catch (error) {
      throw this.#broken((error as Error).message)
    }
  }

  #broken(what: string): KlartextError {
    return new KlartextError('CAPTURE_BROKEN', `${this.#path}: block before byte ${this.#offset}: ${what}`)
  }

  #consume(size: number): void {
    this.#rest = this.#rest.subarray(size)
    this.#offset += size
  }

  /** Map of metadata in one or more blocks, then the sync marker. */
  #header(): boolean {
    const bytes = this.#rest
    if (bytes.length >= 4 && !isArchiveMagic(bytes)) throw this.#broken('not an Avro object container file')
    const meta = new Map<string, string>()
    let at = 4
    for (;;) {
      const count = this.#long(bytes, at)
      if (count === null) return this.#headerMore()
      at = count.next
      if (count.value === 0) break
      let entries = count.value
      if (entries < 0) {
        const size = this.#long(bytes, at)
        if (size === null) return this.#headerMore()
        at = size.next
        entries = -entries
      }
      for (; entries > 0; entries--) {
        const texts: string[] = []
        for (let i = 0; i < 2; i++) {
          const size = this.#long(bytes, at)
          if (size === null || size.value < 0 || size.next + size.value > bytes.length) return this.#headerMore()
          texts.push(bytes.toString('utf8', size.next, size.next + size.value))
          at = size.next + size.value
        }
        meta.set(texts[0], texts[1])
      }
    }
    if (at + SYNC_BYTES > bytes.length) return this.#headerMore()
    const codec = meta.get('avro.codec') ?? 'null'
    if (codec !== 'null' && codec !== 'deflate') throw this.#broken(`codec "${codec}" is not known`)
    if (!(meta.get('avro.schema') ?? '').includes('SegmentBatch')) throw this.#broken('not an archive of segments')
    this.#deflate = codec === 'deflate'
    this.#consume(at + SYNC_BYTES)
    return true
  }

  #headerMore(): false {
    if (this.#rest.length > HEADER_BYTES_MAX) throw this.#broken('no end of the header')
    return false
  }

  #long(bytes: Buffer, at: number): { value: number; next: number } | null {
    try {
      return readLong(bytes, at)
    } catch (error) {
      throw this.#broken((error as Error).message)
    }
  }

  /** The data of the next whole block, or null. Our writer puts one batch into a block. */
  #next(): Buffer | null {
    const bytes = this.#rest
    const count = this.#long(bytes, 0)
    if (count === null) return null
    const size = this.#long(bytes, count.next)
    if (size === null) return null
    if (size.value < 0 || size.value > BLOCK_BYTES_MAX) throw this.#broken(`block of ${size.value} bytes`)
    const end = size.next + size.value
    if (end + SYNC_BYTES > bytes.length) return null
    this.#consume(end + SYNC_BYTES)
    if (count.value !== 1) throw this.#broken(`block of ${count.value} batches`)
    return bytes.subarray(size.next, end)
  }
}
