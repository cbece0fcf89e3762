/** The client's first packet: StartupMessage, SSLRequest, GSSENCRequest or CancelRequest. */
import * as m from './messages.js'

/** Not such a packet; `PART` = could become one. */
export const NO_PACKET = 0
export const PART = -1

/** Length of the startup packet at `from`, PART, or NO_PACKET. A startup message must be here whole or fill the window. */
export function startupPacket(bytes: Buffer, from: number, end: number): number {
  const size = end - from
  if (size > 0 && bytes[from] !== 0) return NO_PACKET
  if (size > 1 && bytes[from + 1] !== 0) return NO_PACKET
  if (size < 4) return PART
  const length = m.int32(bytes, from)
  if (length < 8 || length > m.STARTUP_BYTES_MAX) return NO_PACKET
  if (size < 8) return size < 5 || bytes[from + 4] === 0 || bytes[from + 4] === 4 ? PART : NO_PACKET
  const code = m.int32(bytes, from + 4)
  if (code === m.SSL_REQUEST || code === m.GSSENC_REQUEST) return length === 8 ? 8 : NO_PACKET
  // Process id and key: 4 bytes of key until 3.2, then up to 256.
  if (code === m.CANCEL_REQUEST) return length >= 16 && length <= 268 ? length : NO_PACKET
  // 3.0 and 3.2 exist; 3.9999 is what a client sends to see whether versions are negotiated.
  if (code >> 16 !== m.PROTOCOL_MAJOR || (code & 0xffff) > 9999) return NO_PACKET
  return parametersFit(bytes, from + 8, Math.min(end, from + length), size >= length) ? length : NO_PACKET
}

/** `(name string, value string)* 0`; a user must be named. */
function parametersFit(bytes: Buffer, from: number, to: number, whole: boolean): boolean {
  let at = from
  let user = false
  while (at < to && bytes[at] !== 0) {
    // `user`, `DateStyle`, `_pq_.name`
    const letter = bytes[at] | 32
    if ((letter < 97 || letter > 122) && bytes[at] !== 95) return false
    const name = m.nul(bytes, at, to)
    if (name < 0) return !whole
    for (let i = at; i < name; i++) if (bytes[i] <= 32 || bytes[i] > 126) return false
    if (bytes.toString('latin1', at, name) === 'user') user = true
    const value = m.nul(bytes, name + 1, to)
    if (value < 0) return !whole
    at = value + 1
  }
  return whole ? user && at === to - 1 : true
}

/** What a connection says of itself; kept for all its flows. */
export class Session {
  user = ''
  database = ''
  application = ''
  /** `3.0`, `3.2`. */
  version = ''
  serverVersion = ''
  /** `''`, `physical`, `logical`: a walsender connection. */
  replication = ''
}

const VALUE_CHARS_MAX = 256

export function readStartup(bytes: Buffer, from: number, to: number, session: Session): void {
  const code = m.int32(bytes, from + 4)
  session.version = `${code >> 16}.${code & 0xffff}`
  let at = from + 8
  while (at < to && bytes[at] !== 0) {
    const nameEnd = m.nul(bytes, at, to)
    const valueEnd = nameEnd < 0 ? -1 : m.nul(bytes, nameEnd + 1, to)
    if (valueEnd < 0) break
    const value = bytes.toString('utf8', nameEnd + 1, Math.min(valueEnd, nameEnd + 1 + VALUE_CHARS_MAX))
    switch (bytes.toString('latin1', at, nameEnd)) {
      case 'user':
        session.user = value
        break
      case 'database':
        session.database = value
        break
      case 'application_name':
        session.application = value
        break
      case 'replication':
        session.replication = replicationOf(value)
    }
    at = valueEnd + 1
  }
  if (session.database === '' && session.replication !== 'physical') session.database = session.user
}

/** `replication=database` is logical; a true value physical (manual, "Streaming Replication Protocol"). */
function replicationOf(value: string): string {
  const text = value.toLowerCase()
  if (text === 'database') return 'logical'
  return ['true', 'on', 'yes', '1', 't', 'y'].includes(text) ? 'physical' : ''
}
