/** Rows on their way to the tables of a replay. */
import type { Flow } from '../core/flow.js'
import type { ReplayBlocks } from '../core/replay.js'
import type { ConnectionRow } from '../core/rows.js'

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

  isFull({ rows, inputBytes }: ReplayBlocks): boolean {
    return this.flows.length + this.connections.length >= rows || this.inputBytes >= inputBytes
  }
}
