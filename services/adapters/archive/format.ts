/**
 * The segment archive: an Avro object container file (Avro 1.11 specification, "Object Container Files") whose records are
 * SegmentBatches, so that any Avro tool can read it. One batch per block: a file that is cut loses its last block only.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPO_ROOT } from '../../core/repo_root.js'

export const ARCHIVE_MAGIC: Buffer = Buffer.from([0x4f, 0x62, 0x6a, 0x01])
export const SYNC_BYTES = 16
/** A block beyond this is a broken length: capturers close a batch at 256 KiB, a single call has at most 1 MiB. */
export const BLOCK_BYTES_MAX = 64 << 20

export function isArchiveMagic(head: Buffer): boolean {
  return head.length >= 4 && head.compare(ARCHIVE_MAGIC, 0, 4, 0, 4) === 0
}

export function segmentSchema(): string {
  return JSON.stringify(JSON.parse(readFileSync(join(REPO_ROOT, 'schemas/avro/segment_batch.avsc'), 'utf8')))
}

/** Avro long, zig-zag varint; for sizes and counts. */
export function writeLong(value: number): Buffer {
  const bytes: number[] = []
  let rest = value * 2
  while (rest >= 0x80) {
    bytes.push((rest % 128) | 0x80)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
  return Buffer.from(bytes)
}

/** The long at `at` and where it ends; null if the bytes end inside it. Throws RangeError on more than 64 bits. */
export function readLong(bytes: Buffer, at: number): { value: number; next: number } | null {
  let value = 0
  let scale = 1
  for (let i = 0; i < 10; i++) {
    if (at + i >= bytes.length) return null
    const byte = bytes[at + i]
    value += (byte & 0x7f) * scale
    scale *= 128
    if (byte < 0x80) return { value: value % 2 === 0 ? value / 2 : -(value + 1) / 2, next: at + i + 1 }
  }
  throw new RangeError('a number of more than 64 bits')
}
