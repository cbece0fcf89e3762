/** Conversations made from a seed, as clients and servers have them: they go on for as long as they are asked. */
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../services/core/segment.js'

export interface Said {
  readonly direction: Direction
  readonly bytes: Buffer
}

export interface Conversation {
  /** Flows that whoever decodes all that was said so far must give, with what is still open counted too. */
  readonly exchanges: number
  /** What is said next: some requests and answers. */
  turn(): Said[]
  /** What is still open comes to its end. */
  finish(): Said[]
}

export const ask = (...parts: (string | Buffer)[]): Said => ({ direction: TO_SERVER, bytes: joined(parts) })
export const answer = (...parts: (string | Buffer)[]): Said => ({ direction: TO_CLIENT, bytes: joined(parts) })

function joined(parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
}
