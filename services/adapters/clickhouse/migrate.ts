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
  /** SHA-256 of the file, hex. */
  readonly checksum: string
}

/** The two calls that migrating needs of a ClickHouse, wherever it runs. */
export interface MigrationTarget {
  command(sql: string): Promise<void>
  /** Rows of a SELECT as JSON objects. */
  rows(sql: string): Promise<Record<string, unknown>[]>
}

/** Throws KlartextError `SCHEMA_NUMBER_TWICE` where two files share a number. */
export function readMigrations(folder: string = join(REPO_ROOT, 'schemas/clickhouse')): Migration[] {
  const migrations = readdirSync(folder)
    .filter((name) => /^\d{4}_\w+\.sql$/.test(name))
    .sort()
    .map((name) => {
      const sql = readFileSync(join(folder, name), 'utf8')
      return { number: Number(name.slice(0, 4)), name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
    })
  for (let i = 1; i < migrations.length; i++) {
    if (migrations[i].number === migrations[i - 1].number) {
      throw new KlartextError(
        'SCHEMA_NUMBER_TWICE',
        `${migrations[i - 1].name} and ${migrations[i].name} share a number`,
      )
    }
  }
  return migrations
}

/** What has not run yet, in order. Throws `SCHEMA_CHANGED` for a file that was changed after it ran there. */
export async function planMigrations(
  target: MigrationTarget,
  migrations: readonly Migration[] = readMigrations(),
): Promise<Migration[]> {
  const done = new Map<number, string>()
  const ledger = "SELECT count() AS n FROM system.tables WHERE database = 'klartext' AND name = 'schema_migrations'"
  const [{ n }] = await target.rows(ledger)
  if (Number(n) > 0) {
    for (const row of await target.rows('SELECT number, checksum FROM klartext.schema_migrations')) {
      done.set(Number(row.number), String(row.checksum))
    }
  }
  return migrations.filter((migration) => {
    const checksum = done.get(migration.number)
    if (checksum === undefined || checksum === migration.checksum) return checksum === undefined
    throw new KlartextError(
      'SCHEMA_CHANGED',
      `${migration.name} was changed after it ran on this store: put it back and write the change as a new file`,
    )
  })
}

/** Runs what has not run yet and answers the names. */
export async function applyMigrations(
  target: MigrationTarget,
  migrations: readonly Migration[] = readMigrations(),
): Promise<string[]> {
  const planned = await planMigrations(target, migrations)
  const unwritten: Migration[] = []
  for (const migration of planned) {
    await target.command(migration.sql)
    unwritten.push(migration)
    // The ledger is a table of the schema itself: what runs before it is written down as soon as it is there. Files are
    // safe to run twice, should this be cut short.
    if (migration.number >= LEDGER_NUMBER) for (const each of unwritten.splice(0)) await writeDown(target, each)
  }
  return planned.map(({ name }) => name)
}

/** `0002_create_schema_migrations.sql` */
const LEDGER_NUMBER = 2

async function writeDown(target: MigrationTarget, { number, name, checksum }: Migration): Promise<void> {
  await target.command(
    `INSERT INTO klartext.schema_migrations (number, name, checksum) SELECT ${number}, '${name}', '${checksum}'`,
  )
}
