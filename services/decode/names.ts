/**
 * When is it known who was who? A pod that has just started is known to Kubernetes a second or two later, and an address that
 * changed hands as well. So a message waits: its flows are named by what klartext.pods said `waitUs` after the message was
 * captured, no more and no less. That is the same however late it is decoded, so that a replay gives the names of the live
 * decoding.
 */
import type { PodDirectory } from '../core/ports/pods.js'
import type { Segment } from '../core/segment.js'

/** What is known of pods, and whether it is complete up to a time. */
export interface Names {
  readonly pods: PodDirectory
  /** µs from the capture of a message to the time whose knowledge names its flows. */
  readonly waitUs: number
  /**
   * All that was known of the cluster at that time (µs since 1970) is in `pods`, or is not waited for any longer.
   * `arrivedUs`: since when a message waits for it.
   */
  isReady(cluster: string, knownUs: number, arrivedUs: number): boolean
  /** Nobody will ask for what was known earlier. */
  release(knownUs: number): void
}

/** Two to three seconds are what a kubelet and an API server take to tell of a pod. */
export const NAMES_WAIT_MS = 3_000

/** A directory that has not said so much by then has stopped, or its clock differs by more. */
export const GIVE_UP_US = 2_000_000

/** The time whose knowledge names the flows that come of these segments: the same for the same message. */
export function knownUsOf(segments: readonly Segment[], waitUs: number): number {
  let lastUs = 0
  for (let i = 0; i < segments.length; i++) if (segments[i].timeUs > lastUs) lastUs = segments[i].timeUs
  return lastUs + waitUs
}
