import type { CoverageRow } from '../rows.js'
import type { Segment } from '../segment.js'

/**
 * Where segments come from: the kernel, a capture file, an archive, a generator.
 *
 * Positions of one direction of one connection never go back over bytes already delivered by more than the source's
 * reordering; a jump forward is a gap.
 */
export interface SegmentSource {
  /** Batches in the order of capture. The payloads of a batch pin its memory; the consumer drops them when done. */
  batches(signal?: AbortSignal): AsyncIterable<Segment[]>
  /** What was skipped, lost or not understood so far, by reason. */
  coverage(): CoverageRow[]
}
