/** Messages of the server that are no answer: what it says of the session, and what it tells whoever listens. */
import type { Exchange } from '../../../core/exchange.js'
import type { ServerMessage } from './answers.js'
import * as m from './messages.js'
import type { Reply } from './reply.js'
import type { Session } from './startup.js'

const PARAMETER_BYTES_MAX = 128
const CHANNEL_BYTES_MAX = 128
const PAYLOAD_BYTES_MAX = 256

/** Manual, "Message Formats". SASL names its mechanism itself. */
const AUTH_NAMES: Readonly<Record<number, string>> = {
  2: 'kerberos',
  3: 'cleartext',
  5: 'md5',
  7: 'gss',
  9: 'sspi',
}

/** AuthenticationXXX: what the server asks for. What the client answers is passed over unread. */
export function readAuthentication(bytes: Buffer, body: number, to: number, reply: Reply): void {
  if (to - body < 4) return
  const code = m.int32(bytes, body)
  if (code === 10) {
    const end = Math.max(body + 4, m.nul(bytes, body + 4, to))
    reply.auth = bytes.toString('latin1', body + 4, end).toLowerCase()
  } else if (code === 0) {
    reply.loggedIn = true
    if (reply.auth === '') reply.auth = 'trust'
  } else if (code in AUTH_NAMES) reply.auth = AUTH_NAMES[code]
}

/** ParameterStatus: `name\0 value\0`. */
export function readParameter(bytes: Buffer, body: number, to: number, session: Session): void {
  const nameEnd = m.nul(bytes, body, to)
  const valueEnd = nameEnd < 0 ? -1 : m.nul(bytes, nameEnd + 1, to)
  if (valueEnd < 0) return
  const value = () => bytes.toString('utf8', nameEnd + 1, Math.min(valueEnd, nameEnd + 1 + PARAMETER_BYTES_MAX))
  switch (bytes.toString('latin1', body, nameEnd)) {
    case 'server_version':
      session.serverVersion = value()
      return
    case 'application_name':
      session.application = value()
      return
    case 'session_authorization':
      if (session.user === '') session.user = value()
  }
}

/** NotificationResponse, `int32 pid, channel\0 payload\0`: sent to whoever listens, between answers. Fills `exchange`. */
export function notification(exchange: Exchange, message: ServerMessage): Exchange {
  const { bytes, from: body, to, length, startUs, endUs } = message
  const channelEnd = m.nul(bytes, body + 4, to)
  exchange.method = 'NOTIFICATION'
  exchange.respStartUs = startUs
  exchange.respEndUs = endUs
  if (channelEnd < 0) {
    exchange.complete = false
    return exchange
  }
  const channel = bytes.toString('utf8', body + 4, Math.min(channelEnd, body + 4 + CHANNEL_BYTES_MAX))
  exchange.resource = channel
  exchange.endpoint = `NOTIFICATION ${channel}`
  exchange.outcome = 'ok'
  exchange.respBytes = length - 4 - 4 - (channelEnd - body - 4) - 2
  const { attrs } = exchange
  if (attrs === null) return exchange
  attrs['messaging.destination.name'] = channel
  const from = channelEnd + 1
  const payloadEnd = m.nul(bytes, from, to)
  if (payloadEnd > from) {
    attrs['postgresql.notification.payload'] = bytes.toString(
      'utf8',
      from,
      Math.min(payloadEnd, from + PAYLOAD_BYTES_MAX),
    )
  }
  return exchange
}
