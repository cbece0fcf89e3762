/** Is it DTLS, and which end speaks: judged by one datagram, whole. */
import type { Cursor } from '../../../core/cursor.js'
import { CERTAIN, NO, type Verdict } from '../../../core/protocol.js'
import {
  DATAGRAM_HEADER_BYTES,
  datagramFragmentBytes,
  isClear,
  isSealed,
  PIECE_HEADER_BYTES,
} from './datagram_record.js'
import { CLIENT_HELLO, HELLO_VERIFY_REQUEST, SERVER_HELLO } from './handshake_type.js'
import { isDatagramVersion } from './names.js'
import { ACK, CHANGE_CIPHER_SPEC, FRAGMENT_BYTES_MAX, HANDSHAKE } from './record.js'

/** Joined behind the handshake: type, version, and lengths that add up to the datagram. */
const LIKELY = 75

/** The first three bytes tell DTLS from TLS. */
export function looksLikeDatagram({ bytes, pos, end }: Cursor): boolean {
  return (
    end - pos >= 3 && bytes[pos] >= CHANGE_CIPHER_SPEC && bytes[pos] <= ACK && isDatagramVersion(versionAt(bytes, pos))
  )
}

export function probeDatagram({ bytes, pos, end }: Cursor): Verdict {
  if (helloIn(bytes, pos, end) !== 0) return CERTAIN
  return versionAt(bytes, pos) >= 0xfe00 && recordsFill(bytes, pos, end) ? LIKELY : NO
}

/** A hello at the start of a datagram. */
export function beginsDatagramHello(datagram: Buffer): boolean {
  return helloIn(datagram, 0, datagram.length) !== 0
}

/** True if the datagram begins with what only a server says, false if with what only a client says; null = neither. */
export function saysDatagramServer({ bytes, pos, end }: Cursor): boolean | null {
  const hello = helloIn(bytes, pos, end)
  return hello === 0 ? null : hello !== CLIENT_HELLO
}

/** Type of the hello that the datagram begins with, in clear; 0 = it begins with none. */
function helloIn(bytes: Buffer, pos: number, end: number): number {
  const size = datagramFragmentBytes(bytes, pos, end)
  if (size < PIECE_HEADER_BYTES || bytes[pos] !== HANDSHAKE || !isClear(bytes, pos)) return 0
  const at = pos + DATAGRAM_HEADER_BYTES
  const type = bytes[at]
  if (type !== CLIENT_HELLO && type !== SERVER_HELLO && type !== HELLO_VERIFY_REQUEST) return 0
  const message = bytes.readUIntBE(at + 1, 3)
  const piece = bytes.readUIntBE(at + 9, 3)
  const fits = bytes.readUIntBE(at + 6, 3) + piece <= message && piece <= size - PIECE_HEADER_BYTES
  return fits && message <= FRAGMENT_BYTES_MAX ? type : 0
}

/** Records in the form of DTLS 1.2 fill the datagram from its first byte to its last. */
function recordsFill(bytes: Buffer, pos: number, end: number): boolean {
  let at = pos
  while (at < end) {
    const size = datagramFragmentBytes(bytes, at, end)
    if (size < 0 || !(isSealed(bytes, at) || isClear(bytes, at))) return false
    at += DATAGRAM_HEADER_BYTES + size
  }
  return true
}

function versionAt(bytes: Buffer, pos: number): number {
  return (bytes[pos + 1] << 8) | bytes[pos + 2]
}
