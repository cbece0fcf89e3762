import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { compressFrameSync, decompressFrameSync } from 'lz4-napi'
import { Codec, decompress } from './codecs.js'

const MiB = 1 << 20
const TOO_LARGE = { code: 'BAD_BATCH', message: /larger than 128 MiB/ }
const LZ4_HEAD_BYTES = 7

/** One LZ4 block that unpacks to 4 MiB, `count` times over. */
function lz4Of(count: number): Buffer {
  const frame = compressFrameSync(Buffer.alloc(4 * MiB))
  const block = frame.subarray(LZ4_HEAD_BYTES, LZ4_HEAD_BYTES + 4 + frame.readUInt32LE(LZ4_HEAD_BYTES))
  return Buffer.concat([frame.subarray(0, LZ4_HEAD_BYTES), ...Array<Buffer>(count).fill(block), Buffer.alloc(4)])
}

const ZSTD_MAGIC = Buffer.from('28b52ffd', 'hex')

/** `count` times 128 KiB of one byte; the window is of 1 MiB. */
function zstdOf(count: number): Buffer {
  const blocks = Buffer.alloc(4 * count)
  for (let i = 0; i < count; i++) blocks.writeUIntLE((128 << 13) | 2 | (i === count - 1 ? 1 : 0), 4 * i, 3)
  return Buffer.concat([ZSTD_MAGIC, Buffer.from([0, 10 << 3]), blocks])
}

test('what fits is unpacked to the last byte, in one frame or more', () => {
  assert.equal(decompress(Codec.lz4, lz4Of(8)).length, 32 * MiB)
  assert.equal(decompress(Codec.zstd, zstdOf(16)).length, 2 * MiB)
  // "hello hello hello" as zstd 1.5 writes it from a pipe, and from a file: with a content size.
  const piped = Buffer.from('28b52ffd00586500003068656c6c6f200100314a11', 'hex')
  const sized = Buffer.concat([ZSTD_MAGIC, Buffer.from([0x20, 17]), piped.subarray(6)])
  const skippable = Buffer.from('502a4d1803000000616263', 'hex')
  const text = decompress(Codec.zstd, Buffer.concat([piped, skippable, sized])).toString()
  assert.equal(text, 'hello hello hellohello hello hello')
})

test('a batch that would unpack to more than fits is refused before any of it is, whatever its compression', () => {
  assert.throws(() => decompress(Codec.gzip, gzipSync(Buffer.alloc(129 * MiB), { level: 1 })), { code: 'BAD_BATCH' })
  assert.throws(() => decompress(Codec.lz4, lz4Of(33)), TOO_LARGE)
  assert.throws(() => decompress(Codec.zstd, zstdOf(1025)), TOO_LARGE)
  assert.throws(() => decompress(Codec.zstd, Buffer.concat([zstdOf(600), zstdOf(600)])), TOO_LARGE)
  const last = Buffer.from([1, 0, 0])
  // Nothing in it, and yet memory for all of it: a content size of 2 GiB - 16 MiB, in 4 and in 8 bytes, and a window of 1.9 GiB.
  for (const head of ['a00000007f', 'e00000007f00000000', 'e00000000001000000', '00a7']) {
    assert.throws(() => decompress(Codec.zstd, Buffer.concat([ZSTD_MAGIC, Buffer.from(head, 'hex'), last])), TOO_LARGE)
  }
})

test('an lz4 block that is larger than its frame says is refused by the library: the bound holds', () => {
  const frame = lz4Of(1)
  frame[5] = 0x40
  const errors = new Set<string>()
  for (let checksum = 0; checksum < 256; checksum++) {
    frame[6] = checksum
    assert.throws(
      () => decompressFrameSync(frame),
      ({ message }) => errors.add(message) !== null,
    )
  }
  // The checksum of the head was right once.
  assert.equal(errors.size, 2)
})

test('a frame that is cut, or none, is the same error', () => {
  for (const [codec, whole] of [
    [Codec.lz4, lz4Of(1)],
    [Codec.zstd, zstdOf(3)],
  ] as const) {
    for (let size = 1; size < Math.min(whole.length, 100); size++) {
      assert.throws(() => decompress(codec, whole.subarray(0, size)), { code: 'BAD_BATCH' }, `${codec}: ${size}`)
    }
    assert.throws(() => decompress(codec, Buffer.from('neither the one nor the other')), { code: 'BAD_BATCH' })
  }
})
