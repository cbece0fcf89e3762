/** What messages say, as exchanges. */
import { Exchange, type Outcome } from '../../../core/exchange.js'
import { registeredDomain } from './domain.js'
import type { DnsMessage } from './message.js'
import { opcodeName, QUERY, rcodeName } from './names.js'

/** A query, or a response of which the query was not seen. */
export function exchangeOf(message: DnsMessage): Exchange {
  const exchange = new Exchange()
  exchange.protocol = 'dns'
  exchange.l7Version = variantOf(message)
  exchange.method = message.type
  exchange.resource = message.name
  exchange.endpoint = message.name === '' ? message.type : registeredDomain(message.name)
  exchange.attrs = attrsOf(message)
  if (!message.wellFormed) exchange.anomalies = ['dns.malformed']
  return exchange
}

/** Multicast DNS (RFC 6762) and LLMNR (RFC 4795) by what they say: neither asks for recursion. */
function variantOf(message: DnsMessage): string {
  const { name } = message
  if (message.recursionDesired || message.opcode !== QUERY) return ''
  if (message.id === 0 && (message.topBit || message.questions === 0 || /\.local$/i.test(name))) return 'mdns'
  const bare = message.flags === '' && message.id !== 0 && name !== '.' && name !== '' && !name.includes('.')
  return bare && message.questions === 1 ? 'llmnr' : ''
}

function attrsOf(message: DnsMessage): Record<string, string> {
  const attrs: Record<string, string> = { 'dns.id': String(message.id) }
  if (message.opcode !== QUERY) attrs['dns.opcode'] = opcodeName(message.opcode)
  if (message.class !== 'IN' && message.class !== '') attrs['dns.class'] = message.class
  addSections(attrs, message)
  return attrs
}

/** Of a pair: what the response says, and what only the query does: how often it was sent, the records of an update. */
function pairAttrs(message: DnsMessage, query: Readonly<Record<string, string>>): Record<string, string> {
  const attrs = attrsOf(message)
  for (const name in query) if (attrs[name] === undefined && name !== 'dns.flags') attrs[name] = query[name]
  return attrs
}

function addSections(attrs: Record<string, string>, message: DnsMessage): void {
  if (message.flags !== '') attrs['dns.flags'] = message.flags
  if (message.answerCount > 0) attrs['dns.answer_count'] = String(message.answerCount)
  if (message.answers !== '') attrs['dns.answers'] = message.answers
  if (message.authorities !== '') attrs['dns.authorities'] = message.authorities
  if (message.additionals !== '') attrs['dns.additionals'] = message.additionals
  if (message.clientSubnet !== '') attrs['dns.client_subnet'] = message.clientSubnet
  if (message.extendedError !== '') attrs['dns.extended_error'] = message.extendedError
  if (message.texts !== '') attrs['dns.texts'] = message.texts
}

const NO_ATTRS: Readonly<Record<string, string>> = {}

/** What the response says goes into the exchange of its query. */
export function setResponse(exchange: Exchange, message: DnsMessage, sizeBytes: number, timeUs: number): void {
  exchange.statusCode = message.rcode
  exchange.outcome = outcomeOf(message.rcode)
  exchange.error = message.rcode === 0 ? '' : rcodeName(message.rcode)
  exchange.respBytes = sizeBytes
  exchange.respStartUs = timeUs
  exchange.respEndUs = timeUs
  if (message.cut) exchange.truncated = true
  if (!message.wellFormed && exchange.anomalies.length === 0) exchange.anomalies = ['dns.malformed']
  exchange.attrs = pairAttrs(message, exchange.attrs ?? NO_ATTRS)
}

/** FORMERR, NXDOMAIN and what prerequisites of an update say lie with the question; the others with the server. */
function outcomeOf(rcode: number): Outcome {
  if (rcode === 0) return 'ok'
  return rcode === 1 || rcode === 3 || (rcode >= 6 && rcode <= 8) || rcode === 10 ? 'client_error' : 'server_error'
}
