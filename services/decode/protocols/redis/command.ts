/** A command that waits for its answer: small, since a client may send thousands before it reads one. */
import { Exchange, NO_STRINGS } from '../../../core/exchange.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { CLIENT, type CommandSpec, keyOf, methodOf, PLAIN, REPLCONF, SUBSCRIBE, UNSUBSCRIBE } from './commands.js'
import { endpointOf } from './key_template.js'
import { queryText } from './privacy.js'
import type { Reply } from './reply.js'
import type { RequestReader } from './request_reader.js'

/** What a reader knows of the command it has just read. */
type Sent = Pick<RequestReader, 'startUs' | 'endUs' | 'sizeBytes' | 'gaps' | 'cut' | 'argCount'>

export class Command {
  readonly kind: number
  readonly method: string
  readonly key: string
  /** `''` where too many wait. */
  readonly text: string
  /** The argument that changes the state of the connection: database, user, version. */
  word = ''
  user = ''
  /** Why no answer is due, `''` if one is. */
  silent = ''
  /** The first argument of REPLCONF. */
  option = ''
  startUs: number
  endUs: number
  sizeBytes: number
  gaps: number
  cut: boolean
  whole = true
  /** No request was lost between this one and those before it: answers may be counted off. */
  counted = true
  /** Values still to come: one per channel for SUBSCRIBE. */
  awaited: number
  /** Commands right behind this one that were handed over before their answer: it is dropped when it comes. */
  dropped = 0
  /** Of an answer in several values: its first ones. */
  respStartUs = 0
  respBytes = 0
  anomalies: string[] = NO_STRINGS

  constructor(method: string, kind: number, key: string, text: string, reader: Sent) {
    this.method = method
    this.kind = kind
    this.key = key
    this.text = text
    this.startUs = reader.startUs
    this.endUs = reader.endUs
    this.sizeBytes = reader.sizeBytes
    this.gaps = reader.gaps
    this.cut = reader.cut
    const channels = kind === SUBSCRIBE || kind === UNSUBSCRIBE ? reader.argCount - 1 : 1
    this.awaited = Math.max(1, channels)
  }

  static of(spec: CommandSpec, reader: RequestReader, withText: boolean): Command {
    const { args } = reader
    const text = withText ? queryText(spec, args, reader.more) : ''
    const command = new Command(methodOf(spec, args), spec.kind, keyOf(spec, args), text, reader)
    if (spec.kind !== PLAIN) command.#readState(args)
    return command
  }

