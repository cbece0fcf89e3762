/**
 * Which protocol speaks: every decoder of the registry judges the first bytes and the surest wins; ports never decide. A weak
 * claim waits while another decoder is undecided, until nothing more comes that could make that one sure.
 */
import type { Cursor } from '../core/cursor.js'
import { NO, type Protocol, UNDECIDED } from '../core/protocol.js'
import type { Direction, Transport } from '../core/segment.js'

export type Detection =
  | { readonly kind: 'found'; readonly protocol: Protocol; readonly turned: boolean }
  /** A protocol claims these bytes weakly, and another may yet be surer: ask again with more of them, or finally. */
  | { readonly kind: 'weak' }
  | { readonly kind: 'undecided' }
  | { readonly kind: 'none' }

const WEAK_RESULT: Detection = { kind: 'weak' }
const UNDECIDED_RESULT: Detection = { kind: 'undecided' }
const NONE_RESULT: Detection = { kind: 'none' }

/** A claim from here on is not held back for the sake of one that is still undecided. */
export const SURE = 80

/** `final`: nothing more of this direction comes, or not before the other end has spoken. */
export function detect(
  protocols: readonly Protocol[],
  transport: Transport,
  head: Cursor,
  direction: Direction,
  mayTurn: boolean,
  final: boolean,
): Detection {
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
  if (best === null) return undecided ? UNDECIDED_RESULT : NONE_RESULT
  if (undecided && bestVerdict < SURE && !final) return WEAK_RESULT
  const turned = best.turned(head, direction)
  return turned && !mayTurn ? NONE_RESULT : { kind: 'found', protocol: best, turned }
}
