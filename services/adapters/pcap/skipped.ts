/** Why packets of a capture gave no segment; closed, and every packet that enters leaves under one of them or as data. */
export type SkipReason =
  | 'unknown_link_type'
  | 'not_ip'
  | 'malformed'
  | 'other_transport'
  | 'fragment_incomplete'
  | 'tunnel_too_deep'
  | 'retransmission'
  | 'out_of_window'
  | 'after_reset'
  | 'held_back_limit'
  | 'connection_limit'

export class SkipCounter {
  readonly packets = new Map<SkipReason, number>()
  readonly bytes = new Map<SkipReason, number>()

  count(reason: SkipReason, sizeBytes: number): void {
    this.packets.set(reason, (this.packets.get(reason) ?? 0) + 1)
    this.bytes.set(reason, (this.bytes.get(reason) ?? 0) + sizeBytes)
  }
}
