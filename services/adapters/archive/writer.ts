import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { KlartextError } from '../../core/errors.js'
import { ARCHIVE_MAGIC, SYNC_BYTES, segmentSchema, writeLong } from './format.js'

/** Appends encoded SegmentBatches; each is on its way to the file when `append` returns. */
export class ArchiveWriter {
  readonly #file: number
  readonly #path: string
  readonly #sync: Buffer
  batches = 0
  bytes = 0

  /** Replaces an existing file. */
  constructor(path: string) {
    this.#path = path
    const schema = segmentSchema()
    // The marker need only be unlikely inside the data; derived from the name, the same input gives the same file.
    this.#sync = createHash('sha256').update(schema).update(path).digest().subarray(0, SYNC_BYTES)
    try {
      this.#file = openSync(path, 'w', 0o600)
    } catch (error) {
      throw new KlartextError('UNWRITABLE', `${path}: ${(error as Error).message}`)
    }
    const entry = (name: string, value: string) => [
      writeLong(Buffer.byteLength(name)),
      Buffer.from(name),
      writeLong(Buffer.byteLength(value)),
      Buffer.from(value),
    ]
    this.#write([
      ARCHIVE_MAGIC,
      writeLong(2),
      ...entry('avro.schema', schema),
      ...entry('avro.codec', 'null'),
      writeLong(0),
      this.#sync,
    ])
  }

  append(batch: Uint8Array): void {
    this.#write([writeLong(1), writeLong(batch.length), batch, this.#sync])
    this.batches += 1
  }

  close(): void {
    fsyncSync(this.#file)
    closeSync(this.#file)
  }

  #write(parts: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(parts)
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at)
    } catch (error) {
      throw new KlartextError(
        'UNWRITABLE',
        `${this.#path}: ${(error as Error).message}; ${this.batches} batches are whole`,
      )
    }
    this.bytes += bytes.length
  }
}
