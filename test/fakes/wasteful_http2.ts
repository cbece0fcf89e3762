/** A decoder that keeps no measure: what a host does with one shows here, since none of ours may be like that. */
import type { Cursor } from '../../services/core/cursor.js'
import type { Protocol } from '../../services/core/protocol.js'
import { Random } from '../../services/core/random.js'
import type { Direction } from '../../services/core/segment.js'
import type { StateWriter } from '../../services/core/state.js'
import { http2 } from '../../services/decode/protocols/http2/http2.js'

const WASTE_BYTES = 12 * 1024

/** HTTP/2 that is saved larger than any decoder may: by 12 KiB, which do not compress, for each call of it. */
export function wastefulHttp2(): Protocol {
  const random = new Random(1)
  return {
    ...http2,
    open: (out, connection) => {
      const decoder = http2.open(out, connection)
      const parse = decoder.parse.bind(decoder)
      const save = decoder.save.bind(decoder)
      let calls = 0
      return Object.assign(decoder, {
        parse: (direction: Direction, input: Cursor) => {
          calls += 1
          return parse(direction, input)
        },
        save: (state: StateWriter) => {
          save(state)
          state.bytes(Buffer.from(Array.from({ length: WASTE_BYTES * calls }, () => random.below(256))))
        },
      })
    },
  }
}
