/** Which protocol speaks: every decoder of the registry judges the first bytes; ports never decide. */
import type { Cursor } from '../core/cursor.js'
import { NO, type Protocol, UNDECIDED } from '../core/protocol.js'
import type { Direction, Transport } from '../core/segment.js'

export type Detection =
  | { readonly kind: 'found'; readonly protocol: Protocol; readonly turned: boolean }
  | { readonly kind: 'undecided' }
  | { readonly kind: 'encrypted' }
  | { readonly kind: 'none' }

const UNDECIDED_RESULT: Detection = { kind: 'undecided' }
const ENCRYPTED_RESULT: Detection = { kind: 'encrypted' }
const NONE_RESULT: Detection = { kind: 'none' }

export function detect(
  protocols: readonly Protocol[],
  transport: Transport,
  head: Cursor,
  direction: Direction,
  mayTurn: boolean,
): Detection {
  if (transport === 'tcp' && isTlsRecord(head)) return ENCRYPTED_RESULT
  let best: Protocol | null = null
  let bestVerdict = 0
  let undecided = false
  for (const protocol of protocols) {
    if (!protocol.transports.includes(transport)) continue
    const verdict = protocol.probe(head, direction)
    if (verdict === UNDECIDED) undecided = true
    else if (verdict !== NO && verdict > bestVerdict) {
      best = protocol
      bestVerdict = verdict
    }
  }
  if (best !== null) {
    const turned = best.turned(head, direction)
    if (turned && !mayTurn) return NONE_RESULT
    return { kind: 'found', protocol: best, turned }
  }
  return undecided ? UNDECIDED_RESULT : NONE_RESULT
}

/** A TLS record header (RFC 8446 section 5.1): handshake, alert or application data, version 3.0 to 3.4, sane length. */
function isTlsRecord(head: Cursor): boolean {
  const { bytes, pos } = head
  if (head.length < 5) return false
  const type = bytes[pos]
  if (type < 0x14 || type > 0x17 || bytes[pos + 1] !== 3 || bytes[pos + 2] > 4) return false
  const size = (bytes[pos + 3] << 8) | bytes[pos + 4]
  return size > 0 && size <= 16_384 + 2048
}
