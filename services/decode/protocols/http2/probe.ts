/** Is it HTTP/2, and which end speaks? */
import type { Cursor } from '../../../core/cursor.js'
import { CERTAIN, NO, UNDECIDED, type Verdict } from '../../../core/protocol.js'
import { FieldBlock } from './field_block.js'
import { chainLength, Flag, FRAME_HEADER_BYTES, FrameHeader, FrameType, isPlausible, PREFACE } from './frames.js'
import { HpackDecoder } from './hpack/decoder.js'

/** A server begins with SETTINGS; many protocols have nine such bytes by chance, few go on with a second frame. */
const LIKELY = 70
const CHAINED = 90
/** Frames in a row that are no chance where a connection was joined. */
const JOINED_FRAMES = 3
const PRIORITY_BYTES = 5
/** What `PRI * HTTP/2.0` has in common with nothing else. */
const PREFACE_SURE_BYTES = 14

const first = new FrameHeader()

/** Bytes of the preface that `head` begins with, as far as it is here; -1 where it does not. */
function prefaceBytes({ bytes, pos, end }: Cursor): number {
  const size = Math.min(end - pos, PREFACE.length)
  for (let i = 0; i < size; i++) if (bytes[pos + i] !== PREFACE[i]) return -1
  return size
}

export function probeHttp2(head: Cursor): Verdict {
  const preface = prefaceBytes(head)
  if (preface >= PREFACE_SURE_BYTES) return CERTAIN
  if (preface > 0) return UNDECIDED
  const { bytes, pos, end } = head
  if (end - pos < FRAME_HEADER_BYTES) return head.ended ? NO : couldBegin(head) ? UNDECIDED : NO
  first.read(bytes, pos)
  if (!isPlausible(first, bytes[pos + 5])) return NO
  if (head.midway) {
    const frames = chainLength(bytes, pos, end, JOINED_FRAMES)
    if (frames < 0) return NO
    return frames >= JOINED_FRAMES || hasHeader(head) ? CHAINED : UNDECIDED
  }
  if (first.type !== FrameType.SETTINGS || first.flags !== 0 || !knownSettings(bytes, pos, end)) return NO
  const frames = chainLength(bytes, pos, end, 2)
  return frames < 0 ? NO : frames >= 2 ? CHAINED : LIKELY
}

/** A whole header block among the first frames: its fields are names that only HTTP/2 has. */
function hasHeader({ bytes, pos, end }: Cursor): boolean {
  hpack.forget()
  for (let at = pos, frames = 0; at + FRAME_HEADER_BYTES <= end && frames < JOINED_FRAMES; frames++) {
    first.read(bytes, at)
    const from = at + FRAME_HEADER_BYTES
    at = from + first.length
    const { type, flags } = first
    if (type !== FrameType.HEADERS || at > end || (flags & Flag.END_HEADERS) === 0) continue
    if ((flags & Flag.PADDED) !== 0) continue
    block.clear()
    const begin = (flags & Flag.PRIORITY) !== 0 ? from + PRIORITY_BYTES : from
    if (begin > at || !hpack.decode(bytes, begin, at, block)) return false
    if ((block.method !== '' && block.path !== '') || /^[1-5]\d\d$/.test(block.status)) return true
  }
  return false
}

const hpack = new HpackDecoder()
const block = new FieldBlock()

/** Less than a frame header: the length of a usual frame, and a type that there is. */
function couldBegin({ bytes, pos, end, midway }: Cursor): boolean {
  if (bytes[pos] !== 0) return false
  return end - pos < 4 || bytes[pos + 3] <= (midway ? FrameType.PRIORITY_UPDATE : FrameType.SETTINGS)
}

/** Identifiers of RFC 9113 section 6.5.2, RFC 8441 and RFC 9218; GREASE is 0x?a?a. */
function knownSettings(bytes: Buffer, pos: number, end: number): boolean {
  const to = Math.min(end, pos + FRAME_HEADER_BYTES + first.length)
  for (let at = pos + FRAME_HEADER_BYTES; at + 2 <= to; at += 6) {
    const id = (bytes[at] << 8) | bytes[at + 1]
    if (id === 0 || (id > 9 && (id & 0x0f0f) !== 0x0a0a && id < 0xf000)) return false
  }
  return true
}

/** Who says this: 1 a client, -1 a server, 0 not to be told. By the preface, or by the first field of a header block. */
export function speaker(head: Cursor): number {
  if (prefaceBytes(head) >= PREFACE_SURE_BYTES) return 1
  const { bytes, pos, end } = head
  for (let at = pos; at + FRAME_HEADER_BYTES < end; at += FRAME_HEADER_BYTES + first.length) {
    first.read(bytes, at)
    if (!isPlausible(first, bytes[at + 5])) return 0
    const { type, flags } = first
    if (type !== FrameType.HEADERS || (flags & (Flag.PADDED | Flag.PRIORITY)) !== 0) continue
    const field = bytes[at + FRAME_HEADER_BYTES]
    // Indexed :method, :path, :scheme; indexed :status, or :status with a literal value.
    if (field >= 0x82 && field <= 0x87) return 1
    if ((field >= 0x88 && field <= 0x8e) || field === 0x48 || field === 0x08) return -1
  }
  return 0
}
