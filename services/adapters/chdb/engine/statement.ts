/**
 * A statement in the engine's own spelling. The engine parses it and writes it back (`formatQuerySingleLine`): one statement
 * only, no comments, quotes closed. Every decision is taken from that text and that text is what runs, so there is no
 * second parser to get past.
 */
import { KlartextError } from '../../../core/errors.js'

export interface Statement {
  /** Without its FORMAT clause. */
  readonly text: string
  readonly kind: 'read' | 'insert' | 'other'
  /** What the FORMAT clause named; null where there is none. */
  readonly format: string | null
}

/** Of `formatQuerySingleLine`: the text with all quoted parts blanked, same length, so that words can be found safely. */
function blankQuoted(text: string): string {
  return text.replace(/'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`/gs, (quoted) => quoted[0].padEnd(quoted.length, ' '))
}

const READS = /^\(*(SELECT|WITH|SHOW|DESCRIBE|EXISTS|EXPLAIN)\b/

export function describeStatement(canonical: string): Statement {
  const words = blankQuoted(canonical)
  const clause = / FORMAT ([A-Za-z0-9_]+)(?= SETTINGS |$)/g
  let found: RegExpExecArray | null = null
  for (let match = clause.exec(words); match !== null; match = clause.exec(words)) found = match
  const kind = READS.test(words) ? 'read' : words.startsWith('INSERT INTO') ? 'insert' : 'other'
  if (found === null) return { text: canonical, kind, format: null }
  const text = canonical.slice(0, found.index) + canonical.slice(found.index + found[0].length)
  return { text, kind, format: found[1] }
}

/**
 * Functions that reach out of the store: files, other servers, programs, models. A read-only session of the engine already
 * refuses all table functions of this kind; the ordinary functions `file` and `hasColumnInTable` it does not.
 */
const OUTSIDE = new Set(
  `file fileCluster url urlCluster s3 s3Cluster gcs hdfs hdfsCluster azureBlobStorage azureBlobStorageCluster oss cosn
  iceberg icebergS3 icebergAzure icebergHDFS icebergLocal hudi deltaLake deltaLakeAzure deltaLakeLocal paimon
  remote remoteSecure cluster clusterAllReplicas mysql postgresql mongodb redis sqlite odbc jdbc executable python
  filesystem hive ytsaurus arrowFlight catboostEvaluate hasColumnInTable reverseDNSQuery naiveBayesClassifier`
    .toLowerCase()
    .split(/\s+/),
)

/** Throws ClickHouse's READONLY or ACCESS_DENIED for what a stranger may not run. */
export function assertOnlyReads(statement: Statement): void {
  const words = blankQuoted(statement.text)
  if (statement.kind !== 'read' || / INTO OUTFILE /.test(words)) {
    throw engineError(164, 'Cannot execute query in readonly mode', 'READONLY')
  }
  assertStaysInside(statement)
}

/** Throws ACCESS_DENIED where a function of the statement reaches out of the store. */
export function assertStaysInside(statement: Statement): void {
  const words = blankQuoted(statement.text)
  const names = [...words.matchAll(/([A-Za-z_][A-Za-z0-9_]*)\(/g)].map((match) => match[1])
  for (const match of statement.text.matchAll(/`((?:[^`\\]|\\.)*)`\(/g)) names.push(match[1])
  for (const name of names) {
    if (OUTSIDE.has(name.toLowerCase()) || /^ai[A-Z]/.test(name)) {
      throw engineError(
        497,
        `the function ${name} reaches out of the store, which is not allowed here`,
        'ACCESS_DENIED',
      )
    }
  }
  if (/ (FROM INFILE|INTO OUTFILE) /.test(words)) {
    throw engineError(497, 'files are not allowed here', 'ACCESS_DENIED')
  }
}

/** Formats that take parts of themselves from files which settings name. */
const FILE_FORMATS = /^(Template|TemplateIgnoreSpaces|Protobuf\w*|CapnProto|Avro\w*Confluent)$/i

export function assertFormat(format: string): void {
  if (!/^[A-Za-z0-9_]+$/.test(format))
    throw engineError(73, `Unknown format ${JSON.stringify(format)}`, 'UNKNOWN_FORMAT')
  if (FILE_FORMATS.test(format)) {
    throw engineError(497, `the format ${format} needs files, which is not allowed here`, 'ACCESS_DENIED')
  }
}

/** An error as the engine spells its own. */
export function engineError(code: number, text: string, name: string): KlartextError {
  return new KlartextError(`CLICKHOUSE_${code}`, `Code: ${code}. DB::Exception: ${text}. (${name})`)
}

/** ClickHouse's string literal. */
export function literal(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&').replaceAll('\0', '\\0')}'`
}

/**
 * Where the data of an INSERT begins: after VALUES, or after FORMAT and its name. `text` may hold any bytes (latin1) after
 * that. Answers null for INSERT ... SELECT and for anything else.
 */
export function splitInsert(text: string): { head: string; format: string; dataAt: number } | null {
  const token = /\s+|--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|\w+|[\s\S]/gy
  let depth = 0
  let first = true
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const word = match[0]
    if (/^(\s|--|\/\*)/.test(word)) continue
    if (first && !/^insert$/i.test(word)) return null
    first = false
    if (word === '(') depth += 1
    else if (word === ')') depth -= 1
    if (depth !== 0) continue
    if (/^(select|with)$/i.test(word)) return null
    if (/^values$/i.test(word)) return { head: text.slice(0, match.index), format: 'Values', dataAt: token.lastIndex }
    if (/^format$/i.test(word)) {
      const name = /\s+(\w+)(?:[ \t]*\r?\n|[ \t]|;|$)/y
      name.lastIndex = token.lastIndex
      const named = name.exec(text)
      // `FORMAT Values (1)`: the name ends at the bracket.
      if (named !== null) return { head: text.slice(0, match.index), format: named[1], dataAt: name.lastIndex }
      return null
    }
  }
  return null
}
