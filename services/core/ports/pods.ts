import type { Identity } from '../pods.js'

/**
 * Names as of a time. Synchronous, since it is asked for every connection; what is not known, or not certain, is null and
 * never a guess.
 */
export interface PodDirectory {
  /** Another number after every change: what was found before may be asked for again. */
  readonly version: number
  /** Who of this cluster had the address at that time (µs since 1970). */
  byAddress(cluster: string, address: string, timeUs: number): Identity | null
  /** Whose container this is; ids are never used again, so that no time is needed. */
  byContainer(containerId: string): Identity | null
}
