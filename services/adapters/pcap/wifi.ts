/** Where the body of an IEEE 802.11 data frame begins (IEEE 802.11-2020, section 9.3.2). */
import type { SkipReason } from './skipped.js'

export interface FrameBody {
  /** -1: the frame carries no readable data, for `reason`. */
  readonly at: number
  readonly aggregated: boolean
  readonly reason: SkipReason
}

const TYPE_DATA = 2
const NO_DATA = 0x40
const QOS = 0x80
const TO_DS = 0x01
const FROM_DS = 0x02
const PROTECTED = 0x40
const ORDER = 0x80

export function frameBody(bytes: Buffer, at: number, end: number): FrameBody {
  const none = (reason: SkipReason): FrameBody => ({ at: -1, aggregated: false, reason })
  if (end - at < 24) return none('malformed')
  const control = bytes[at]
  const flags = bytes[at + 1]
  if (((control >> 2) & 3) !== TYPE_DATA || (control & NO_DATA) !== 0) return none('not_ip')
  if ((flags & PROTECTED) !== 0) return none('encrypted')
  let from = at + 24
  if ((flags & TO_DS) !== 0 && (flags & FROM_DS) !== 0) from += 6
  let aggregated = false
  if ((control & QOS) !== 0) {
    aggregated = (bytes[from] & 0x80) !== 0
    from += 2
    if ((flags & ORDER) !== 0) from += 4
  }
  // Some drivers pad the header to 4 bytes; then the LLC header stands 2 bytes later.
  if (!aggregated && from % 4 !== at % 4 && isLlc(bytes, from + 2) && !isLlc(bytes, from)) from += 2
  if (from + 8 > end) return none('malformed')
  return { at: from, aggregated, reason: 'malformed' }
}

function isLlc(bytes: Buffer, at: number): boolean {
  return bytes[at] === 0xaa && bytes[at + 1] === 0xaa && bytes[at + 2] === 3
}
