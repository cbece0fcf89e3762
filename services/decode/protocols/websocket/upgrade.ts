/** What the HTTP/1 upgrade said that holds for all messages behind it (RFC 6455 section 4, RFC 7692 section 5). */
import type { Exchange, HeaderList } from '../../../core/exchange.js'
import type { Handover } from '../../../core/protocol.js'

export interface Upgrade {
  readonly host: string
  readonly resource: string
  readonly userAgent: string
  readonly traceId: string
  readonly spanId: string
  readonly requestId: string
  readonly principal: string
  /** The subprotocol the server chose, `''` none. */
  readonly subprotocol: string
  /** permessage-deflate was agreed on; null = the upgrade was not seen whole. */
  readonly deflate: boolean | null
  /** Request and answer were seen: host and path hold. */
  readonly seen: boolean
  /** One of them was seen: the first bytes of each direction are frames. */
  readonly asked: boolean
  /** Start of the answer in capture time, 0 if it was not seen: what the client said before is no frame. */
  readonly answerUs: number
}

export const NOT_SEEN: Upgrade = {
  host: '',
  resource: '',
  userAgent: '',
  traceId: '',
  spanId: '',
  requestId: '',
  principal: '',
  subprotocol: '',
  deflate: null,
  seen: false,
  asked: false,
  answerUs: 0,
}

export function upgradeOf(handover: Handover | null): Upgrade {
  if (handover === null) return NOT_SEEN
  const { exchange } = handover
  const { host, resource, userAgent, traceId, spanId, requestId, principal, respHeaders } = exchange
  const known = exchange.respStartUs !== 0 && !exchange.truncated && exchange.gaps === 0
  const deflate = field(respHeaders, 'sec-websocket-extensions').includes('permessage-deflate')
  const subprotocol = field(respHeaders, 'sec-websocket-protocol')
  return {
    host,
    resource,
    userAgent,
    traceId,
    spanId,
    requestId,
    principal,
    subprotocol,
    deflate: known || deflate ? deflate : null,
    seen: known && exchange.reqStartUs !== 0,
    asked: true,
    answerUs: exchange.respStartUs,
  }
}

function field(headers: HeaderList, name: string): string {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1]
  return ''
}

/** What an exchange of this connection has in common with all others. */
export function describe(exchange: Exchange, upgrade: Upgrade): void {
  exchange.protocol = 'websocket'
  exchange.host = upgrade.host
  exchange.resource = upgrade.resource
  exchange.userAgent = upgrade.userAgent
  exchange.traceId = upgrade.traceId
  exchange.spanId = upgrade.spanId
  exchange.requestId = upgrade.requestId
  exchange.principal = upgrade.principal
}
