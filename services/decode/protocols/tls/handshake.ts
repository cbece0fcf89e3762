/** The handshake of a connection as one exchange: what both ends said of themselves before they went on in secret. */
import { Exchange } from '../../../core/exchange.js'
import type { CloseReason, ExchangeSink } from '../../../core/protocol.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { note } from '../pairing/pending.js'
import { readCertificate } from './certificate.js'
import { cipherSuiteName } from './cipher_suites.js'
import { ja3, ja3s, ja4 } from './fingerprints.js'
import {
  CERTIFICATE,
  CLIENT_HELLO,
  HELLO_VERIFY_REQUEST,
  MESSAGE_HEADER_BYTES,
  SERVER_HELLO,
  SERVER_HELLO_DONE,
  SERVER_KEY_EXCHANGE,
} from './handshake_type.js'
import { highestVersion, readClientHello, readServerHello } from './hello.js'
import {
  alertName,
  CLOSE_NOTIFY,
  groupName,
  INTERNAL_ERROR,
  isModernVersion,
  protocolName,
  USER_CANCELED,
  versionName,
  versionNumber,
} from './names.js'
import { VectorReader } from './reader.js'

const SSL_2 = 0x0002
const WARNING = 1
const FATAL = 2
/** Of a TLS 1.3 record with nothing but an alert: 2 bytes, their type, and the tag of the cipher (8 or 16 bytes). */
const HIDDEN_ALERT_BYTES_MAX = 19
/** ECCurveType of ServerKeyExchange (RFC 8422 section 5.4). */
const NAMED_CURVE = 3
const CHAIN_MAX = 100

export class Handshake {
  #exchange: Exchange | null = null
  readonly #attrs: Record<string, string> = {}
  /** Negotiated; 0 = not known (yet). */
  #version = 0
  #clientSessionId = ''
  #serverSessionId = ''
  #preSharedKey = false
  #principal = ''
  #clientBytes = 0
  #serverBytes = 0
  #helloSeen = false
  #serverHelloSeen = false
  #serverHelloDone = false
  /** This end has sent something that only the other end can read. */
  readonly #secured = [false, false]
  #securedUs = 0
  #clientSealedBytes = 0
  #hiddenAlert = false
  /** Whose fault the fatal alert says it is. */
  #fatal: '' | 'client_error' | 'server_error' = ''
  #clientEarlyData = false
  /** Something of a direction is missing. */
  readonly #lost = [false, false]
  #finished = false
  readonly #out: ExchangeSink

  constructor(out: ExchangeSink) {
    this.#out = out
  }

  /** Handed over: what follows is secret. */
  get finished(): boolean {
    return this.#finished
  }

  /** Something of a handshake was seen. */
  get begun(): boolean {
    return this.#finished || this.#exchange !== null
  }

  /** The server has answered in SSL 2.0. */
  get isOld(): boolean {
    return this.#version === SSL_2
  }

