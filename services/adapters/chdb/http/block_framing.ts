/**
 * The framing of `compress=1`: blocks of checksum (CityHash128), method, sizes, data. Method 0x82 is LZ4; each block holds
 * one LZ4 sequence of literals only, which every LZ4 reader takes. On the loopback nothing is gained by compressing.
 */
import { Transform, type TransformCallback } from 'node:stream'
import { cityHash128 } from './city_hash.js'

const LZ4 = 0x82
const HEADER_BYTES = 9
/** ClickHouse's own writer makes blocks of this size. */
const BLOCK_BYTES_MAX = 1 << 20

export class BlockFraming extends Transform {
  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    for (let at = 0; at < chunk.length; at += BLOCK_BYTES_MAX)
      this.push(frame(chunk.subarray(at, at + BLOCK_BYTES_MAX)))
    done()
  }
}

export function frame(data: Buffer): Buffer {
  const lz4 = literals(data)
  const block = Buffer.alloc(HEADER_BYTES + lz4.length)
  block[0] = LZ4
  block.writeUInt32LE(block.length, 1)
  block.writeUInt32LE(data.length, 5)
  lz4.copy(block, HEADER_BYTES)
  return Buffer.concat([cityHash128(block), block])
}

/** LZ4 block format: a token with the count of literals (15 = more bytes follow), then the literals. */
function literals(data: Buffer): Buffer {
  if (data.length < 15) return Buffer.concat([Buffer.from([data.length << 4]), data])
  const rest = data.length - 15
  const length = Buffer.alloc(2 + Math.floor(rest / 255), 255)
  length[0] = 0xf0
  length[length.length - 1] = rest % 255
  return Buffer.concat([length, data])
}
