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
  /** Bytes of the mask before the payload. */
  readonly mask = Buffer.alloc(4)
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
  if (masked) bytes.copy(out.mask, 0, pos + size - 4, pos + size)
  return size
}

const found = new FrameHeader()

/**
 * How many frames follow one another from `pos` on, as `masked` demands; 0 if there is something else among them. `exact`
 * is true if the last one ends where the window does.
 */
export function framesInRow(
  bytes: Buffer,
  pos: number,
  end: number,
  masked: boolean,
  mayCompress: boolean,
): { count: number; exact: boolean } {
  let at = pos
  let count = 0
  // Whether a message waits for its next fragment: not known at first.
  let open: boolean | null = null
  while (at < end) {
    const size = readHeader(bytes, at, end, mayCompress, found)
    if (size === HEADER_BAD) return NO_FRAMES
    if (size === HEADER_MORE) return { count, exact: false }
    if (found.masked !== masked) return NO_FRAMES
    if (found.opcode < CLOSE) {
      const continues = found.opcode === CONTINUATION
      if (continues && (open === false || (!found.fin && found.payloadBytes === 0))) return NO_FRAMES
      if (!continues && open === true) return NO_FRAMES
      open = !found.fin
    }
    count += 1
    at += size + found.payloadBytes
  }
  return { count, exact: at === end }
}

const NO_FRAMES = { count: 0, exact: false }
