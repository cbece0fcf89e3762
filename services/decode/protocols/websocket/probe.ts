/** Is it WebSocket, joined mid-way? The first bytes of a connection never are: those are the upgrade's. */
import { isUtf8 } from 'node:buffer'
import type { Cursor } from '../../../core/cursor.js'
import { NO, UNDECIDED, type Verdict } from '../../../core/protocol.js'
import { CLOSE, CONTINUATION, FrameHeader, HEADER_BAD, HEADER_MORE, readHeader, TEXT } from './frame.js'

/** Better unknown than wrong: frames alone are two bytes that many things begin with. */
const POSSIBLE = 20
/** Frames of any kind, one behind the other to the end of a segment, that are believed. MQTT's SUBSCRIBE looks like one. */
const MASKED_MIN = 3
const PLAIN_MIN = 5
/** Messages of so many bytes that are text, as they say: two of them are no accident. */
const TEXT_BYTES_MIN = 4
const TEXTS_MIN = 2

const header = new FrameHeader()

export function probe(head: Cursor): Verdict {
  if (!head.midway) return NO
  const { bytes, pos, end } = head
  const masked = isMasked(head)
  let at = pos
  let [frames, messages, texts] = [0, 0, 0]
  while (at < end) {
    const size = readHeader(bytes, at, end, true, header)
    if (size === HEADER_BAD) return NO
    if (size === HEADER_MORE) break
    const { opcode, fin, payloadBytes } = header
    // Fragments go unrecognised: lengths in front of messages, as DNS has over TCP, look like them.
    if (header.masked !== masked || !fin || opcode === CONTINUATION) return NO
    if (opcode < CLOSE) {
      messages += 1
      if (opcode === TEXT && !header.compressed && payloadBytes >= TEXT_BYTES_MIN) {
        const from = at + size
        const whole = end >= from + payloadBytes
        if (!isText(bytes, from, whole ? from + payloadBytes : end, masked, whole)) return NO
        texts += 1
      }
    }
    frames += 1
    at += size + payloadBytes
  }
  if (at === end) {
    if (frames >= (masked ? MASKED_MIN : PLAIN_MIN) || (texts >= TEXTS_MIN && texts === messages)) return POSSIBLE
    return UNDECIDED
  }
  // The last frame goes on, or even its header does.
  return masked ? (frames < MASKED_MIN ? UNDECIDED : NO) : texts > 0 ? UNDECIDED : NO
}

export function isMasked(head: Cursor): boolean {
  return head.length > 1 && (head.bytes[head.pos + 1] & 0x80) !== 0
}

/** UTF-8 without control characters (RFC 6455 section 5.6); what is cut may end in the middle of a character. */
function isText(bytes: Buffer, from: number, to: number, masked: boolean, whole: boolean): boolean {
  const text = Buffer.from(bytes.subarray(from, to))
  if (masked) for (let i = 0; i < text.length; i++) text[i] ^= bytes[from - 4 + (i & 3)]
  let size = text.length
  if (!whole) while (size > 0 && (text[size - 1] & 0x80) !== 0) size -= 1
  for (let i = 0; i < size; i++) if (text[i] < 32 && (text[i] < 9 || text[i] > 13)) return false
  return isUtf8(text.subarray(0, size))
}
