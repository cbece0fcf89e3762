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

  /** Has anything been said that ends it? */
  get ended(): boolean {
    return this.completed > 0 || this.error !== null || this.suspended || this.loggedIn
  }

  /** The server closes the connection after it. */
  get fatal(): boolean {
    return this.error !== null && (this.error.severity === 'FATAL' || this.error.severity === 'PANIC')
  }

  row(size: number, columns: number): void {
    this.rows += 1
    this.bytes += Math.max(0, size - 2 - 4 * columns)
  }

  /** CommandComplete: `SELECT 5`, `INSERT 0 1`, `CREATE TABLE`. */
  complete(tag: string): void {
    this.completed += 1
    if (this.completed <= TAGS_MAX) this.tags += this.tags === '' ? tag : `; ${tag}`
    const space = tag.lastIndexOf(' ')
    const count = space < 0 ? -1 : digits(tag, space + 1)
    if (count < 0) return
    if (tag.startsWith('SELECT') || tag.startsWith('FETCH')) this.tagRows += count
    else this.affected = Math.max(this.affected, 0) + count
  }

  readComplete(bytes: Buffer, from: number, to: number): void {
    if (!isLastTag(bytes, from, to)) {
      const end = m.nul(bytes, from, to)
      lastTag = bytes.toString('latin1', from, Math.min(end < 0 ? to : end, from + TAG_CHARS_MAX))
    }
    this.complete(lastTag)
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

/** The same few come again and again. */
let lastTag = ''

function isLastTag(bytes: Buffer, from: number, to: number): boolean {
  const size = lastTag.length
  if (to - from !== size + 1 || bytes[to - 1] !== 0) return false
  for (let i = 0; i < size; i++) if (bytes[from + i] !== lastTag.charCodeAt(i)) return false
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
