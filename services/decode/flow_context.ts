/** What the flows of one connection share. */
import type { HeaderList } from '../core/exchange.js'
import { FlowOrigin, type Scope } from '../core/flow.js'
import type { Identity } from '../core/pods.js'
import type { CaptureSide, ConnectionInfo, Transport } from '../core/segment.js'
import { type End, UNKNOWN_END } from './naming.js'

export const NO_TEXTS: readonly string[] = Object.freeze([])

/** The columns that all flows of one connection share. */
export class FlowContext extends FlowOrigin {
  readonly connId: string
  readonly cluster: string
  readonly node: string
  readonly captureSide: CaptureSide
  readonly captureSource: string
  readonly clientIp: string
  readonly clientPort: number
  readonly serverIp: string
  readonly serverPort: number
  readonly transport: Transport
  readonly container: string
  readonly tlsVersion: string
  readonly pid: number
  readonly comm: string
  readonly podUid: string
  /** Set by `nameEnds`. */
  client: End = UNKNOWN_END
  server: End = UNKNOWN_END
  scope: Scope | '' = ''
  /** The captured pod, as the view with this number knows it. */
  own: Identity | null = null
  /** What `nameEnds` has set holds for the view with this number and for flows from the one time to the other, exclusive (µs since 1970). */
  namedView = -1
  namedFromUs = 0
  namedUntilUs = 0
  /** Decoders hand out the same list again for a peer that repeats its headers: the last ones that name nothing twice. */
  requestHeaders: HeaderList = NO_TEXTS
  responseHeaders: HeaderList = NO_TEXTS

  constructor(info: ConnectionInfo, turned: boolean) {
    super()
    this.connId = info.id.toString()
    this.cluster = info.cluster
    this.node = info.node
    this.captureSide = turned ? turnedSide(info.side) : info.side
    this.captureSource = info.source
    this.clientIp = turned ? info.serverIp : info.clientIp
    this.clientPort = turned ? info.serverPort : info.clientPort
    this.serverIp = turned ? info.clientIp : info.serverIp
    this.serverPort = turned ? info.clientPort : info.serverPort
    this.transport = info.transport
    this.container = info.containerId
    this.podUid = info.podUid
    this.tlsVersion = info.tlsVersion
    this.pid = info.pid
    this.comm = info.comm
  }
}

function turnedSide(side: CaptureSide): CaptureSide {
  return side === 'client' ? 'server' : side === 'server' ? 'client' : 'unknown'
}
