/**
 * What stands in the metadata of an input offset while a block is on its way to the store: the range it is made of. Whoever
 * takes over inserts exactly that range again, under the same token, so that the store takes it once. Idea: eBay's Block
 * Aggregator; here without any server besides the two there are.
 */
import { KlartextError } from '../core/errors.js'

export interface Intent {
  /** Offset of the last record of the block; the first is the committed offset itself. */
  readonly last: bigint
  /** Part of the token: of the sink that made the block. */
  readonly epoch: string
}

const FORM = /^v1\|(\d+)\|([\w.-]*)$/

export function intentText({ last, epoch }: Intent): string {
  return `v1|${last}|${epoch}`
}

/** null: no block is on its way. Throws KlartextError `BAD_INTENT` for what another version has written. */
export function parseIntent(metadata: string): Intent | null {
  if (metadata === '') return null
  const match = FORM.exec(metadata)
  if (match === null) throw new KlartextError('BAD_INTENT', `offset metadata that this sink cannot read: ${metadata}`)
  return { last: BigInt(match[1]), epoch: match[2] }
}

/** Names exactly the rows of these records. */
export function blockToken(topic: string, partition: number, first: bigint, last: bigint, epoch: string): string {
  return `${epoch}/${topic}/${partition}/${first}-${last}`
}
