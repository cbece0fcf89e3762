/** A command that waits for its answer: small, since a client may send thousands before it reads one. */
import { Exchange, NO_STRINGS } from '../../../core/exchange.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import { CLIENT, type CommandSpec, keyOf, methodOf, PLAIN, REPLCONF, SUBSCRIBE, UNSUBSCRIBE } from './commands.js'
import { keyTemplate } from './key_template.js'
import { queryText } from './privacy.js'
import type { Reply } from './reply_reader.js'
import type { RequestReader } from './request_reader.js'

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

  constructor(method: string, kind: number, key: string, text: string, reader: RequestReader) {
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
    exchange.endpoint = this.key === '' ? this.method : `${this.method} ${keyTemplate(this.key)}`
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

  save(out: StateWriter): void {
    out.string(JSON.stringify(this))
  }

  static restore(state: StateReader): Command {
    const command = Object.create(Command.prototype) as Command
    try {
      Object.assign(command, JSON.parse(state.string()))
    } catch {
      state.failed = true
    }
    if (command.anomalies?.length === 0) command.anomalies = NO_STRINGS
    return command
  }
}

function attrsOf(db: string, text: string): Record<string, string> | null {
  if (text === '') return db === '' ? null : { 'db.namespace': db }
  return db === '' ? { 'db.query.text': text } : { 'db.namespace': db, 'db.query.text': text }
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
