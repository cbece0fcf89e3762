/** The schema: numbered files with one statement each, forward only. DDL is not transactional, so a file ran or did not. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KlartextError } from '../../core/errors.js'
import { REPO_ROOT } from '../../core/repo_root.js'

export interface Migration {
  readonly number: number
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

/** The two calls that migrating needs of a ClickHouse, wherever it runs. */
export interface MigrationTarget {
  command(sql: string): Promise<void>
  /** Rows of a SELECT as JSON objects. */
  rows(sql: string): Promise<Record<string, unknown>[]>
}

export function readMigrations(folder: string = join(REPO_ROOT, 'schemas/clickhouse')): Migration[] {
  return readdirSync(folder)
    .filter((name) => /^\d{4}_.*\.sql$/.test(name))
    .sort()
    .map((name) => {
      const sql = readFileSync(join(folder, name), 'utf8')
      return { number: Number(name.slice(0, 4)), name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
    })
}

/** Runs what has not run yet and answers the names; refuses a file that was changed after it ran. */
export async function migrate(
  target: MigrationTarget,
  migrations: readonly Migration[] = readMigrations(),
): Promise<string[]> {
  const ledgerExists =
    "SELECT count() AS n FROM system.tables WHERE database = 'klartext' AND name = 'schema_migrations'"
  const [{ n }] = await target.rows(ledgerExists)
  const done = new Map<number, string>()
  if (Number(n) > 0) {
    for (const row of await target.rows('SELECT number, checksum FROM klartext.schema_migrations')) {
      done.set(Number(row.number), String(row.checksum))
    }
  }
  const applied: Migration[] = []
  for (const migration of migrations) {
    const checksum = done.get(migration.number)
    if (checksum === migration.checksum) continue
    if (checksum !== undefined) {
      throw new KlartextError('SCHEMA_CHANGED', `schema file ${migration.name} was changed after it ran on this store`)
    }
    await target.command(migration.sql)
    applied.push(migration)
  }
  // Only now is the ledger sure to exist: it is one of the files. They are safe to run twice, should this be cut short.
  for (const { number, name, checksum } of applied) {
    await target.command(
      `INSERT INTO klartext.schema_migrations (number, name, checksum) SETTINGS insert_deduplication_token = '${number}-${checksum}' VALUES (${number}, '${name}', '${checksum}')`,
    )
  }
  return applied.map((migration) => migration.name)
}