  /** What follows ServerHello is encrypted. */
  get isModern(): boolean {
    return isModernVersion(this.#version)
  }

  message(
    direction: Direction,
    type: number,
    bytes: Buffer,
    from: number,
    to: number,
    whole: boolean,
    startUs: number,
    endUs: number,
  ): void {
    if (this.#finished) return
    switch (type) {
      case CLIENT_HELLO:
        this.#clientHello(bytes, from, to, whole, startUs, endUs)
        break
      case SERVER_HELLO:
        this.#serverHello(bytes, from, to, whole, startUs)
        break
      case HELLO_VERIFY_REQUEST:
        // A cookie that the client has to bring back (RFC 6347 section 4.2.1). Its version is not the one agreed on.
        if (direction === TO_CLIENT) {
          this.#open(startUs, direction)
          this.#attrs['tls.hello_verify'] = 'true'
        }
        break
      case CERTIFICATE:
        this.#certificates(direction, bytes, from, to, startUs)
        break
      case SERVER_KEY_EXCHANGE:
        if (to - from >= 3 && bytes[from] === NAMED_CURVE && direction === TO_CLIENT)
          this.#attrs['tls.curve'] = groupName(bytes.readUInt16BE(from + 1))
        break
      case SERVER_HELLO_DONE:
        this.#serverHelloDone = true
    }
    this.#count(direction, MESSAGE_HEADER_BYTES + to - from, endUs)
    if (!whole) this.#lost[direction] = true
  }

  #open(startUs: number, direction: Direction): Exchange {
    let exchange = this.#exchange
    if (exchange === null) {
      exchange = new Exchange()
      this.#exchange = exchange
      exchange.protocol = 'tls'
      exchange.method = 'handshake'
    }
    if (direction === TO_SERVER && exchange.reqStartUs === 0) exchange.reqStartUs = startUs
    if (direction === TO_CLIENT && exchange.respStartUs === 0) exchange.respStartUs = startUs
    return exchange
  }

  /** Sizes count handshake messages in clear. */
  #count(direction: Direction, size: number, endUs: number): void {
    if (direction === TO_SERVER) this.#clientBytes += size
    else {
      this.#serverBytes += size
      const exchange = this.#exchange
      if (exchange !== null && exchange.respStartUs !== 0) exchange.respEndUs = Math.max(exchange.respEndUs, endUs)
    }
  }

  #clientHello(bytes: Buffer, from: number, to: number, whole: boolean, startUs: number, endUs: number): void {
    // The second one answers a HelloRetryRequest and repeats the first.
    if (this.#helloSeen) {
      if (this.#exchange !== null) this.#exchange.reqEndUs = endUs
      return
    }
    this.#helloSeen = true
    const hello = readClientHello(bytes, from, to, whole)
    const exchange = this.#open(startUs, TO_SERVER)
    exchange.reqEndUs = endUs
    exchange.sni = hello.serverName
    exchange.host = hello.serverName
    exchange.resource = hello.serverName
    exchange.endpoint = hello.serverName
    this.#clientSessionId = hello.sessionId
    this.#clientEarlyData = hello.earlyData
    // Fingerprints are of first hellos: after a HelloRetryRequest this one differs.
    if (hello.whole && !(this.#lost[TO_SERVER] && this.#attrs['tls.hello_retry'] !== undefined)) {
      this.#attrs['tls.client.ja3'] = ja3(hello)
      this.#attrs['tls.client.ja4'] = ja4(hello)
    } else {
      if (!hello.whole) note(exchange, 'tls.client_hello_cut')
      exchange.complete = false
    }
    const highest = versionName(highestVersion(hello))
    if (highest !== '') this.#attrs['tls.client.version'] = highest
    if (hello.alpn.length > 0) this.#attrs['tls.client.alpn'] = hello.alpn.map(visible).join(',')
    if (hello.hidden !== '') this.#attrs[`tls.client.${hello.hidden}`] = 'true'
    if (hello.earlyData) this.#attrs['tls.client.early_data'] = 'true'
  }

  /** A hello in the form of SSL 2.0: it has no extensions and no fingerprint. */
  oldClientHello(version: number, size: number, startUs: number, endUs: number): void {
    this.#helloSeen = true
    const exchange = this.#open(startUs, TO_SERVER)
    exchange.reqEndUs = endUs
    this.#clientBytes += size
    this.#attrs['tls.client.version'] = versionName(version)
    this.#attrs['tls.client.hello'] = 'sslv2'
    this.#finishIfDone()
  }

  /** An answer in SSL 2.0. What follows it is not read. */
  oldServerHello(certificate: Buffer | null, size: number, startUs: number, endUs: number): void {
    const exchange = this.#open(startUs, TO_CLIENT)
    this.#serverHelloSeen = true
    this.#version = SSL_2
    this.#serverBytes += size
    exchange.respEndUs = endUs
    if (certificate !== null) this.#certificate('server', certificate)
    this.#finishIfDone()
  }

  #serverHello(bytes: Buffer, from: number, to: number, whole: boolean, startUs: number): void {
    const hello = readServerHello(bytes, from, to, whole)
    const exchange = this.#open(startUs, TO_CLIENT)
    if (hello.retry) {
      this.#attrs['tls.hello_retry'] = 'true'
      this.#version = hello.version
      return
    }
    if (!hello.whole) {
      note(exchange, 'tls.server_hello_cut')
      exchange.complete = false
      return
    }
    this.#serverHelloSeen = true
    this.#version = hello.version
    this.#attrs['tls.cipher'] = cipherSuiteName(hello.cipher)
    this.#attrs['tls.server.ja3s'] = ja3s(hello, bytes.readUInt16BE(from))
    if (hello.group !== 0) this.#attrs['tls.curve'] = groupName(hello.group)
    if (hello.alpn !== '') this.#attrs['tls.next_protocol'] = visible(hello.alpn)
    this.#preSharedKey = hello.preSharedKey
    this.#serverSessionId = hello.sessionId
  }

