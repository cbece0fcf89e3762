/** Prepared statements and portals as the server has them: changed when it says so, in its order. */
import type { StateReader, StateWriter } from '../../../core/state.js'
import { readStatement, type SqlStatement } from '../sql/statement.js'
import { NO_VALUES, type Op } from './op.js'
import { typeNames } from './values.js'

export class Statement {
  readonly text: string
  /** Type OIDs of its parameters, with commas between; `''` = not known. */
  types = ''
  typeNames = ''
  readonly truncated: boolean
  /** Requests were lost since it was prepared: another may have taken its name. */
  beforeLoss = false

  #sql: SqlStatement | null = null

  constructor(text: string, types: string, truncated: boolean) {
    this.text = text
    this.truncated = truncated
    this.setTypes(types)
  }

  get sql(): SqlStatement {
    return (this.#sql ??= readStatement(this.text, 'pgsql'))
  }

  setTypes(types: string): void {
    this.types = types
    this.typeNames = types === '' ? '' : typeNames(types)
  }
}

export class Portal {
  /** null: prepared before the capture began, or its Parse was lost. */
  readonly statement: Statement | null
  readonly values: (string | null)[]
  readonly formats: string
  readonly unknown: boolean

  constructor(statement: Statement | null, bind: Op | null) {
    this.statement = statement
    this.values = bind?.values ?? NO_VALUES
    this.formats = bind?.formats ?? ''
    this.unknown = bind?.unknown ?? true
  }
}

/** Drivers keep some hundred statements per connection (pgx 512, JDBC 256); the longest unused one goes. */
const STATEMENTS_MAX = 512
/** Of all their texts: with the portals and what is pending below the 256 KiB of a connection. */
const STATEMENT_CHARS_MAX = 128 * 1024
/** Open portals: cursors of a transaction, usually one. */
const PORTALS_MAX = 16

/** Numbers that count up in JDBC, psycopg, asyncpg and sqlx, and hashes of the text in pgx. */
const GIVEN_ONCE = /^(?:S_\d+|_pg3_\d+|__asyncpg_stmt_[0-9a-f]+__|sqlx_s_\d+|stmtcache_[0-9a-f]{16,})$/

export class Prepared {
  /** In order of last use, once there are so many that the order matters. */
  #statements = new Map<string, Statement>()
  #chars = 0
  readonly #portals = new Map<string, Portal>()

  statement(name: string): Statement | null {
    const statement = this.#statements.get(name)
    if (statement === undefined) return null
    if (this.#statements.size * 2 > STATEMENTS_MAX || this.#chars * 2 > STATEMENT_CHARS_MAX) {
      this.#statements.delete(name)
      this.#statements.set(name, statement)
    }
    return statement
  }

  /** ParseComplete. */
  define(parse: Op): void {
    this.close(parse.name)
    if (parse.unknown) return
    this.#statements.set(parse.name, new Statement(parse.text, parse.types, parse.truncated))
    this.#chars += parse.text.length
    for (const oldest of this.#statements.keys()) {
      if (this.#statements.size <= STATEMENTS_MAX && this.#chars <= STATEMENT_CHARS_MAX) return
      this.close(oldest)
    }
  }

  /** The answer to a Parse was lost: a name that was taken means something else now, or does not. */
  defineUnsure(parse: Op): void {
    if (parse.name === '' || !this.#statements.has(parse.name)) this.define(parse)
    else if (this.#statements.get(parse.name)?.text !== parse.text) this.close(parse.name)
  }

  close(name: string): void {
    const statement = this.#statements.get(name)
    if (statement === undefined) return
    this.#chars -= statement.text.length
    this.#statements.delete(name)
  }

  closeAll(): void {
    this.#statements.clear()
    this.#chars = 0
  }

  /** BindComplete. */
  bind(bind: Op): void {
    if (bind.portal !== '') this.#portals.delete(bind.portal)
    if (this.#portals.size >= PORTALS_MAX) {
      for (const oldest of this.#portals.keys()) {
        this.#portals.delete(oldest)
        break
      }
    }
    this.#portals.set(bind.portal, new Portal(bind.unknown ? null : this.statement(bind.name), bind))
  }

  portal(name: string): Portal | null {
    return this.#portals.get(name) ?? null
  }

  /** CloseComplete. */
  closes(close: Op): void {
    if (close.portal === 'P') this.#portals.delete(close.name)
    else this.close(close.name)
  }

  /** Requests were lost, and with them perhaps a Close and a Parse of the same name. Some names are given once only. */
  requestsLost(): void {
    this.#portals.clear()
    for (const [name, statement] of this.#statements) {
      if (GIVEN_ONCE.test(name)) statement.beforeLoss = true
      else this.close(name)
    }
  }

  save(out: StateWriter): void {
    const statements = [...this.#statements]
    const all = statements.map(([, statement]) => statement)
    const portals = [...this.#portals].map(([name, portal]) => {
      let at = portal.statement === null ? -1 : all.indexOf(portal.statement)
      // Replaced or closed since it was bound.
      if (portal.statement !== null && at < 0) at = all.push(portal.statement) - 1
      return [name, at, portal.values, portal.formats, portal.unknown]
    })
    out.string(JSON.stringify([statements.map(([name]) => name), all, portals]))
  }

  restore(state: StateReader): void {
    type Saved = [string[], Statement[], [string, number, (string | null)[], string, boolean][]]
    const [names, statements, portals] = JSON.parse(state.string()) as Saved
    const all = statements.map((each) => Object.assign(new Statement('', '', false), each))
    for (const [i, name] of names.entries()) {
      this.#statements.set(name, all[i])
      this.#chars += all[i].text.length
    }
    for (const [name, at, values, formats, unknown] of portals) {
      this.#portals.set(name, Object.assign(new Portal(all[at] ?? null, null), { values, formats, unknown }))
    }
  }
}
