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

/** `deflate` as Avro defines it: RFC 1951 without a header. */
export const CODECS = ['null', 'deflate'] as const
export type Codec = (typeof CODECS)[number]

export function isArchiveMagic(head: Buffer): boolean {
  return head.length >= 4 && head.compare(ARCHIVE_MAGIC, 0, 4, 0, 4) === 0
}

export function segmentSchema(): string {
  return JSON.stringify(JSON.parse(readFileSync(join(REPO_ROOT, 'schemas/avro/segment_batch.avsc'), 'utf8')))
}
