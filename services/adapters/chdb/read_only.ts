/**
 * Which statements strangers may run. The engine itself parses them (EXPLAIN AST), so that no spelling gets past: only
 * statements that read, and no function that reaches outside the store (files, URLs, other servers, programs).
 */
import { KlartextError } from '../../core/errors.js'
import type { ChdbStore } from './store.js'

const READING =
  /^"?(SelectWithUnionQuery|SelectIntersectExceptQuery|ShowTables|ShowColumns|ShowIndexes|ShowFunctions|ShowSettings|ShowCreateTableQuery|ShowCreateDatabaseQuery|ShowProcesslistQuery|DescribeQuery|ExistsTableQuery|ExistsDatabaseQuery|Explain)/

const OUTSIDE =
  /^\W*Function (file|fileCluster|url|urlCluster|s3\w*|gcs|hdfs\w*|azureBlobStorage\w*|oss|cosn|iceberg\w*|hudi\w*|deltaLake\w*|paimon\w*|remote|remoteSecure|cluster|clusterAllReplicas|mysql|postgresql|mongodb|redis|sqlite|odbc|jdbc|executable|input|python|dictionary|loop|arrowFlight|ytsaurus|catboostEvaluate)\b/im

/** Answers the statement without its FORMAT clause, and the format it named. Throws what the engine says of the rest. */
export async function checkReading(
  store: ChdbStore,
  sql: string,
  parameters: Readonly<Record<string, string>>,
): Promise<{ statement: string; format: string | null }> {
  const clause = /\sFORMAT\s+([A-Za-z0-9_]+)\s*;?\s*$/i.exec(sql)
  const statement = (clause === null ? sql : sql.slice(0, clause.index)).replace(/;\s*$/, '')
  const tree = (await store.query(`EXPLAIN AST ${statement}`, 'TabSeparatedRaw', parameters)).toString('utf8')
  const outfile = /\bINTO\s+OUTFILE\b/i.test(statement)
  if (!READING.test(tree) || outfile) {
    throw new KlartextError('CLICKHOUSE_164', 'Code: 164. DB::Exception: this endpoint is read-only. (READONLY)')
  }
  const outside = OUTSIDE.exec(tree)
  if (outside !== null) {
    throw new KlartextError(
      'CLICKHOUSE_497',
      `Code: 497. DB::Exception: ${outside[1]} reaches outside the store and is not allowed here. (ACCESS_DENIED)`,
    )
  }
  return { statement, format: clause === null ? null : clause[1] }
}
