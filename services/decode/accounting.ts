/** Where all bytes went: what comes in leaves under a name. */
import type { CloseReason } from '../core/protocol.js'

/**
 * Why bytes were passed over. `undecoded`: of a connection that no decoder reads; `unrecognised`: before a protocol was
 * found; `cut`: a frame whose rest is missing; `resync`: between messages, while looking for the next start; `too_long`: a
 * frame beyond the limit; `after_end`: of a direction that had ended.
 */
export type SkipReason = 'undecoded' | 'unrecognised' | 'cut' | 'resync' | 'too_long' | 'after_end' | 'proxy_header'

export class Accounting {
  segments = 0
  /** Payload bytes of all segments = consumed + skipped + duplicate + waiting in connections. */
  payloadBytes = 0
  consumedBytes = 0
  readonly skippedBytes: Record<SkipReason, number> = {
    undecoded: 0,
    unrecognised: 0,
    cut: 0,
    resync: 0,
    too_long: 0,
    after_end: 0,
    proxy_header: 0,
  }
  /** Seen before: retransmissions, overlaps. */
  duplicateBytes = 0
  /** Never seen: known from positions. Not part of `payloadBytes`. */
  gapBytes = 0
  flows = 0
  connections = 0
  /** Of them those that began before the input did, where that may be (`PipelineOptions.joins`). */
  joined = 0
  readonly closed: Record<CloseReason, number> = {
    closed: 0,
    reset: 0,
    idle: 0,
    evicted: 0,
    switched: 0,
    input_end: 0,
  }
  decoderFailures = 0
  /** Checkpoints that no decoder here could read: their connections went on as if joined mid-way. */
  statesUnreadable = 0
  /** Memory held for bytes that wait, over all connections. */
  ownBytes = 0

  get allSkippedBytes(): number {
    let sum = 0
    for (const bytes of Object.values(this.skippedBytes)) sum += bytes
    return sum
  }

  /** Adds what another one has counted; not the memory it holds. */
  add(other: Accounting): void {
    for (const name of SUMS) this[name] += other[name]
    for (const reason of Object.keys(this.skippedBytes) as SkipReason[]) {
      this.skippedBytes[reason] += other.skippedBytes[reason]
    }
    for (const reason of Object.keys(this.closed) as CloseReason[]) this.closed[reason] += other.closed[reason]
  }
}

const SUMS = [
  'segments',
  'payloadBytes',
  'consumedBytes',
  'duplicateBytes',
  'gapBytes',
  'flows',
  'connections',
  'joined',
  'decoderFailures',
  'statesUnreadable',
] as const
