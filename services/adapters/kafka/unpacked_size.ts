/**
 * How large a compressed frame can become, read from its block heads without unpacking it: the libraries for lz4 and zstd
 * take no limit. Sizes are upper bounds, exact where a zstd frame says its own. Otherwise they are off by what the last block
 * of a frame leaves empty, since compressors fill all others (zstd's slowest levels split some: about twice as much).
 */

const LZ4_MAGIC = 0x184d2204
/** No byte of an LZ4 block makes more than 255: lengths are sums of bytes (LZ4 block format). */
const LZ4_RATIO_MAX = 255

/**
 * LZ4 frame format 1.6.4: magic u32, flags u8, block size code u8, content size u64?, dictionary id u32?, header checksum u8,
 * (block size u32 with its highest bit set where the block is stored as it is, block, block checksum u32?)*, u32 = 0,
 * content checksum u32?. Throws RangeError where it is cut, Error where it is something else. One frame is all that is read.
 */
export function lz4SizeMax(bytes: Buffer): number {
  if (bytes.readUInt32LE(0) !== LZ4_MAGIC) throw new Error('no lz4 frame')
  const flags = bytes.readUInt8(4)
  const blockBytesMax = 1 << (8 + 2 * ((bytes.readUInt8(5) >> 4) & 7))
  const checksumBytes = (flags & 0x10) !== 0 ? 4 : 0
  let size = 0
  for (let at = 7 + ((flags & 8) !== 0 ? 8 : 0) + ((flags & 1) !== 0 ? 4 : 0); ; ) {
    const head = bytes.readUInt32LE(at)
    if (head === 0) return size
    const length = head & 0x7fffffff
    size += head !== length ? length : Math.min(blockBytesMax, length * LZ4_RATIO_MAX)
    at += 4 + length + checksumBytes
  }
}

const ZSTD_MAGIC = 0xfd2fb528
const ZSTD_SKIPPABLE = 0x184d2a50
const ZSTD_BLOCK_BYTES_MAX = 128 << 10
const ZSTD_RAW = 0
const ZSTD_RLE = 1

/**
 * The sum of all frames, or the largest window where that is more: it is allocated too. RFC 8878 section 3.1. Throws
 * RangeError where a frame is cut, Error where it is none.
 */
export function zstdSizeMax(bytes: Buffer): number {
  let size = 0
  let window = 0
  for (let at = 0; at < bytes.length; ) {
    const magic = bytes.readUInt32LE(at)
    if (magic - (magic % 16) === ZSTD_SKIPPABLE) {
      at += 8 + bytes.readUInt32LE(at + 4)
      continue
    }
    if (magic !== ZSTD_MAGIC) throw new Error('no zstd frame')
    const frame = zstdFrame(bytes, at + 4)
    size += frame.size
    window = Math.max(window, frame.window)
    at = frame.end
  }
  return Math.max(size, window)
}

/** Of the frame whose descriptor is at `start`. */
function zstdFrame(bytes: Buffer, start: number): { size: number; window: number; end: number } {
  const descriptor = bytes.readUInt8(start)
  const isSingle = (descriptor & 0x20) !== 0
  const sizeBytes = descriptor >> 6 === 0 ? (isSingle ? 1 : 0) : 1 << (descriptor >> 6)
  let at = start + 1
  let window = 0
  if (!isSingle) {
    const code = bytes.readUInt8(at++)
    window = 2 ** (10 + (code >> 3)) * (1 + (code & 7) / 8)
  }
  at += [0, 1, 2, 4][descriptor & 3]
  const said = sizeBytes === 0 ? 0 : contentSize(bytes, at, sizeBytes)
  if (isSingle) window = said
  at += sizeBytes
  let size = 0
  for (let isLast = false; !isLast; ) {
    const head = bytes.readUIntLE(at, 3)
    isLast = (head & 1) !== 0
    const type = (head >> 1) & 3
    const length = head >> 3
    size += type === ZSTD_RAW || type === ZSTD_RLE ? length : Math.min(window, ZSTD_BLOCK_BYTES_MAX)
    at += 3 + (type === ZSTD_RLE ? 1 : length)
  }
  return { size: said > 0 ? said : size, window, end: at + ((descriptor & 4) !== 0 ? 4 : 0) }
}

function contentSize(bytes: Buffer, at: number, sizeBytes: number): number {
  if (sizeBytes === 8) return Number(bytes.readBigUInt64LE(at))
  return bytes.readUIntLE(at, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
}
