/**
 * What commands have changed on a connection: database, user, version, transaction, subscriptions. Changes count from the
 * answer on that confirms them, in the order in which the server works: so they hold for pipelined commands too.
 */
import type { Exchange } from '../../../core/exchange.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import type { Command } from './command.js'
import { AUTH, CLIENT, HELLO, MONITOR, RESET, SELECT, SYNC } from './commands.js'
import type { Reply } from './reply.js'
import { DOLLAR } from './resp.js'

const WORD_CHARS_MAX = 64

export class Session {
  /** `''` = not known, since commands were missed. */
  db = '0'
  user = ''
  version = '2'
  library = ''
  libraryVersion = ''
  subscribed = false
  monitoring = false
  /** The server now sends a copy of its data, and of what others write: nothing of it answers this client. */
  replicating = false

  /** Requests were missed: any of them may have changed it. */
  forget(): void {
    this.db = ''
    this.user = ''
    this.version = this.version === '3' ? '3' : ''
  }

  /** Whether this command succeeded is not known. */
  missed(command: Command): void {
    if (command.kind === SELECT || command.kind === RESET) this.db = ''
    if (command.kind === AUTH || command.kind === HELLO || command.kind === RESET) this.user = ''
  }

  apply(exchange: Exchange): void {
    exchange.host = this.db
    exchange.l7Version = this.version
    if (exchange.principal === '') exchange.principal = this.user
    exchange.userAgent = this.#agent
  }

  #agent = ''

  /** A command was answered without an error. */
  answered(command: Command, reply: Reply): void {
    if (reply.error !== '') return
    switch (command.kind) {
      case SELECT:
        this.db = /^\d{1,5}$/.test(command.word) ? command.word : ''
        break
      case AUTH:
        this.user = command.user
        break
      case HELLO:
        if (command.user !== '') this.user = command.user
        if (command.word === '2' || command.word === '3') this.version = command.word
        break
      case MONITOR:
        this.monitoring = true
        break
      case RESET:
        this.db = '0'
        this.user = ''
        this.version = '2'
        this.subscribed = false
        this.monitoring = false
        break
      case SYNC:
        this.replicating = reply.type === DOLLAR || /^(FULLRESYNC|CONTINUE)\b/.test(reply.line)
        break
      case CLIENT:
        if (command.method === 'CLIENT SETINFO') this.#setInfo(command.word)
    }
  }

  /** `CLIENT SETINFO LIB-NAME ioredis` and LIB-VER: the client library tells of itself. */
  #setInfo(word: string): void {
    const value = word.slice(word.indexOf(' ') + 1, WORD_CHARS_MAX + 10)
    if (word.startsWith('lib-name ')) this.library = value
    else if (word.startsWith('lib-ver ')) this.libraryVersion = value
    this.#name()
  }

  #name(): void {
    this.#agent = this.libraryVersion === '' ? this.library : `${this.library}/${this.libraryVersion}`
  }

  save(out: StateWriter): void {
    out.strings([this.db, this.user, this.version, this.library, this.libraryVersion])
    out.u8((this.subscribed ? 1 : 0) | (this.monitoring ? 2 : 0) | (this.replicating ? 4 : 0))
  }

  restore(state: StateReader): void {
    const [db = '', user = '', version = '', library = '', libraryVersion = ''] = state.strings()
    Object.assign(this, { db, user, version, library, libraryVersion })
    this.#name()
    const bits = state.u8()
    this.subscribed = (bits & 1) !== 0
    this.monitoring = (bits & 2) !== 0
    this.replicating = (bits & 4) !== 0
  }
}
