/** Frames of HTTP/2, RFC 9113 section 4 and 6: their header, which ones can be, and where a chain of them goes on. */

/** Length (24), type (8), flags (8), stream (31). */
export const FRAME_HEADER_BYTES = 9

export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
  /** RFC 7838 and RFC 9218; others are unknown to anybody and passed over. */
  ALTSVC: 10,
  PRIORITY_UPDATE: 16,
} as const

export const Flag = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const

export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** RFC 9113 section 4.2: what may be sent without having been allowed to. */
export const FRAME_BYTES_ALLOWED = 16_384
/** Some servers allow more; above this a length found by searching is chance. */
const SEARCHED_BYTES_MAX = 1 << 20

export class FrameHeader {
  length = 0
  type = 0
  flags = 0
  stream = 0

  read(bytes: Buffer, at: number): void {
    this.length = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2]
    this.type = bytes[at + 3]
    this.flags = bytes[at + 4]
    this.stream = ((bytes[at + 5] & 0x7f) << 24) | (bytes[at + 6] << 16) | (bytes[at + 7] << 8) | bytes[at + 8]
  }
}

/** Flags that each type knows; the others are never set by anybody. */
const FLAGS = [0x09, 0x2d, 0x00, 0x00, 0x01, 0x0c, 0x01, 0x00, 0x00, 0x04]

/**
 * Could this be a frame where one must begin? Peers may have allowed each other any length, and types that nobody knows are
 * passed over (RFC 9113 section 4.1, 5.5).
 */
export function isPossible({ length, type, stream }: FrameHeader): boolean {
  switch (type) {
    case FrameType.DATA:
    case FrameType.HEADERS:
    case FrameType.CONTINUATION:
      return stream !== 0
    case FrameType.PRIORITY:
      return length === 5
    case FrameType.RST_STREAM:
      return stream !== 0 && length === 4
    case FrameType.SETTINGS:
      return stream === 0 && length % 6 === 0
    case FrameType.PUSH_PROMISE:
      return stream !== 0 && length >= 4
    case FrameType.PING:
      return stream === 0 && length === 8
    case FrameType.GOAWAY:
      return stream === 0 && length >= 8
    case FrameType.WINDOW_UPDATE:
      return length === 4
    default:
      return length <= FRAME_BYTES_ALLOWED
  }
}

/** Could a frame of a real peer begin so? For searching: the rules of RFC 9113 section 6, and lengths and flags as they are used. */
export function isPlausible(frame: FrameHeader, reserved: number): boolean {
  const { length, type, flags, stream } = frame
  if (reserved >= 0x80) return false
  if (type === FrameType.ALTSVC) return length <= FRAME_BYTES_ALLOWED && flags === 0
  if (type === FrameType.PRIORITY_UPDATE)
    return stream === 0 && length >= 4 && length <= FRAME_BYTES_ALLOWED && flags === 0
  if (type > FrameType.CONTINUATION || (flags & ~FLAGS[type]) !== 0) return false
  switch (type) {
    case FrameType.DATA:
      // Zeros are everywhere: an empty frame says at least that it is the last.
      return stream !== 0 && length <= SEARCHED_BYTES_MAX && (length > 0 || (flags & Flag.END_STREAM) !== 0)
    case FrameType.HEADERS:
      return stream !== 0 && length > 0 && length <= FRAME_BYTES_ALLOWED
    case FrameType.PRIORITY:
      return stream !== 0 && length === 5
    case FrameType.RST_STREAM:
      return stream !== 0 && length === 4
    case FrameType.SETTINGS:
      return stream === 0 && (flags === Flag.ACK ? length === 0 : length % 6 === 0 && length <= 384)
    case FrameType.PUSH_PROMISE:
      return stream !== 0 && length > 4 && length <= FRAME_BYTES_ALLOWED
    case FrameType.PING:
      return stream === 0 && length === 8
    case FrameType.GOAWAY:
      return stream === 0 && length >= 8 && length <= FRAME_BYTES_ALLOWED
    case FrameType.WINDOW_UPDATE:
      return length === 4
    default:
      return stream !== 0 && length <= FRAME_BYTES_ALLOWED
  }
}

const probed = new FrameHeader()

/** Plausible frames in a row from `from` on, at most `enough`; -1 where one is not. The last may be cut by `end`. */
export function chainLength(bytes: Buffer, from: number, end: number, enough: number): number {
  let at = from
  let count = 0
  while (count < enough && at + FRAME_HEADER_BYTES <= end) {
    probed.read(bytes, at)
    if (!isPlausible(probed, bytes[at + 5])) return -1
    count += 1
    at += FRAME_HEADER_BYTES + probed.length
  }
  return count
}
