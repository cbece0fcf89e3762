/** Rows on their way to the tables of a replay. */
import type { Flow } from '../core/flow.js'
import type { ConnectionRow } from '../core/rows.js'

export interface ReplayLimits {
  /** Of a block: large enough for the store, small enough for memory. */
  readonly blockRows: number
  /** Of segments; where few rows are kept a block ends there, so that there is a place to go on from. */
  readonly blockInputBytes: number
  /** Between two checkpoints; each holds all open connections. */
  readonly checkpointUs: number
}

export const REPLAY_LIMITS: ReplayLimits = { blockRows: 20_000, blockInputBytes: 32 << 20, checkpointUs: 2e6 }

/**
 * Where a block ends depends on its input only, never on time: whoever repeats it gets the same block, under the same
 * number, and the store takes it once.
 */
export class Block {
  /** In its part, from 0. */
  readonly number: number
  readonly flows: Flow[] = []
  readonly connections: ConnectionRow[] = []
  inputBytes = 0

  constructor(number: number) {
    this.number = number
  }

  /** The limits must be the same for all who work on a replay. */
  isFull({ blockRows, blockInputBytes }: ReplayLimits): boolean {
    return this.flows.length + this.connections.length >= blockRows || this.inputBytes >= blockInputBytes
  }
}
