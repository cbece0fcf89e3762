/** After an error in the extended protocol the server passes over what the client sent until its next Sync. */
import { answer, describeStatement } from './describe.js'
import * as ops from './op.js'
import { Op } from './op.js'
import type { Operations } from './operations.js'
import { WAIT } from './place.js'
import { type Portal, Statement } from './prepared.js'
import { AsIf, leadsToExecute } from './skipped.js'

export class Failure {
  readonly #operations: Operations
  /** The operation that failed: what follows until its Sync is passed over. */
  op: Op | null = null

  constructor(operations: Operations) {
    this.#operations = operations
  }

  /** ReadyForQuery: what stands between `failing` and the Sync was not done. WAIT for the Sync; false if it was lost. */
  passOver(failing: Op): boolean | typeof WAIT {
    const { queue, prepared } = this.#operations
    const all = queue.all()
    const sync = all.findIndex(({ kind }) => kind === ops.SYNC || kind === ops.LOST)
    if (sync < 0) return WAIT
    if (all[sync].kind === ops.LOST) return false
    const done = all.slice(0, sync)
    const asIf = new AsIf(prepared)
    let told = failing.kind === ops.EXECUTE
    for (const op of done) {
      if (op === failing && !leadsToExecute(done)) {
        this.#tellAlone(failing)
        told = true
      } else if (op.kind === ops.EXECUTE || op.kind === ops.QUERY || op.kind === ops.FUNCTION) {
        this.#notDone(op, asIf.portal(op), told)
        told = true
      } else asIf.takes(op)
      queue.shift()
    }
    queue.shift()
    return true
  }

  /** The connection is over before the Sync came. */
  close(): void {
    const { queue } = this.#operations
    if (this.op === null || queue.first !== this.op || leadsToExecute(queue.all())) return
    this.#tellAlone(this.op)
    queue.shift()
  }

  /** There is no Execute to tell of the error. */
  #tellAlone(op: Op): void {
    const operations = this.#operations
    const { prepared, reply, session } = operations
    const exchange = operations.requestBy(op, null)
    const statement =
      op.kind === ops.PARSE ? new Statement(op.text, op.types, op.truncated) : prepared.statement(op.name)
    if (statement !== null) describeStatement(exchange, statement)
    if (exchange.attrs !== null) exchange.attrs['postgresql.message'] = MESSAGES[op.kind] ?? ''
    answer(exchange, reply, session)
    operations.hand(exchange)
  }

  #notDone(op: Op, portal: Portal | null, told: boolean): void {
    const operations = this.#operations
    const { reply, session } = operations
    const exchange = operations.requestBy(op, portal)
    if (!told) answer(exchange, reply, session)
    else {
      exchange.respStartUs = reply.startUs
      exchange.respEndUs = reply.endUs
      exchange.outcome = 'client_error'
      exchange.error = 'pipeline_aborted'
    }
    operations.hand(exchange)
  }

  saved(): SavedFailure {
    return { failing: this.op, failingAt: this.op === null ? -1 : this.#operations.queue.all().indexOf(this.op) }
  }

  /** After the operations. */
  restore({ failing, failingAt }: SavedFailure): void {
    if (failing === null) return
    // A failed Execute is no longer among them.
    this.op = this.#operations.queue.at(failingAt) ?? Object.assign(new Op(failing.kind, failing.startUs), failing)
  }
}

export interface SavedFailure {
  failing: Op | null
  failingAt: number
}

const MESSAGES: Readonly<Record<number, string>> = {
  [ops.PARSE]: 'Parse',
  [ops.BIND]: 'Bind',
  [ops.DESCRIBE]: 'Describe',
  [ops.CLOSE]: 'Close',
}
