import type { Exchange } from '../core/exchange.js'
import type { Decoder, Handover, Protocol } from '../core/protocol.js'
import type { UndecodedReason } from '../core/rows.js'
import { type ConnectionInfo, type Direction, SegmentFlag, TO_CLIENT, TO_SERVER } from '../core/segment.js'
import type { Accounting } from './accounting.js'
import type { Evidence } from './evidence.js'
import type { FlowContext } from './flow_context.js'
import { Half } from './reassembler.js'

/** `probing` until a protocol is found; `undecoded` connections are only counted. */
export type Stage = 'probing' | 'decoding' | 'undecoded'

/** What the host keeps of one connection. */
export class Connection {
  /** The table that it stands in; null once it is over. */
  home: object | null = null
  info: ConnectionInfo
  toServer: Half
  toClient: Half
  stage: Stage = 'probing'
  reason: UndecodedReason = ''
  protocol: Protocol | null = null
  decoder: Decoder | null = null
  /** How it came to its protocol, where another one handed over. */
  handover: Handover | null = null
  /** 1 where client and server were guessed the wrong way round: added to every segment's direction, modulo 2. */
  turned = 0
  mayTurn: boolean
  midstream: boolean
  /** Its beginning was seen. */
  opened = false
  /** A decoder withdrew once; a second time is final. */
  withdrawn = false
  /** Flows handed over: the next one's sequence number. */
  exchanges = 0
  firstUs = 0
  lastUs = 0
  reset = false
  /** As a decoder read it. */
  tlsVersion = ''
  /** Finished exchanges of a TLS object whose socket is not known yet: they wait for its addresses. */
  unbound: Exchange[] = NO_EXCHANGES
  unboundSinceUs = 0
  /** They do not come, or waiting took too long. */
  staysUnbound = false
  /** Columns that are the same for all flows of the connection; made anew when more becomes known. */
  context: FlowContext | null = null
  /** null where segments come from no log. */
  evidence: Evidence | null = null
  /** Something has changed since the last checkpoint. */
  touched = false
  /** A checkpoint of it was handed out: one that says it is over must follow. */
  saved = false

  constructor(info: ConnectionInfo, flags: number, timeUs: number, accounting: Accounting) {
    this.info = info
    this.toServer = new Half(accounting)
    this.toClient = new Half(accounting)
    this.mayTurn = (flags & SegmentFlag.ROLE_GUESSED) !== 0
    this.midstream = (flags & SegmentFlag.MIDSTREAM) !== 0
    this.firstUs = timeUs
    this.lastUs = timeUs
  }

  half(direction: number): Half {
    return direction === TO_SERVER ? this.toServer : this.toClient
  }

  other(half: Half): Half {
    return half === this.toServer ? this.toClient : this.toServer
  }

  direction(half: Half): Direction {
    return half === this.toServer ? TO_SERVER : TO_CLIENT
  }

  /** The two directions, first the one whose waiting bytes came first. */
  inTimeOrder(): Half[] {
    const { toServer, toClient } = this
    const clientFirst =
      toClient.cursor.length === 0 ||
      (toServer.cursor.length > 0 &&
        toServer.cursor.timeUs(toServer.cursor.pos) <= toClient.cursor.timeUs(toClient.cursor.pos))
    return clientFirst ? [toServer, toClient] : [toClient, toServer]
  }

  /** Client and server were guessed the wrong way round: what is kept so far changes places. */
  turn(): void {
    this.turned ^= 1
    this.context = null
    const { toServer } = this
    this.toServer = this.toClient
    this.toClient = toServer
  }

  /** Memory held for bytes that wait. */
  get ownBytes(): number {
    return this.toServer.ownBytes + this.toClient.ownBytes
  }

  get closed(): boolean {
    return this.reset || (this.toServer.ended && this.toClient.ended)
  }

  /** Sums that must hold at any time between two segments. */
  checkInvariants(): string | null {
    for (const direction of [TO_SERVER, TO_CLIENT]) {
      const half = this.half(direction)
      const accounted = half.consumedBytes + half.skippedBytes + half.cursor.length + half.gapBytes
      if (half.passedBytes !== accounted) {
        return `direction ${direction}: ${half.passedBytes} bytes passed, ${accounted} accounted for`
      }
      const held = half.held.reduce((sum, segment) => sum + segment.payload.length, 0)
      if (held !== half.heldBytes) return `direction ${direction}: ${held} bytes held, ${half.heldBytes} counted`
    }
    return null
  }
}

export const NO_EXCHANGES: Exchange[] = []
Object.freeze(NO_EXCHANGES)
