/** Makes exchanges: what was asked, from an operation of the client; what was answered, from a reply. */
import { Exchange, type Outcome } from '../../../core/exchange.js'
import { note } from '../pairing/pending.js'
import { readStatement, type SqlStatement } from '../sql/statement.js'
import { EXECUTE, FUNCTION, GSSENC, type Op, QUERY, SSL, STARTUP } from './op.js'
import { outcomeOfError } from './outcome.js'
import type { Portal, Statement } from './prepared.js'
import type { Reply, ReplyError } from './reply.js'
import { Session } from './startup.js'
import { binaryText } from './values.js'

const NOBODY = new Session()

type Attrs = Record<string, string>

/** Methods of what is no statement. */
const METHODS: Readonly<Record<number, string>> = {
  [STARTUP]: 'STARTUP',
  [SSL]: 'SSLREQUEST',
  [GSSENC]: 'GSSENCREQUEST',
  [FUNCTION]: 'FUNCTIONCALL',
}

export function newExchange(session: Session, withAttrs: boolean): Exchange {
  const exchange = new Exchange()
  exchange.protocol = 'postgresql'
  exchange.l7Version = session.version
  exchange.host = session.database
  exchange.userAgent = session.application
  exchange.principal = session.user
  if (!withAttrs) return exchange
  const attrs: Attrs = { 'db.system.name': 'postgresql' }
  if (session.database !== '') attrs['db.namespace'] = session.database
  if (session.replication !== '') attrs['postgresql.replication'] = session.replication
  exchange.attrs = attrs
  return exchange
}

/** The request part. `portal` is what an EXECUTE runs; null where that is not known. */
export function requestOf(op: Op, portal: Portal | null, session: Session, withAttrs: boolean): Exchange {
  // What comes before the login knows nothing of it.
  const exchange = newExchange(op.kind === SSL || op.kind === GSSENC ? NOBODY : session, withAttrs)
  exchange.reqStartUs = op.startUs
  exchange.reqEndUs = op.endUs
  exchange.reqBytes = op.bytes
  if (op.gaps > 0) {
    exchange.gaps = op.gaps
    exchange.complete = false
  }
  if (op.truncated) exchange.truncated = true
  if (op.unknown) {
    exchange.complete = false
    note(exchange, 'postgresql.request_cut')
  }
  if (op.kind === QUERY) describeText(exchange, op.text, readStatement(op.text, 'pgsql'))
  else if (op.kind === EXECUTE) describePortal(exchange, portal)
  else {
    exchange.method = METHODS[op.kind] ?? ''
    exchange.endpoint = exchange.method
  }
  const { attrs } = exchange
  if (attrs !== null && op.copyRows > 0) {
    attrs['postgresql.copy.direction'] = 'in'
    attrs['postgresql.copy.messages'] = String(op.copyRows)
  }
  return exchange
}

function describePortal(exchange: Exchange, portal: Portal | null): void {
  const statement = portal?.statement ?? null
  if (statement === null) {
    // Not the text of another one: it is said that it is not known.
    exchange.complete = false
    note(exchange, 'postgresql.statement_unknown')
  } else describeStatement(exchange, statement)
  if (portal !== null && exchange.attrs !== null) describeValues(exchange.attrs, portal, statement?.types ?? '')
}

/** A failed Parse or Describe that nothing was to execute. */
export function describeStatement(exchange: Exchange, statement: Statement): void {
  describeText(exchange, statement.text, statement.sql)
  if (statement.truncated) exchange.truncated = true
  if (statement.beforeLoss) note(exchange, 'postgresql.statement_before_loss')
  if (exchange.attrs !== null && statement.types !== '') {
    exchange.attrs['postgresql.parameter_types'] = statement.typeNames
  }
}

function describeText(exchange: Exchange, text: string, statement: SqlStatement): void {
  if (text === '') return
  exchange.method = statement.verb
  exchange.resource = text
  exchange.endpoint = statement.fingerprint
  if (statement.commented) readTraceparent(exchange, text)
  const { attrs } = exchange
  if (attrs === null) return
  if (statement.verb !== '') attrs['db.operation.name'] = statement.verb
  if (statement.tables.length === 1) attrs['db.collection.name'] = statement.tables[0]
  if (statement.summary !== '') attrs['db.query.summary'] = statement.summary
  if (statement.count > 1) attrs['db.operation.batch.size'] = String(statement.count)
  attrs['db.query.text'] = text
}

const TRACEPARENT = /traceparent\s*=\s*'[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}'/

