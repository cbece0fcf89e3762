/** Which tables a statement names: what stands behind FROM, JOIN, INTO, UPDATE, TABLE, and behind commas of a FROM list. */
import { PUNCTUATION, QUOTED, WORD } from './scanner.js'

const TABLES_MAX = 8
const NAME_CHARS_MAX = 128
const NONE: readonly string[] = Object.freeze([])

/** Words between the one that announces a table and its name. */
const BETWEEN: ReadonlySet<string> = new Set([
  'ONLY',
  'IF',
  'NOT',
  'EXISTS',
  'LATERAL',
  'TABLE',
  'IGNORE',
  'CONCURRENTLY',
])
/** They end a list of tables at their depth. */
const ENDS: ReadonlySet<string> = new Set([
  'WHERE',
  'GROUP',
  'ORDER',
  'HAVING',
  'LIMIT',
  'UNION',
  'SET',
  'RETURNING',
  'VALUES',
])
const NO_TABLES: ReadonlySet<string> = new Set(['STDIN', 'STDOUT', 'SELECT', 'VALUES', 'UNNEST', 'DUAL'])
const DEPTH_MAX = 64

export class TableFinder {
  readonly #names: string[] = []
  readonly #defined: string[] = []
  #depth = 0
  /** Per depth: a SELECT or the like was seen, so that FROM announces tables and is no part of `extract(year FROM t)`. */
  readonly #selects: boolean[] = [true]
  /** Per depth: inside a list of tables, where a comma announces the next. */
  readonly #listing: boolean[] = [false]
  #expects = false
  /** It was FROM or JOIN: a call may stand there. */
  #mayCall = false
  /** The name so far, and whether a dot came last. */
  #name = ''
  #dotted = false
  #word = ''
  /** The last plain name, for `name AS (`. */
  #label = ''

  reset(): void {
    this.#names.length = 0
    this.#defined.length = 0
    this.#depth = 0
    this.#selects[0] = true
    this.#listing[0] = false
    this.#expects = false
    this.#name = ''
    this.#dotted = false
    this.#word = ''
    this.#label = ''
  }

  token(kind: number, token: string, text: string, from: number, to: number): void {
    if (this.#name !== '' && this.#goesOn(kind, token)) return
    if (kind === PUNCTUATION) this.#punctuation(token)
    else if (kind === WORD || kind === QUOTED) this.#named(kind, token, text.slice(from, to))
    else this.#expects = false
  }

  /** `a.b`: true while the name under way takes the token. */
  #goesOn(kind: number, token: string): boolean {
    if (token === '.' && kind === PUNCTUATION) {
      this.#dotted = true
      return true
    }
    if (this.#dotted && (kind === WORD || kind === QUOTED)) {
      this.#name += `.${token}`
      this.#dotted = false
      return true
    }
    this.#keep(kind === PUNCTUATION && token === '(' && this.#mayCall)
    return false
  }

  #keep(call: boolean): void {
    const name = this.#name
    this.#name = ''
    this.#dotted = false
    if (call || name.length > NAME_CHARS_MAX || this.#names.includes(name) || this.#defined.includes(name)) return
    if (this.#names.length < TABLES_MAX) this.#names.push(name)
  }

  #punctuation(token: string): void {
    if (token === '(') {
      if (this.#word === 'AS' && this.#label !== '' && this.#defined.length < TABLES_MAX)
        this.#defined.push(this.#label)
      if (this.#depth < DEPTH_MAX) this.#depth += 1
      this.#selects[this.#depth] = false
      this.#listing[this.#depth] = false
    } else if (token === ')') {
      if (this.#depth > 0) this.#depth -= 1
    } else if (token === ';') {
      this.#depth = 0
      this.#listing[0] = false
    }
    this.#expects = token === ',' && this.#listing[this.#depth]
    this.#mayCall = true
    this.#word = token
  }

  #named(kind: number, token: string, written: string): void {
    const before = this.#word
    if (kind === WORD) this.#word = token
    if (this.#expects && kind === WORD && BETWEEN.has(token)) return
    if (this.#expects) {
      this.#expects = false
      if (kind === QUOTED || !NO_TABLES.has(token.toUpperCase())) {
        this.#name = written
        return
      }
    }
    if (kind === QUOTED) this.#label = written
    else this.#keyword(token, before, written)
  }

  #keyword(token: string, before: string, written: string): void {
    switch (token) {
      case 'SELECT':
      case 'DELETE':
        this.#selects[this.#depth] = true
        return
      case 'FROM':
        if (before === 'DISTINCT' || !this.#selects[this.#depth]) return
        this.#listing[this.#depth] = true
        this.#expects = true
        this.#mayCall = true
        return
      case 'JOIN':
      case 'USING':
        this.#expects = token === 'JOIN'
        this.#mayCall = true
        return
      case 'UPDATE':
        // `FOR UPDATE`, `ON CONFLICT DO UPDATE`, `ON DUPLICATE KEY UPDATE` name no table.
        if (before === 'FOR' || before === 'DO' || before === 'KEY') return
        this.#expects = true
        this.#mayCall = false
        return
      case 'INTO':
      case 'TABLE':
      case 'COPY':
      case 'TRUNCATE':
        this.#expects = true
        this.#mayCall = false
        return
      case 'AS':
        return
    }
    if (ENDS.has(token)) this.#listing[this.#depth] = false
    this.#label = written
  }

  found(): readonly string[] {
    if (this.#name !== '') this.#keep(false)
    return this.#names.length === 0 ? NONE : this.#names.slice()
  }
}
