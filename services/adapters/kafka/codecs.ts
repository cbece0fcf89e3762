/** Compression of record batches: what klartext writes is lz4 (or nothing), what others wrote may be any of Kafka's. */
import { createRequire } from 'node:module'
import { gunzipSync } from 'node:zlib'
import { decompress as zstdDecompress } from 'fzstd'
import { compressFrame, decompressFrameSync } from 'lz4-napi'
import { KlartextError } from '../../core/errors.js'
import { lz4SizeMax, zstdSizeMax } from './unpacked_size.js'

const { uncompress: snappyBlock } = createRequire(import.meta.url)('snappyjs') as {
  uncompress(block: Uint8Array, bytesMax: number): Uint8Array
}

/** Low three bits of a batch's attributes. */
export const Codec = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const

/** A batch of the largest size brokers take by default (1 MiB), compressed a hundredfold, fits; what does not is hostile. */
const BATCH_BYTES_MAX = 128 << 20

export async function compressLz4(bytes: Buffer): Promise<Buffer> {
  return compressFrame(bytes)
}

/** Throws KlartextError `BAD_BATCH`. */
export function decompress(codec: number, bytes: Buffer): Buffer {
  try {
    switch (codec) {
      case Codec.none:
        return bytes
      case Codec.gzip:
        return gunzipSync(bytes, { maxOutputLength: BATCH_BYTES_MAX })
      case Codec.snappy:
        return snappy(bytes)
      case Codec.lz4:
        mustFit(lz4SizeMax(bytes))
        return decompressFrameSync(bytes)
      case Codec.zstd:
        mustFit(zstdSizeMax(bytes))
        return Buffer.from(zstdDecompress(bytes))
    }
  } catch (error) {
    throw new KlartextError('BAD_BATCH', `a record batch cannot be decompressed: ${(error as Error).message}`)
  }
  throw new KlartextError('BAD_BATCH', `a record batch has the unknown compression ${codec}`)
}

function mustFit(size: number): void {
  if (size > BATCH_BYTES_MAX) throw new Error(`it is larger than ${BATCH_BYTES_MAX >> 20} MiB`)
}

/** Java's producers write xerial frames: magic, two versions, then blocks with their sizes. */
const XERIAL_MAGIC = Buffer.from('82534e4150505900', 'hex')
const XERIAL_HEAD_BYTES = 16

function snappy(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return snappyBounded(bytes)
  const blocks: Buffer[] = []
  let size = 0
  for (let at = XERIAL_HEAD_BYTES; at + 4 <= bytes.length; ) {
    const length = bytes.readInt32BE(at)
    at += 4
    if (length < 0 || at + length > bytes.length) throw new Error('a snappy block ends outside its batch')
    const block = snappyBounded(bytes.subarray(at, at + length))
    size += block.length
    mustFit(size)
    blocks.push(block)
    at += length
  }
  return Buffer.concat(blocks)
}

function snappyBounded(block: Buffer): Buffer {
  return Buffer.from(snappyBlock(block, BATCH_BYTES_MAX))
}
