import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, ftruncateSync, writeSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import { KlartextError } from '../../core/errors.js'
import { AvroOutput } from '../../core/wire/avro.js'
import { openPrivateFile } from '../system/private_file.js'
import { ARCHIVE_MAGIC, type Codec, SYNC_BYTES, segmentSchema } from './format.js'

export interface ArchiveWriterOptions {
  /** `deflate` makes text several times smaller and writing several times slower. */
  readonly codec?: Codec
}

/** Appends encoded SegmentBatches; each is on its way to the file when `append` returns. Errors are `UNWRITABLE`. */
export class ArchiveWriter {
  readonly #file: number
  readonly #path: string
  readonly #sync: Buffer
  readonly #codec: Codec
  batches = 0
  bytes = 0

  /** Replaces an existing file. It holds plaintext: only its owner may read it. */
  constructor(path: string, options: ArchiveWriterOptions = {}) {
    this.#path = path
    this.#codec = options.codec ?? 'null'
    const schema = segmentSchema()
    // The marker need only be unlikely inside the data; made of the schema, the same input gives the same file.
    this.#sync = createHash('sha256').update(schema).digest().subarray(0, SYNC_BYTES)
    this.#file = openPrivateFile(path)
    const head = new AvroOutput(schema.length + 100)
    head.raw(ARCHIVE_MAGIC)
    head.long(2)
    head.text('avro.schema')
    head.text(schema)
    head.text('avro.codec')
    head.text(this.#codec)
    head.long(0)
    head.raw(this.#sync)
    this.#write(head.finish())
  }

  append(batch: Uint8Array): void {
    const data = this.#codec === 'deflate' ? deflateRawSync(batch) : batch
    const block = new AvroOutput(data.length + 40)
    block.long(1)
    block.bytes(data)
    block.raw(this.#sync)
    this.#write(block.finish())
    this.batches += 1
  }

  /** What was appended is on the disk when this returns. */
  close(): void {
    try {
      fsyncSync(this.#file)
    } catch {
      // A pipe or /dev/null has no disk to wait for.
    }
    closeSync(this.#file)
  }

  /** Half a block at the end, of a disk that is full, would make the file look broken. */
  #dropTail(): void {
    try {
      ftruncateSync(this.#file, this.bytes)
    } catch {
      // A pipe has no length.
    }
  }

  #write(bytes: Buffer): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at)
    } catch (error) {
      this.#dropTail()
      throw new KlartextError(
        'UNWRITABLE',
        `${this.#path}: ${(error as Error).message}; ${this.batches} batches are whole`,
      )
    }
    this.bytes += bytes.length
  }
}