  /**
   * The session goes on from an earlier one: TLS 1.3 says so; before, the server repeats the client's session id or leaves
   * out all between its hello and Finished. null where that cannot be told.
   */
  get #resumed(): boolean | null {
    if (!this.#serverHelloSeen || this.#version === SSL_2) return null
    if (this.isModern) return this.#preSharedKey
    if (this.#serverHelloDone) return false
    if (this.#helloSeen && this.#serverSessionId !== '' && this.#serverSessionId === this.#clientSessionId) return true
    return this.#secured[TO_CLIENT] && !this.#lost[TO_CLIENT] ? true : null
  }

  /**
   * Up to TLS 1.2 (RFC 5246 section 7.4.2): length(3) and certificates, each with its length(3) in front. Of TLS 1.3 none is
   * in clear.
   */
  #certificates(direction: Direction, bytes: Buffer, from: number, to: number, startUs: number): void {
    // A client's says nothing without the hellos.
    if (direction === TO_CLIENT) this.#open(startUs, direction)
    const end = direction === TO_CLIENT ? 'server' : 'client'
    const list = new VectorReader(bytes, from, to).vector(3)
    let count = 0
    while (list.left > 3 && count < CHAIN_MAX) {
      const one = list.vector(3)
      count += 1
      if (count === 1 && !one.cut) this.#certificate(end, one.view())
    }
    // The rest of a long chain was not kept.
    if (!list.cut) this.#attrs[`tls.${end}.chain_length`] = String(count)
  }

  #certificate(end: 'server' | 'client', der: Buffer): void {
    const certificate = readCertificate(der)
    if (certificate === null) {
      this.#note('tls.bad_certificate')
      return
    }
    const { subject, issuer, notBefore, notAfter, serial, sha256, alternativeNames } = certificate
    const attrs = this.#attrs
    if (subject !== '') attrs[`tls.${end}.subject`] = subject
    if (issuer !== '') attrs[`tls.${end}.issuer`] = issuer
    if (notBefore !== '') attrs[`tls.${end}.not_before`] = notBefore
    if (notAfter !== '') attrs[`tls.${end}.not_after`] = notAfter
    attrs[`tls.${end}.serial`] = serial
    attrs[`tls.${end}.hash.sha256`] = sha256
    attrs[`tls.${end}.san_count`] = String(alternativeNames)
    // A client that shows a certificate says who it is.
    if (end === 'client') this.#principal = subject
  }

