/** Why packets of a capture, or bytes of them, gave no segment; closed, so that a report can list all of them. */
export type SkipReason =
  | 'unknown_link_type'
  | 'not_ip'
  | 'encrypted'
  | 'malformed'
  | 'other_transport'
  | 'fragment_incomplete'
  | 'tunnel_too_deep'
  | 'retransmission'
  | 'before_start'
  | 'out_of_window'
  | 'after_reset'
  | 'no_connection'
  | 'half_open'
  | 'connection_limit'

/** Nothing is lost where bytes were there twice, or were never TCP's or UDP's payload. */
const NO_LOSS: ReadonlySet<SkipReason> = new Set([
  'not_ip',
  'other_transport',
  'retransmission',
  'no_connection',
  'half_open',
])

export function isLoss(reason: SkipReason): boolean {
  return !NO_LOSS.has(reason)
}

export class SkipCounter {
  readonly packets = new Map<SkipReason, number>()
  readonly bytes = new Map<SkipReason, number>()

  count(reason: SkipReason, sizeBytes: number): void {
    this.packets.set(reason, (this.packets.get(reason) ?? 0) + 1)
    this.bytes.set(reason, (this.bytes.get(reason) ?? 0) + sizeBytes)
  }
}
