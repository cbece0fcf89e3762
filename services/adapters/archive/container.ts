/** Cuts an Avro object container file into the data of its blocks, as its bytes come. */
import { inflateRawSync } from 'node:zlib'
import { KlartextError } from '../../core/errors.js'
import { AvroInput } from '../../core/wire/avro.js'
import { BLOCK_BYTES_MAX, CODECS, type Codec, isArchiveMagic, SYNC_BYTES } from './format.js'

/** Schema and codec; a header beyond this is none. */
const HEADER_BYTES_MAX = 1 << 20
const CUT = 'CUT'

export interface Block {
  /** Uncompressed. */
  readonly bytes: Buffer
  readonly records: number
  /** Where the block begins in the file, and where the next one does. */
  readonly offset: number
  readonly next: number
}

export class ContainerParser {
  readonly #name: string
  #rest: Buffer = Buffer.alloc(0)
  /** Offset in the file of `#rest`. */
  #offset = 0
  #codec: Codec | null = null
  #sync: Buffer = Buffer.alloc(0)
  /** Nothing can be made of `#rest` before it has so many bytes. */
  #neededBytes = 0

  /** `name` is what messages call the file. */
  constructor(name: string) {
    this.#name = name
  }

  feed(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
  }

  /** The next whole block; null = more bytes are needed. Throws KlartextError `CAPTURE_BROKEN` or `NOT_A_CAPTURE`. */
  next(): Block | null {
    if (this.#codec === null && !this.#header()) return null
    if (this.#rest.length < this.#neededBytes || this.#rest.length === 0) return null
    const input = new AvroInput(this.#rest, this.#name, CUT)
    return orCut(() => {
      const records = input.long()
      const size = input.long()
      if (records < 0) throw this.#broken(`block of ${records} records`)
      if (size < 0 || size > BLOCK_BYTES_MAX) throw this.#broken(`block of ${size} bytes`)
      this.#neededBytes = input.position + size + SYNC_BYTES
      const data = input.fixed(size)
      if (!input.fixed(SYNC_BYTES).equals(this.#sync)) throw this.#broken('block without its end marker')
      const next = this.#offset + input.position
      const block = { bytes: this.#unpack(data), records, offset: this.#offset, next }
      this.#consume(input.position)
      return block
    })
  }

  /** At the end of the file: throws `CAPTURE_TRUNCATED` where it is cut. */
  end(): void {
    if (this.#codec !== null && this.#rest.length === 0) return
    if (this.#codec === null && this.#rest.length === 0) throw this.#error('EMPTY_FILE', 'the file is empty')
    const what = this.#codec === null ? 'cut inside its header' : 'cut inside a block'
    throw this.#error('CAPTURE_TRUNCATED', `${what} that starts at byte ${this.#offset}; everything before it was read`)
  }

  /** Magic, a map of metadata, the marker that ends every block. */
  #header(): boolean {
    const bytes = this.#rest
    if (bytes.length < 4) return false
    if (!isArchiveMagic(bytes)) throw this.#error('NOT_A_CAPTURE', 'not an Avro object container file')
    const input = new AvroInput(bytes, this.#name, CUT, 4)
    const meta = new Map<string, string>()
    const done = orCut(() => {
      for (let count = input.blockCount(); count > 0; count = input.blockCount()) {
        for (let i = 0; i < count; i++) meta.set(input.text(), input.text())
      }
      this.#sync = Buffer.from(input.fixed(SYNC_BYTES))
      return true
    })
    if (done === null) {
      if (bytes.length > HEADER_BYTES_MAX) throw this.#broken('no end of the header')
      return false
    }
    const codec = (meta.get('avro.codec') || 'null') as Codec
    if (!CODECS.includes(codec)) throw this.#broken(`codec "${codec}" is not known`)
    if (schemaName(meta.get('avro.schema') ?? '') !== 'SegmentBatch') {
      throw this.#error('NOT_A_CAPTURE', 'an Avro file, but not of segments')
    }
    this.#codec = codec
    this.#consume(input.position)
    return true
  }

  #unpack(data: Buffer): Buffer {
    if (this.#codec !== 'deflate') return data
    try {
      return inflateRawSync(data, { maxOutputLength: BLOCK_BYTES_MAX })
    } catch (error) {
      throw this.#broken(`block that cannot be unpacked (${(error as Error).message})`)
    }
  }

  #consume(size: number): void {
    this.#rest = this.#rest.subarray(size)
    this.#offset += size
    this.#neededBytes = 0
  }

  #broken(what: string): KlartextError {
    return this.#error('CAPTURE_BROKEN', `${what} at byte ${this.#offset}; everything before it was read`)
  }

  #error(code: string, what: string): KlartextError {
    return new KlartextError(code, `${this.#name}: ${what}`)
  }
}

/** Null where the bytes end too early. */
function orCut<T>(read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof KlartextError && error.code === CUT) return null
    throw error
  }
}

/** Without its namespace, which some writers put in front. */
function schemaName(schema: string): string {
  try {
    return (JSON.parse(schema) as { name?: string }).name?.split('.').pop() ?? ''
  } catch {
    return ''
  }
}