  /** An alert in clear (RFC 8446 section 6). A fatal one is the last word; what the other end had sent by then still counts. */
  alert(direction: Direction, level: number, code: number, timeUs: number): void {
    if (this.#finished || this.#fatal !== '' || (level !== FATAL && level !== WARNING)) return
    const exchange = this.#open(timeUs, direction)
    if (direction === TO_CLIENT) exchange.respEndUs = Math.max(exchange.respEndUs, timeUs)
    else exchange.reqEndUs = timeUs
    this.#attrs[`tls.${direction === TO_CLIENT ? 'server' : 'client'}.alert`] = alertName(code)
    if (level === FATAL) {
      exchange.statusCode = code
      exchange.error = alertName(code)
      // An alert tells what its sender holds against the other end, with two exceptions.
      const ownFault = code === INTERNAL_ERROR || code === USER_CANCELED
      this.#fatal = (direction === TO_CLIENT) === ownFault ? 'server_error' : 'client_error'
    } else if (code === CLOSE_NOTIFY) exchange.error = alertName(code)
  }

  /** An alert whose content cannot be read, where a message would have finished the handshake. */
  hiddenAlert(direction: Direction, timeUs: number): void {
    this.#hiddenAlert = true
    this.secured(direction, 0, timeUs)
  }

  /** The first record of this end that nobody but the other end can read, `size` bytes long: its part is done. */
  secured(direction: Direction, size: number, timeUs: number): void {
    if (this.#finished || this.#secured[direction]) return
    this.#secured[direction] = true
    this.#securedUs = Math.max(this.#securedUs, timeUs)
    if (direction === TO_SERVER) this.#clientSealedBytes = size
    this.#finishIfDone()
  }

  #finishIfDone(): void {
    const exchange = this.#exchange
    const oldForm = this.#version === SSL_2 && this.#helloSeen
    if (exchange === null || this.#fatal !== '' || !(oldForm || (this.#secured[TO_SERVER] && this.#secured[TO_CLIENT])))
      return
    if (exchange.respStartUs !== 0) exchange.respEndUs = Math.max(exchange.respEndUs, this.#securedUs)
    else exchange.reqEndUs = Math.max(exchange.reqEndUs, this.#securedUs)
    if (this.#hiddenAlert || this.#refusedInSecret) {
      // After a loss it may be one that came long after the handshake.
      const lost = this.#lost[TO_SERVER] || this.#lost[TO_CLIENT]
      if (!lost) note(exchange, 'tls.encrypted_alert')
      this.#finish('unknown', lost ? '' : 'encrypted_alert')
    } else {
      if (!oldForm) this.#attrs['tls.established'] = 'true'
      this.#finish('ok', '')
    }
  }

  /** What a client of TLS 1.3 must send first is Finished or a certificate. So short a record can only be an alert. */
  get #refusedInSecret(): boolean {
    return (
      this.isModern &&
      this.#serverHelloSeen &&
      !this.#clientEarlyData &&
      this.#clientSealedBytes <= HIDDEN_ALERT_BYTES_MAX
    )
  }

  gap(direction: Direction): void {
    this.#lost[direction] = true
    if (this.#finished || this.#fatal !== '' || this.#exchange === null) return
    this.#exchange.gaps += 1
    this.#exchange.complete = false
  }

  /** A heartbeat that asks for more than it brings. */
  overread(): void {
    this.#note('tls.heartbeat_overread')
  }

  /** In clear, in the middle of the handshake (RFC 6520). */
  heartbeat(direction: Direction, timeUs: number): void {
    const exchange = this.#exchange
    if (exchange === null || this.#finished) return
    if (direction === TO_SERVER && exchange.reqStartUs !== 0) exchange.reqEndUs = timeUs
    if (direction === TO_CLIENT && exchange.respStartUs !== 0) exchange.respEndUs = timeUs
  }

  #note(anomaly: string): void {
    if (this.#exchange !== null && !this.#finished) note(this.#exchange, anomaly)
  }

  close(reason: CloseReason): void {
    const exchange = this.#exchange
    if (this.#finished || exchange === null) return
    if (this.#fatal !== '') return this.#finish(this.#fatal, exchange.error)
    exchange.complete = false
    if (reason === 'reset') this.#finish('reset', exchange.error)
    else if (reason === 'closed' && !this.#serverHelloSeen && this.#helloSeen && exchange.respStartUs === 0)
      this.#finish('no_response', exchange.error)
    else this.#finish('unknown', exchange.error)
  }

  #finish(outcome: Exchange['outcome'], error: string): void {
    const exchange = this.#exchange as Exchange
    const attrs = this.#attrs
    this.#finished = true
    exchange.outcome = outcome
    exchange.reqBytes = this.#clientBytes
    exchange.respBytes = this.#serverBytes
    exchange.principal = this.#principal
    exchange.error = error
    if (this.#version !== 0) {
      exchange.tlsVersion = versionName(this.#version)
      exchange.l7Version = versionNumber(this.#version)
      attrs['tls.protocol.name'] = protocolName(this.#version)
      attrs['tls.protocol.version'] = exchange.l7Version
    }
    // Where something is missing it may have been just that.
    const unclear = outcome === 'unknown' && error === '' && (this.#lost[TO_SERVER] || this.#lost[TO_CLIENT])
    if (attrs['tls.established'] === undefined && this.#version !== SSL_2 && !unclear)
      attrs['tls.established'] = 'false'
    const resumed = this.#resumed
    if (resumed !== null) attrs['tls.resumed'] = String(resumed)
    if (!this.#helloSeen || !this.#serverHelloSeen || this.#lost[TO_SERVER] || this.#lost[TO_CLIENT])
      exchange.complete = false
    exchange.attrs = Object.fromEntries(Object.entries(attrs).sort())
    this.#exchange = null
    this.#out.exchange(exchange)
  }

  save(out: StateWriter): void {
    out.string(this.#exchange === null ? '' : JSON.stringify(this.#exchange))
    out.string(JSON.stringify(this.#attrs))
    out.strings([this.#clientSessionId, this.#serverSessionId, this.#principal, this.#fatal])
    for (const value of [this.#version, this.#securedUs, this.#clientSealedBytes, this.#clientBytes, this.#serverBytes])
      out.number(value)
    for (const flag of [
      this.#helloSeen,
      this.#serverHelloSeen,
      this.#serverHelloDone,
      this.#preSharedKey,
      this.#clientEarlyData,
      this.#hiddenAlert,
      this.#finished,
      ...this.#secured,
      ...this.#lost,
    ])
      out.bool(flag)
  }

  restore(state: StateReader): void {
    try {
      const exchange = state.string()
      this.#exchange = exchange === '' ? null : Object.assign(new Exchange(), JSON.parse(exchange))
      Object.assign(this.#attrs, JSON.parse(state.string()))
    } catch {
      state.failed = true
      return
    }
    const [clientSessionId = '', serverSessionId = '', principal = '', fatal = ''] = state.strings()
    this.#clientSessionId = clientSessionId
    this.#serverSessionId = serverSessionId
    this.#principal = principal
    this.#fatal = fatal === 'client_error' || fatal === 'server_error' ? fatal : ''
    this.#version = state.number()
    this.#securedUs = state.number()
    this.#clientSealedBytes = state.number()
    this.#clientBytes = state.number()
    this.#serverBytes = state.number()
    this.#helloSeen = state.bool()
    this.#serverHelloSeen = state.bool()
    this.#serverHelloDone = state.bool()
    this.#preSharedKey = state.bool()
    this.#clientEarlyData = state.bool()
    this.#hiddenAlert = state.bool()
    this.#finished = state.bool()
    for (const direction of [TO_SERVER, TO_CLIENT]) this.#secured[direction] = state.bool()
    for (const direction of [TO_SERVER, TO_CLIENT]) this.#lost[direction] = state.bool()
  }
}

/** Protocol names are bytes; GREASE has some that are no letters (RFC 8701). */
function visible(name: string): string {
  return /^[!-~]+$/.test(name) ? name : `0x${Buffer.from(name, 'latin1').toString('hex')}`
}
