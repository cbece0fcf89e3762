/** Is it HTTP/2, and which end speaks? */
import type { Cursor } from '../../../core/cursor.js'
import { CERTAIN, NO, UNDECIDED, type Verdict } from '../../../core/protocol.js'
import { FieldBlock } from './fields.js'
import { chainLength, Flag, FRAME_HEADER_BYTES, FrameHeader, FrameType, isPlausible, PREFACE } from './frames.js'
import { HPACK_OK, HpackDecoder } from './hpack/decoder.js'

/** A server begins with SETTINGS; many protocols have nine such bytes by chance, few go on with a second frame. */
const LIKELY = 70
const CHAINED = 90
/** Frames in a row that are no chance where a connection was joined. */
const JOINED_FRAMES = 3
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
    return frames >= JOINED_FRAMES || beginsWithHeaders(head) ? CHAINED : UNDECIDED
  }
  if (first.type !== FrameType.SETTINGS || first.flags !== 0 || !knownSettings(bytes, pos, end)) return NO
  const frames = chainLength(bytes, pos, end, 2)
  return frames < 0 ? NO : frames >= 2 ? CHAINED : LIKELY
}

/** A whole header block at the beginning: its fields are names that only HTTP/2 has. */
function beginsWithHeaders({ bytes, pos, end }: Cursor): boolean {
  first.read(bytes, pos)
  const { type, flags, length } = first
  if (type !== FrameType.HEADERS || (flags & (Flag.PADDED | Flag.PRIORITY)) !== 0) return false
  const to = pos + FRAME_HEADER_BYTES + length
  if ((flags & Flag.END_HEADERS) === 0 || to > end) return false
  const hpack = new HpackDecoder()
  hpack.forget()
  const block = new FieldBlock()
  if (hpack.decode(bytes, pos + FRAME_HEADER_BYTES, to, block) !== HPACK_OK) return false
  return (block.method !== '' && block.path !== '') || /^[1-5]\d\d$/.test(block.status)
}

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

/**
 * Offset from `head.pos` of the next frame; -1 if none is in sight. A frame is believed where a fitting one follows it, where
 * it ends with the bytes there are, or where it is of a stream that is open. DATA looks like anything: of a stream that is
 * not open it needs another frame of the same stream, or of another type, behind it. One whose end is not here is waited for.
 */
export function findFrame(head: Cursor, isOpen: (stream: number) => boolean): number {
  const { bytes, pos, end } = head
  for (let at = pos; at + FRAME_HEADER_BYTES <= end; at++) {
    first.read(bytes, at)
    if (!isPlausible(first, bytes[at + 5])) continue
    const next = at + FRAME_HEADER_BYTES + first.length
    const weak = first.type === FrameType.DATA && !isOpen(first.stream)
    // Zeros are everywhere, and an empty frame of an unknown stream says nothing.
    if (weak && first.length === 0) continue
    if (next + FRAME_HEADER_BYTES <= end) {
      second.read(bytes, next)
      const follows = isPlausible(second, bytes[next + 5])
      if (follows && !(weak && second.type === FrameType.DATA && second.stream !== first.stream)) return at - pos
      continue
    }
    if (isOpen(first.stream) || (next === end && !weak)) return at - pos
    if (!head.ended && first.length <= WAIT_BYTES_MAX) {
      head.searchedBytes = at - pos
      return -1
    }
  }
  head.searchedBytes = Math.max(0, end - pos - FRAME_HEADER_BYTES + 1)
  return -1
}

const second = new FrameHeader()
/** Below what the host keeps of bytes that were searched in vain. */
const WAIT_BYTES_MAX = 4000
