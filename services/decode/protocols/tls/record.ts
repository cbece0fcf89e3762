/**
 * The record layer (RFC 8446 section 5.1, RFC 5246 section 6.2):
 *
 *     record = type(1) version(2) length(2) fragment
 */

export const CHANGE_CIPHER_SPEC = 20
export const ALERT = 21
export const HANDSHAKE = 22
export const APPLICATION_DATA = 23
export const HEARTBEAT = 24
/** Of DTLS only: with a connection id whose length just the two ends know (RFC 9146), and acknowledgements (RFC 9147). */
export const TLS12_CID = 25
export const ACK = 26

export const RECORD_HEADER_BYTES = 5
/** 2^14, and what ciphers may add (RFC 5246 section 6.2.3). */
export const FRAGMENT_BYTES_MAX = 16_384 + 2048

/** Length of the fragment if a record may begin at `at`, where five bytes are there; otherwise -1. */
export function fragmentBytes(bytes: Buffer, at: number): number {
  const type = bytes[at]
  if (type < CHANGE_CIPHER_SPEC || type > HEARTBEAT || bytes[at + 1] !== 3 || bytes[at + 2] > 4) return -1
  const size = (bytes[at + 3] << 8) | bytes[at + 4]
  if (size > FRAGMENT_BYTES_MAX) return -1
  switch (type) {
    case CHANGE_CIPHER_SPEC:
      // Its one byte, alone or with what a cipher adds.
      return size === 1 || (size >= 16 && size <= 64) ? size : -1
    case ALERT:
      return size >= 2 && size <= 64 ? size : -1
    case HANDSHAKE:
      return size > 0 ? size : -1
    default:
      return size
  }
}

/** Whether a plaintext handshake message may begin here; four bytes are there. */
export function startsMessage(bytes: Buffer, at: number): boolean {
  return MESSAGE_TYPES.has(bytes[at]) && bytes[at + 1] < 2
}

/** HelloRequest up to CompressedCertificate (IANA registry "TLS HandshakeType"). */
const MESSAGE_TYPES = new Set([0, 1, 2, 4, 5, 6, 8, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 25, 67])