/** What tracing libraries append: a comment with the fields of W3C Trace Context (sqlcommenter). */
function readTraceparent(exchange: Exchange, text: string): void {
  const match = TRACEPARENT.exec(text)
  if (match === null) return
  exchange.traceId = match[1]
  exchange.spanId = match[2]
}

const NO_OIDS: readonly string[] = []
const PARAMETER_NAMES = Array.from({ length: 64 }, (_, i) => `db.query.parameter.${i}`)

/** Keys count from 0, as the conventions say of parameters without a name: `$1` is 0. */
function describeValues(attrs: Attrs, portal: Portal, types: string): void {
  const { values, formats } = portal
  if (values.length === 0) return
  const oids = types === '' || !formats.includes('1') ? NO_OIDS : types.split(',')
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    const binary = formats.length === 1 ? formats === '1' : formats[i] === '1'
    attrs[PARAMETER_NAMES[i] ?? `db.query.parameter.${i}`] =
      value === null ? 'NULL' : binary ? binaryText(value, oids[i] ?? '') : value
  }
}

/** The answer part. */
export function answer(exchange: Exchange, reply: Reply, session: Session): void {
  exchange.respStartUs = reply.startUs
  exchange.respEndUs = reply.endUs
  exchange.respBytes = reply.bytes
  const { error } = reply
  if (error !== null) describeError(exchange, error)
  else if (reply.ended) exchange.outcome = 'ok'
  if (exchange.attrs !== null) describeReply(exchange, exchange.attrs, reply, session)
  describeLoss(exchange, reply)
}

function describeReply(exchange: Exchange, attrs: Attrs, reply: Reply, session: Session): void {
  if (reply.completed > 0 || reply.suspended) {
    const rows = reply.gaps > 0 ? Math.max(reply.rows, reply.tagRows) : reply.rows
    attrs['db.response.returned_rows'] = String(rows)
    if (reply.tags !== '') attrs['postgresql.command_tag'] = reply.tags
    if (reply.affected >= 0) attrs['postgresql.affected_rows'] = String(reply.affected)
  }
  if (reply.suspended) attrs['postgresql.portal'] = 'suspended'
  if (reply.copyRows >= 0) {
    attrs['postgresql.copy.direction'] = attrs['postgresql.copy.direction'] === 'in' ? 'both' : 'out'
    attrs['postgresql.copy.messages'] = String(reply.copyRows)
  }
  if (reply.notices > 0) attrs['postgresql.notices'] = String(reply.notices)
  if (reply.auth !== '') attrs['postgresql.auth'] = reply.auth
  if (exchange.method === 'STARTUP' && session.serverVersion !== '') {
    attrs['postgresql.server_version'] = session.serverVersion
  }
}

function describeError(exchange: Exchange, reply: ReplyError): void {
  exchange.error = reply.sqlstate
  exchange.outcome = outcomeOfError(reply.sqlstate, reply.message)
  const { attrs } = exchange
  if (attrs === null) return
  if (reply.sqlstate !== '') attrs['db.response.status_code'] = reply.sqlstate
  const fields: readonly (readonly [string, string])[] = [
    ['severity', reply.severity],
    ['message', reply.message],
    ['detail', reply.detail],
    ['schema', reply.schema],
    ['table', reply.table],
    ['column', reply.column],
    ['constraint', reply.constraint],
  ]
  for (const [name, value] of fields) if (value !== '') attrs[`postgresql.error.${name}`] = value
}

function describeLoss(exchange: Exchange, reply: Reply): void {
  if (reply.gaps > 0) exchange.gaps += reply.gaps
  if (reply.gaps > 0 || reply.cut || reply.dataOpen) exchange.complete = false
  if (reply.inferred) note(exchange, 'postgresql.paired_after_loss')
}

/** Asked and not answered. */
export function unanswered(exchange: Exchange, outcome: Outcome, anomaly: string): void {
  exchange.complete = false
  exchange.outcome = outcome
  if (anomaly !== '') note(exchange, anomaly)
}

/** Answered, and nobody saw what was asked. The verb is what the server said it did. */
export function aloneOf(reply: Reply, session: Session, withAttrs: boolean): Exchange {
  const exchange = newExchange(session, withAttrs)
  answer(exchange, reply, session)
  const verb = /^[A-Z_]+/.exec(reply.tags)
  exchange.method = verb === null ? '' : verb[0]
  exchange.complete = false
  note(exchange, 'postgresql.response_without_request')
  return exchange
}
