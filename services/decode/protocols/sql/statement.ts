/**
 * What a statement is about, without its values: verb, tables, fingerprint. Answers are kept by text, since programs send
 * the same few texts again and again.
 */
import { KEYWORDS } from './keywords.js'
import { type Dialect, END, LITERAL, PARAMETER, PUNCTUATION, Scanner, WORD } from './scanner.js'
import { TableFinder } from './tables.js'
import { TextKey } from './values.js'

export class SqlStatement {
  /** `SELECT`, `INSERT` ... of the (first) statement, in capitals; what a WITH leads to, not WITH. `''` = there is none. */
  verb = ''
  /**
   * Keywords in capitals, one blank between words, values and parameters as `?`, lists of them as one: `SELECT * FROM t
   * WHERE id IN (?)`. At most FINGERPRINT_CHARS_MAX; of a longer one the start and a hash of the whole.
   */
  fingerprint = ''
  /** Tables named, as written, in order, each once; at most TABLES_MAX. */
  tables: readonly string[] = NO_TABLES
  /** `SELECT a b`: verb and tables. */
  summary = ''
  /** Statements between semicolons. */
  count = 0
  commented = false
}

const NO_TABLES: readonly string[] = Object.freeze([])
/** An endpoint is a dimension to group by. */
const FINGERPRINT_CHARS_MAX = 300
/** Of a longer text only the start is looked at: what follows is nearly always values. */
export const SCAN_CHARS_MAX = 8192
const VERB_CHARS_MAX = 24

/** Texts kept with their answers, in two generations: the older one is thrown away when the newer one is full. */
const CACHE_TEXTS_MAX = 4096
const CACHE_CHARS_MAX = 2 << 20

/** Of those the ones that came last, a power of two: found without making a key. */
const RECENT = 256

interface Recent {
  readonly key: string
  readonly statement: SqlStatement
}

class Cache {
  readonly recent = new Array<Recent | null>(RECENT).fill(null)
  #young = new Map<string, SqlStatement>()
  #old = new Map<string, SqlStatement>()
  #chars = 0

  get(text: string): SqlStatement | undefined {
    const found = this.#young.get(text)
    if (found !== undefined) return found
    const old = this.#old.get(text)
    if (old !== undefined) this.set(text, old)
    return old
  }

  set(text: string, statement: SqlStatement): void {
    this.#chars += text.length + 600
    if (this.#young.size >= CACHE_TEXTS_MAX || this.#chars > CACHE_CHARS_MAX) {
      this.#old = this.#young
      this.#young = new Map()
      this.#chars = text.length + 600
    }
    this.#young.set(text, statement)
  }
}

const caches: Record<Dialect, Cache> = { pgsql: new Cache(), mysql: new Cache() }

const textKey = new TextKey()

export function readStatement(text: string, dialect: Dialect): SqlStatement {
  const cache = caches[dialect]
  // Texts that differ in simple values only have one answer.
  const simple = textKey.take(text)
  const place = textKey.hash & (RECENT - 1)
  if (simple) {
    const recent = cache.recent[place]
    if (recent !== null && textKey.is(recent.key)) return recent.statement
  }
  const key = simple ? textKey.toString() : text
  let statement = cache.get(key)
  if (statement === undefined) {
    statement = read(text, dialect)
    cache.set(key, statement)
  }
  if (simple) cache.recent[place] = { key, statement }
  return statement
}

const scanner = new Scanner()
const tables = new TableFinder()

function read(text: string, dialect: Dialect): SqlStatement {
  const statement = new SqlStatement()
  const out: string[] = []
  let open = false
  let verbOpen = true
  let within = 0
  scanner.start(text.length > SCAN_CHARS_MAX ? text.slice(0, SCAN_CHARS_MAX) : text, dialect)
  tables.reset()
  for (let kind = scanner.next(); kind !== END; kind = scanner.next()) {
    const { from, to } = scanner
    let token: string
    if (kind === LITERAL || kind === PARAMETER) token = '?'
    else if (kind !== WORD) token = text.slice(from, to)
    else {
      const word = text.slice(from, to)
      const capitals = to - from <= VERB_CHARS_MAX ? word.toUpperCase() : word
      token = KEYWORDS.has(capitals) ? capitals : word
      if (verbOpen && within === 0) {
        if (statement.verb === '' || (statement.verb === 'WITH' && LEADS.has(capitals))) statement.verb = capitals
        verbOpen = statement.verb === 'WITH'
      }
      token = valueWord(token, out)
    }
    if (token === ';' && kind === PUNCTUATION) {
      open = false
      verbOpen = statement.verb === ''
    } else if (!open) {
      open = true
      statement.count += 1
    }
    if (kind === PUNCTUATION && statement.verb === 'WITH') within += token === '(' ? 1 : token === ')' ? -1 : 0
    tables.token(kind, token, text, from, to)
    push(out, token, kind)
  }
  while (out[out.length - 1] === ';') out.pop()
  statement.tables = tables.found()
  if (statement.tables.length > 0) statement.summary = `${statement.verb} ${statement.tables.join(' ')}`
  statement.fingerprint = short(join(out))
  statement.commented = scanner.commented
  return statement
}

/** What a WITH leads to. */
const LEADS: ReadonlySet<string> = new Set([
  'SELECT',
  'INSERT',
  'UPDATE',
  'DELETE',
  'MERGE',
  'VALUES',
  'TABLE',
  'REPLACE',
])

/** NULL, TRUE and FALSE among values are values; in `IS NOT NULL` they are not. */
function valueWord(token: string, out: readonly string[]): string {
  if (token !== 'NULL' && token !== 'TRUE' && token !== 'FALSE') return token
  const before = out[out.length - 1]
  return before === 'IS' || before === 'NOT' ? token : '?'
}

/** Lists of values become one value, rows of them one row. */
function push(out: string[], token: string, kind: number): void {
  const last = out.length - 1
  if (token === '?' && out[last] === ',' && out[last - 1] === '?') {
    out.pop()
    return
  }
  if (token === ')' && kind === PUNCTUATION && out[last] === '?' && out[last - 1] === '(' && out[last - 2] === ',') {
    if (out[last - 3] === ')' && out[last - 4] === '?' && out[last - 5] === '(') {
      out.length = last - 2
      return
    }
  }
  out.push(token)
}

function join(tokens: readonly string[]): string {
  let text = ''
  let before = ''
  for (const token of tokens) {
    text += before === '' || !apart(before, token) ? token : ` ${token}`
    before = token
    if (text.length > SCAN_CHARS_MAX) break
  }
  return text
}

function apart(before: string, token: string): boolean {
  switch (token) {
    case ',':
    case ')':
    case '.':
    case ';':
    case ']':
    case '[':
    case '::':
      return false
    case '(':
      return KEYWORDS.has(before) || before === ',' || isSign(before)
  }
  return before !== '(' && before !== '.' && before !== '[' && before !== '::'
}

function isSign(token: string): boolean {
  const code = token.charCodeAt(0)
  return code < 65 && code !== 40 && code !== 34 && code !== 63
}

function short(text: string): string {
  if (text.length <= FINGERPRINT_CHARS_MAX) return text
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return `${text.slice(0, FINGERPRINT_CHARS_MAX - 12)}… #${(hash >>> 0).toString(16).padStart(8, '0')}`
}
