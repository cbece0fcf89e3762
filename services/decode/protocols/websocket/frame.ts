/**
 * The frame of RFC 6455 section 5.2:
 *
 *     frame  = first(1) second(1) length(0, 2 or 8) mask(0 or 4) payload
 *     first  = FIN(1 bit) RSV1 RSV2 RSV3 opcode(4 bits)
 *     second = MASK(1 bit) length(7 bits; 126 = 2 bytes follow, 127 = 8 bytes)
 *
 * A client masks all its frames, a server none (section 5.1).
 */

export const CONTINUATION = 0
export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

const CONTROL_BYTES_MAX = 125
/** A frame header that is cut short, and one that cannot be. */
export const HEADER_MORE = 0
export const HEADER_BAD = -1

/** The header that `readHeader` found last. */
export class FrameHeader {
  fin = false
  /** RSV1: the first frame of a message compressed with permessage-deflate (RFC 7692 section 6). */
  compressed = false
  opcode = 0
  masked = false
  payloadBytes = 0
  neededBytes = 2
}

/** Bytes of the header at `pos`, or HEADER_MORE (`neededBytes` says how many there must be), or HEADER_BAD. */
export function readHeader(bytes: Buffer, pos: number, end: number, mayCompress: boolean, out: FrameHeader): number {
  const here = end - pos
  out.neededBytes = 2
  if (here < 1) return HEADER_MORE
  const first = bytes[pos]
  const opcode = first & 0x0f
  if ((first & 0x30) !== 0 || (opcode > BINARY && opcode < CLOSE) || opcode > PONG) return HEADER_BAD
  const control = opcode >= CLOSE
  const compressed = (first & 0x40) !== 0
  if (compressed && (!mayCompress || control || opcode === CONTINUATION)) return HEADER_BAD
  const fin = (first & 0x80) !== 0
  if (control && !fin) return HEADER_BAD
  if (here < 2) return HEADER_MORE
  const short = bytes[pos + 1] & 0x7f
  const masked = (bytes[pos + 1] & 0x80) !== 0
  if (control && short > CONTROL_BYTES_MAX) return HEADER_BAD
  const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8
  const size = 2 + lengthBytes + (masked ? 4 : 0)
  out.neededBytes = size
  if (here < size) return HEADER_MORE
  let payloadBytes = short
  if (lengthBytes === 2) payloadBytes = bytes.readUInt16BE(pos + 2)
  else if (lengthBytes === 8) payloadBytes = bytes.readUInt32BE(pos + 2) * 2 ** 32 + bytes.readUInt32BE(pos + 6)
  // The shortest form is demanded, and no payload has more bytes than a position can count.
  if (payloadBytes > Number.MAX_SAFE_INTEGER) return HEADER_BAD
  if ((lengthBytes === 2 && payloadBytes < 126) || (lengthBytes === 8 && payloadBytes < 65_536)) return HEADER_BAD
  out.fin = fin
  out.compressed = compressed
  out.opcode = opcode
  out.masked = masked
  out.payloadBytes = payloadBytes
  return size
}

const found = new FrameHeader()

/** What `framesInRow` made of a place. */
class FrameRow {
  /** Frames whose headers follow one another; 0 if something else is among them, or nothing is known yet. */
  count = 0
  /** The last one ends where the window does. */
  exact = false
  /** The window ends before anything speaks against it. */
  open = false
  /** Payload of the last one. */
  lastBytes = 0
}

const row = new FrameRow()

/** Could a frame begin with these two bytes? Where bytes are searched, most places are passed over by this alone. */
export function mayBegin(first: number, second: number, masked: boolean): boolean {
  return FIRST_BYTES[first] === 1 && second >= 0x80 === masked
}

/** Of the first byte of a frame: 1 where flags and opcode go together. */
const FIRST_BYTES: Uint8Array = Uint8Array.from({ length: 256 }, (_, first) => {
  const opcode = first & 0x0f
  const known = opcode <= BINARY || (opcode >= CLOSE && opcode <= PONG)
  return known && (first & 0x30) === 0 && (opcode < CLOSE || (first & 0xc0) === 0x80) ? 1 : 0
})

/** Do frames follow one another from `pos` on, as `masked` demands? After `countMax` of them nobody looks on. */
export function framesInRow(
  bytes: Buffer,
  pos: number,
  end: number,
  masked: boolean,
  mayCompress: boolean,
  countMax: number,
): FrameRow {
  row.exact = false
  row.open = false
  row.count = 0
  row.lastBytes = 0
  let at = pos
  let count = 0
  // Whether a message waits for its next fragment: not known at first.
  let unfinished: boolean | null = null
  while (at < end && count < countMax) {
    const size = readHeader(bytes, at, end, mayCompress, found)
    if (size === HEADER_BAD) return row
    if (size === HEADER_MORE) {
      row.count = count
      row.open = true
      return row
    }
    if (found.masked !== masked) return row
    if (found.opcode < CLOSE) {
      const continues = found.opcode === CONTINUATION
      if (continues && (unfinished === false || (!found.fin && found.payloadBytes === 0))) return row
      if (!continues && unfinished === true) return row
      unfinished = !found.fin
    }
    count += 1
    at += size + found.payloadBytes
    row.lastBytes = found.payloadBytes
  }
  row.count = count
  row.exact = at === end
  row.open = at >= end
  return row
}
