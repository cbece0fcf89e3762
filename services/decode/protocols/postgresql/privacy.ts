/** What of a PostgreSQL flow may stay in clear when only metadata is kept: shapes, names and counts, no value. */
import type { Privacy } from '../../../core/protocol.js'
import { maskStatement } from '../sql/mask.js'

export const POSTGRESQL_PRIVACY: Privacy = {
  maskResource: (resource) => maskStatement(resource, 'pgsql'),
  // Not: the text, parameter values, and the message and detail of errors, which quote values.
  attrsKept: new Set([
    'db.system.name',
    'db.namespace',
    'db.operation.name',
    'db.operation.batch.size',
    'db.collection.name',
    'db.query.summary',
    'db.response.returned_rows',
    'db.response.status_code',
    'postgresql.affected_rows',
    'postgresql.auth',
    'postgresql.command_tag',
    'postgresql.copy.direction',
    'postgresql.copy.messages',
    'postgresql.encryption',
    'postgresql.error.column',
    'postgresql.error.constraint',
    'postgresql.error.schema',
    'postgresql.error.severity',
    'postgresql.error.table',
    'postgresql.notices',
    'postgresql.parameter_types',
    'postgresql.portal',
    'postgresql.replication',
    'postgresql.server_version',
  ]),
}
