/**
 * The record layer of DTLS (RFC 6347 section 4.1, RFC 9147 section 4):
 *
 *     record = type(1) version(2) epoch(2) sequence_number(6) length(2) fragment
 *
 * A datagram holds one or more, none goes on in the next datagram. Epoch 0 is in clear. DTLS 1.3 gives what is encrypted a
 * header of another form, whose first byte begins with the bits 001.
 */
import { isDatagramVersion } from './names.js'
import { ACK, ALERT, CHANGE_CIPHER_SPEC, FRAGMENT_BYTES_MAX, HANDSHAKE, HEARTBEAT, TLS12_CID } from './record.js'

export const DATAGRAM_HEADER_BYTES = 13
/** `type(1) length(3) message_seq(2) fragment_offset(3) fragment_length(3)` in front of each piece of a handshake message. */
export const PIECE_HEADER_BYTES = 12
function epochAt(bytes: Buffer, at: number): number {
  return (bytes[at + 3] << 8) | bytes[at + 4]
}

/** Number of the record within its epoch. */
export function numberAt(bytes: Buffer, at: number): number {
  return bytes.readUIntBE(at + 5, 6)
}

/** Length of the fragment of the record that begins at `at` and ends before `end`; otherwise -1. */
export function datagramFragmentBytes(bytes: Buffer, at: number, end: number): number {
  if (end - at < DATAGRAM_HEADER_BYTES) return -1
  const type = bytes[at]
  if (type < CHANGE_CIPHER_SPEC || type > ACK || !isDatagramVersion((bytes[at + 1] << 8) | bytes[at + 2])) return -1
  const size = (bytes[at + 11] << 8) | bytes[at + 12]
  return size > FRAGMENT_BYTES_MAX || size > end - at - DATAGRAM_HEADER_BYTES ? -1 : size
}

/** In clear: an epoch that is not 0 has keys. */
export function isClear(bytes: Buffer, at: number): boolean {
  const type = bytes[at]
  return epochAt(bytes, at) === 0 && (type === HANDSHAKE || type === ALERT || type === CHANGE_CIPHER_SPEC)
}

/** A record that may be encrypted, in its DTLS 1.2 form. */
export function isSealed(bytes: Buffer, at: number): boolean {
  return bytes[at] === TLS12_CID || (epochAt(bytes, at) > 0 && bytes[at] <= HEARTBEAT)
}

/** An encrypted record of DTLS 1.3 begins like this. */
export function isUnifiedHeader(first: number): boolean {
  return first >> 5 === 1
}