  #readState(args: readonly string[]): void {
    if (this.method === 'AUTH') this.user = args.length > 2 ? args[1] : 'default'
    else if (this.method === 'HELLO') {
      const at = args.findIndex((arg) => arg.toUpperCase() === 'AUTH')
      if (at > 0 && at + 2 < args.length) this.user = args[at + 1]
      this.word = args[1] ?? ''
    } else if (this.method === 'CLIENT SETINFO') this.word = `${(args[2] ?? '').toLowerCase()} ${args[3] ?? ''}`
    else this.word = args[this.kind === CLIENT ? 2 : 1] ?? ''
    if (this.kind === REPLCONF) this.option = args[1] ?? ''
  }

  note(anomaly: string): void {
    this.anomalies = this.anomalies === NO_STRINGS ? [anomaly] : [...this.anomalies, anomaly]
  }

  /** The exchange as far as the request tells it. */
  exchange(db: string): Exchange {
    const exchange = new Exchange()
    exchange.protocol = 'redis'
    exchange.method = this.method
    exchange.resource = this.key
    exchange.endpoint = endpointOf(this.method, this.key)
    exchange.reqBytes = this.sizeBytes
    exchange.reqStartUs = this.startUs
    exchange.reqEndUs = this.endUs
    exchange.gaps = this.gaps
    exchange.complete = this.whole && this.gaps === 0
    exchange.truncated = this.cut && this.key.length >= 256
    exchange.anomalies = this.anomalies
    exchange.host = db
    exchange.attrs = attrsOf(db, this.text)
    return exchange
  }

  /** Characters that it keeps. */
  get chars(): number {
    return (
      this.method.length + this.key.length + this.text.length + this.word.length + this.user.length + this.option.length
    )
  }

  /** Small, since thousands may wait: what few commands have stands behind a flag. */
  save(out: StateWriter): void {
    const { word, user, silent, option, gaps, awaited, dropped, respStartUs, respBytes, anomalies } = this
    const counts = gaps + dropped + respStartUs + respBytes
    const more = word + user + silent + option !== '' || counts > 0 || awaited !== 1 || anomalies.length > 0
    out.u8((this.cut ? 1 : 0) | (this.whole ? 2 : 0) | (this.counted ? 4 : 0) | (more ? 8 : 0))
    out.u8(this.kind)
    for (const text of [this.method, this.key, this.text]) out.string(text)
    for (const value of [this.startUs, this.endUs, this.sizeBytes]) out.number(value)
    if (!more) return
    for (const text of [word, user, silent, option]) out.string(text)
    for (const value of [gaps, awaited, dropped, respStartUs, respBytes]) out.number(value)
    out.strings(anomalies)
  }

  static restore(state: StateReader): Command {
    const flags = state.u8()
    const kind = state.u8()
    const [method, key, text] = [state.string(), state.string(), state.string()]
    const [startUs, endUs, sizeBytes] = [state.number(), state.number(), state.number()]
    const command = new Command(method, kind, key, text, {
      startUs,
      endUs,
      sizeBytes,
      gaps: 0,
      cut: (flags & 1) !== 0,
      argCount: 1,
    })
    command.awaited = 1
    command.whole = (flags & 2) !== 0
    command.counted = (flags & 4) !== 0
    if ((flags & 8) === 0) return command
    command.word = state.string()
    command.user = state.string()
    command.silent = state.string()
    command.option = state.string()
    command.gaps = state.number()
    command.awaited = state.number()
    command.dropped = state.number()
    command.respStartUs = state.number()
    command.respBytes = state.number()
    const anomalies = state.strings()
    if (anomalies.length > 0) command.anomalies = anomalies
    return command
  }
}

function attrsOf(db: string, text: string): Record<string, string> | null {
  if (text === '') return db === '' ? null : { 'db.namespace': db }
  return db === '' ? { 'db.query.text': text } : { 'db.namespace': db, 'db.query.text': text }
}

export function nameDb(exchange: Exchange): void {
  if (exchange.host !== '') exchange.attrs = { ...exchange.attrs, 'db.namespace': exchange.host }
}

/** Errors that lie with the server, its state or its limits, and not with what was asked. */
const SERVER_ERRORS = new Set(
  'BUSY CLUSTERDOWN IOERR LOADING MASTERDOWN MISCONF NOMASTERLINK NOREPLICAS NOTREADY OOM READONLY TRYAGAIN UNKILLABLE'.split(
    ' ',
  ),
)
/** Where to ask instead: part of a cluster's normal life. */
const REDIRECTIONS = new Set(['ASK', 'MOVED'])

export function setError(exchange: Exchange, error: string): void {
  exchange.statusCode = error === '' ? 0 : 1
  exchange.error = error
  if (error === '' || REDIRECTIONS.has(error)) exchange.outcome = 'ok'
  else exchange.outcome = SERVER_ERRORS.has(error) ? 'server_error' : 'client_error'
  if (error !== '') exchange.attrs = { ...exchange.attrs, 'db.response.status_code': error }
}

/** What the answer says goes into the exchange of its command. */
export function setReply(exchange: Exchange, reply: Reply): void {
  setError(exchange, reply.error)
  exchange.respStartUs = reply.startUs
  exchange.respEndUs = reply.endUs
  exchange.respBytes = reply.sizeBytes
  exchange.gaps += reply.gaps
  if (reply.gaps > 0) exchange.complete = false
}
