/** What the server has said so far to the operation it is answering. */
import * as m from './messages.js'

const TEXT_CHARS_MAX = 512
const TAG_CHARS_MAX = 64
/** Tags kept of a query of several statements. */
const TAGS_MAX = 16

export class Reply {
  startUs = 0
  endUs = 0
  /** Rows and their values' bytes. */
  rows = 0
  bytes = 0
  /** Statements that completed, their tags with `; ` between, and the rows that tags and copied data count. */
  completed = 0
  tags = ''
  tagRows = 0
  affected = -1
  suspended = false
  /** Copied to the client. */
  copyRows = -1
  notices = 0
  error: ReplyError | null = null
  gaps = 0
  /** A message that said how it ended was cut. */
  cut = false
  /** Paired by time after a loss. */
  inferred = false
  /** Method of authentication the server asked for. */
  auth = ''

  /** AuthenticationOk. */
  loggedIn = false
  /** An error came before the client had said that its data is whole: more of it may be on its way. */
  dataOpen = false

  /** What was said is handed over: the same object serves the next operation. */
  clear(): void {
    this.startUs = 0
    this.endUs = 0
    this.rows = 0
    this.bytes = 0
    this.completed = 0
    this.tags = ''
    this.tagRows = 0
    this.affected = -1
    this.suspended = false
    this.copyRows = -1
    this.notices = 0
    this.error = null
    this.gaps = 0
    this.cut = false
    this.inferred = false
    this.auth = ''
    this.loggedIn = false
    this.dataOpen = false
  }

  /** Has anything been said that ends it? */
  get ended(): boolean {
    return this.completed > 0 || this.error !== null || this.suspended || this.loggedIn
  }

  /** The server closes the connection after it. */
  get fatal(): boolean {
    return this.error !== null && (this.error.severity === 'FATAL' || this.error.severity === 'PANIC')
  }

  /** CommandComplete: `SELECT 5`, `INSERT 0 1`, `CREATE TABLE`. */
  readComplete(bytes: Buffer, from: number, to: number): void {
    if (!isLastTag(bytes, from, to)) {
      const end = m.nul(bytes, from, to)
      lastTag = new CommandTag(bytes.toString('latin1', from, Math.min(end < 0 ? to : end, from + TAG_CHARS_MAX)))
    }
    const { text, count, isResult } = lastTag
    this.completed += 1
    if (this.completed <= TAGS_MAX) this.tags = this.tags === '' ? text : `${this.tags}; ${text}`
    if (count < 0) return
    if (isResult) this.tagRows += count
    else this.affected = Math.max(this.affected, 0) + count
  }

  /** ErrorResponse. */
  readError(bytes: Buffer, from: number, to: number): void {
    this.error = new ReplyError()
    this.error.read(bytes, from, to)
  }
}

/** ErrorResponse: `(code:byte string)* 0` (manual, "Error and Notice Message Fields"). */
export class ReplyError {
  sqlstate = ''
  severity = ''
  message = ''
  detail = ''
  schema = ''
  table = ''
  column = ''
  constraint = ''

  read(bytes: Buffer, from: number, to: number): void {
    let at = from
    while (at < to && bytes[at] !== 0) {
      const end = m.nul(bytes, at + 1, to)
      if (end < 0) return
      this.#errorField(bytes[at], bytes.toString('utf8', at + 1, Math.min(end, at + 1 + TEXT_CHARS_MAX)))
      at = end + 1
    }
  }

  #errorField(code: number, value: string): void {
    switch (String.fromCharCode(code)) {
      case 'C':
        this.sqlstate = value
        return
      case 'V':
        this.severity = value
        return
      case 'S':
        // Localised; servers before 9.6 send no other.
        if (this.severity === '') this.severity = value
        return
      case 'M':
        this.message = value
        return
      case 'D':
        this.detail = value
        return
      case 's':
        this.schema = value
        return
      case 't':
        this.table = value
        return
      case 'c':
        this.column = value
        return
      case 'n':
        this.constraint = value
    }
  }
}

/** From a checkpoint. */
export function restoredReply(saved: Reply): Reply {
  const reply = Object.assign(new Reply(), saved)
  if (saved.error !== null) reply.error = Object.assign(new ReplyError(), saved.error)
  return reply
}

class CommandTag {
  readonly text: string
  /** Rows that it counts; -1 where it counts none. */
  readonly count: number
  /** They were sent to the client. */
  readonly isResult: boolean

  constructor(text: string) {
    this.text = text
    const space = text.lastIndexOf(' ')
    this.count = space < 0 ? -1 : digits(text, space + 1)
    this.isResult = text.startsWith('SELECT') || text.startsWith('FETCH')
  }
}

/** The same few come again and again. */
let lastTag = new CommandTag('')

function isLastTag(bytes: Buffer, from: number, to: number): boolean {
  const { text } = lastTag
  const size = text.length
  if (to - from !== size + 1 || bytes[to - 1] !== 0) return false
  for (let i = 0; i < size; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false
  return true
}

function digits(text: string, from: number): number {
  if (from >= text.length) return -1
  let value = 0
  for (let i = from; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}
