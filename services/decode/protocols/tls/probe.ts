/** Is it TLS, and which end speaks. */
import type { Cursor } from '../../../core/cursor.js'
import { CERTAIN, NO, UNDECIDED, type Verdict } from '../../../core/protocol.js'
import { CLIENT_HELLO, MESSAGE_HEADER_BYTES, SERVER_HELLO } from './handshake_type.js'
import {
  ALERT,
  APPLICATION_DATA,
  CHANGE_CIPHER_SPEC,
  fragmentBytes,
  HANDSHAKE,
  RECORD_HEADER_BYTES,
  startsMessage,
} from './record.js'
import { isOldHello, OLD_HEADER_BYTES } from './ssl2.js'

/** Record header, message header, version. */
const HELLO_START_BYTES = RECORD_HEADER_BYTES + 6
/** Message header, version, random, no session id, one cipher suite, one compression method. */
const CLIENT_HELLO_BYTES_MIN = MESSAGE_HEADER_BYTES + 2 + 32 + 1 + 4 + 2
/** A record joined mid-way whose end is not followed by another in sight. */
const POSSIBLE = 40
const LIKELY = 75

export function probeRecords(head: Cursor): Verdict {
  const { bytes, pos, end } = head
  const size = end - pos
  const first = bytes[pos]
  if ((first & 0x80) !== 0) {
    if (size >= OLD_HEADER_BYTES) return isOldHello(bytes, pos, end) ? CERTAIN : NO
    return mayBeOldHello(bytes, pos, size) ? UNDECIDED : NO
  }
  if (size < RECORD_HEADER_BYTES) return mayBeRecord(bytes, pos, size) ? UNDECIDED : NO
  const fragment = fragmentBytes(bytes, pos)
  if (fragment < 0) return NO
  if (first === HANDSHAKE && size < HELLO_START_BYTES + RECORD_HEADER_BYTES && fragment < HELLO_START_BYTES) {
    return bytes[pos + 5] === CLIENT_HELLO || bytes[pos + 5] === SERVER_HELLO || size === 5 || head.midway
      ? UNDECIDED
      : NO
  }
  if (first === HANDSHAKE && isHelloPiece(bytes, pos)) return CERTAIN
  if (first === HANDSHAKE && size < HELLO_START_BYTES) {
    return bytes[pos + 5] === CLIENT_HELLO || bytes[pos + 5] === SERVER_HELLO || size === 5 || head.midway
      ? UNDECIDED
      : NO
  }
  if (first === HANDSHAKE && isHello(bytes, pos)) return CERTAIN
  if (first === ALERT && fragment === 2) return probeAlert(head)
  // Anything else can only be the middle of a connection. It is TLS if records follow one another.
  return head.midway ? probeMiddle(head, fragment) : NO
}

/** A ClientHello at the start of a segment: seven bytes that are known, and two lengths that fit each other. */
export function beginsClientHello(segment: Buffer): boolean {
  if (segment.length < HELLO_START_BYTES || segment[0] !== HANDSHAKE || segment[5] !== CLIENT_HELLO) return false
  if (segment[6] !== 0 || segment[9] !== 3 || segment[10] > 4) return false
  const fragment = fragmentBytes(segment, 0)
  const message = 4 + segment.readUInt16BE(7)
  return fragment >= CLIENT_HELLO_BYTES_MIN && message >= CLIENT_HELLO_BYTES_MIN && fragment <= message
}

/** True if only the server says this. */
export function saysServer(head: Cursor): boolean {
  const { bytes, pos } = head
  if ((bytes[pos] & 0x80) !== 0) return bytes[pos + 2] !== CLIENT_HELLO
  return bytes[pos] === HANDSHAKE && bytes[pos + 5] !== CLIENT_HELLO
}

/** True if the bytes tell which end speaks. */
export function tellsEnd(head: Cursor): boolean {
  const { bytes, pos, end } = head
  if ((bytes[pos] & 0x80) !== 0) return true
  return bytes[pos] === HANDSHAKE && end - pos >= HELLO_START_BYTES && (isHello(bytes, pos) || isHelloPiece(bytes, pos))
}

/** A hello cut into tiny records: the next record goes on with it. */
function isHelloPiece(bytes: Buffer, pos: number): boolean {
  const fragment = fragmentBytes(bytes, pos)
  const next = pos + RECORD_HEADER_BYTES + fragment
  if (fragment < 1 || fragment >= HELLO_START_BYTES - RECORD_HEADER_BYTES) return false
  return (
    (bytes[pos + 5] === CLIENT_HELLO || bytes[pos + 5] === SERVER_HELLO) &&
    bytes[next] === HANDSHAKE &&
    bytes[next + 1] === 3
  )
}

function isHello(bytes: Buffer, pos: number): boolean {
  const type = bytes[pos + 5]
  if (fragmentBytes(bytes, pos) < HELLO_START_BYTES - RECORD_HEADER_BYTES) return false
  return (type === CLIENT_HELLO || type === SERVER_HELLO) && bytes[pos + 6] < 2 && versionIsKnown(bytes, pos + 9)
}

/** SSL 3.0 to TLS 1.3, and the drafts of 1.3. */
function versionIsKnown(bytes: Buffer, at: number): boolean {
  return (bytes[at] === 3 && bytes[at + 1] <= 4) || bytes[at] === 0x7f || bytes[at] === 0xfb
}

/** A server that does not understand its client may say nothing but an alert. */
function probeAlert(head: Cursor): Verdict {
  const { bytes, pos, end } = head
  if (end - pos < RECORD_HEADER_BYTES + 2) return UNDECIDED
  const level = bytes[pos + 5]
  return (level === 1 || level === 2) && bytes[pos + 6] <= 121 ? LIKELY : NO
}

function probeMiddle(head: Cursor, firstFragment: number): Verdict {
  const { bytes, pos, end } = head
  if (bytes[pos] === HANDSHAKE && firstFragment >= 4 && !startsMessage(bytes, pos + 5) && firstFragment > 256) return NO
  let at = pos + RECORD_HEADER_BYTES + firstFragment
  let records = 1
  while (at + RECORD_HEADER_BYTES <= end) {
    const fragment = fragmentBytes(bytes, at)
    if (fragment < 0) return NO
    at += RECORD_HEADER_BYTES + fragment
    records += 1
  }
  if (records > 1 || at === end) return LIKELY
  return bytes[pos] === APPLICATION_DATA && bytes[pos + 2] > 0 ? POSSIBLE : NO
}

function mayBeRecord(bytes: Buffer, pos: number, size: number): boolean {
  if (bytes[pos] < CHANGE_CIPHER_SPEC || bytes[pos] > APPLICATION_DATA) return false
  return (size < 2 || bytes[pos + 1] === 3) && (size < 3 || bytes[pos + 2] <= 4)
}

function mayBeOldHello(bytes: Buffer, pos: number, size: number): boolean {
  if (size >= 3 && bytes[pos + 2] !== 1 && bytes[pos + 2] !== 4) return false
  return size < 4 || bytes[pos + 2] === 4 || bytes[pos + 3] === 3 || bytes[pos + 3] === 0
}
