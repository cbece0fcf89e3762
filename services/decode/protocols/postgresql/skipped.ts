/** What the server passes over after an error, until the client's next Sync. */
import { BIND, CLOSE, EXECUTE, type Op, PARSE } from './op.js'
import { Portal, type Prepared, Statement } from './prepared.js'

/** The first of these failed. Is it on the way to an Execute? Then the error is that one's. */
export function leadsToExecute(failed: readonly Op[]): boolean {
  const [failing] = failed
  if (failing.kind === CLOSE) return false
  const portals = new Set<string>()
  if (failing.kind === BIND) portals.add(failing.portal)
  for (const op of failed) {
    if (op.kind === BIND && failing.kind !== BIND && op.name === failing.name) portals.add(op.portal)
    if (op.kind === EXECUTE) return portals.has(op.name)
  }
  return false
}

/** Statements and portals as they would be had nothing failed: for the texts of what was passed over. */
export class AsIf {
  readonly #prepared: Prepared
  readonly #statements = new Map<string, Statement>()
  readonly #portals = new Map<string, Portal>()

  constructor(prepared: Prepared) {
    this.#prepared = prepared
  }

  takes(op: Op): void {
    if (op.kind === PARSE) this.#statements.set(op.name, new Statement(op.text, op.types, op.truncated))
    else if (op.kind === BIND) {
      const statement = this.#statements.get(op.name) ?? this.#prepared.statement(op.name)
      this.#portals.set(op.portal, new Portal(op.unknown ? null : statement, op))
    }
  }

  portal(op: Op): Portal | null {
    return op.kind === EXECUTE ? (this.#portals.get(op.name) ?? this.#prepared.portal(op.name)) : null
  }
}
