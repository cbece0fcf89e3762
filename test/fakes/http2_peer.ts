/** Frames of both ends of a connection, told to an HTTP/2 decoder without a host: for what goldens cannot play. */
import assert from 'node:assert/strict'
import { Cursor } from '../../services/core/cursor.js'
import type { Exchange } from '../../services/core/exchange.js'
import type { Decoder } from '../../services/core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../services/core/segment.js'
import { StateWriter } from '../../services/core/state.js'
import { http2 } from '../../services/decode/protocols/http2/http2.js'
import { Flags, PREFACE, settings } from './http2_frames.js'

/** `begun` false: the capture joins it. */
export class Http2Peer {
  readonly exchanges: Exchange[] = []
  readonly decoder: Decoder = this.#open()
  timeUs = 1_790_000_000_000_000

  #open(): Decoder {
    return http2.open({ exchange: (each) => this.exchanges.push(each) }, { transport: 'tcp', handover: null })
  }

  constructor(begun = true) {
    if (!begun) return
    this.say(TO_SERVER, PREFACE, settings())
    this.say(TO_CLIENT, settings(), settings(Flags.ACK))
  }

  /** The last verdict; after BAD the rest is dropped, as a host that searches in vain would. */
  say(direction: Direction, ...frames: Buffer[]): number {
    this.timeUs += 10
    const cursor = Cursor.over(Buffer.concat(frames), this.timeUs)
    while (cursor.length > 0) {
      const consumed = this.decoder.parse(direction, cursor)
      if (consumed <= 0) return consumed
      cursor.pos += consumed
    }
    return 1
  }

  /** `size` bytes are missing before what comes next, which begins with a frame. */
  lose(direction: Direction, size: number, next: Buffer): void {
    this.timeUs += 10
    this.decoder.gap(direction, size, this.timeUs)
    assert.equal(this.decoder.resync(direction, Cursor.over(next, this.timeUs)), 0)
    this.say(direction, next)
  }

  get stateBytes(): number {
    const state = new StateWriter()
    this.decoder.save(state)
    return state.finish().length
  }

  find(resource: string): Exchange {
    const found = this.exchanges.filter((each) => each.resource === resource)
    assert.equal(found.length, 1, `${resource}: ${found.length} times`)
    return found[0]
  }
}
