/** Verbs, tables and fingerprints of SQL texts, and that no value is left in a masked one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maskStatement } from './mask.js'
import type { Dialect } from './scanner.js'
import { readStatement } from './statement.js'

const CASES: readonly (readonly [string, string, string, string])[] = [
  ['select * from users where id=5', 'SELECT', 'SELECT * FROM users WHERE id = ?', 'users'],
  ["SELECT a FROM t WHERE b IN (1, 2, 3) AND c = 'x'", 'SELECT', 'SELECT a FROM t WHERE b IN (?) AND c = ?', 't'],
  ["INSERT INTO s.t(a,b) VALUES (1,'a'),(2,'b''c'), (3, NULL)", 'INSERT', 'INSERT INTO s.t(a, b) VALUES (?)', 's.t'],
  ['UPDATE "My T" SET a=$1 WHERE b IS NOT NULL', 'UPDATE', 'UPDATE "My T" SET a = ? WHERE b IS NOT NULL', '"My T"'],
  ['DELETE FROM ONLY t USING u', 'DELETE', 'DELETE FROM ONLY t USING u', 't'],
  [
    'WITH x AS (SELECT 1) DELETE FROM t WHERE a IN (SELECT * FROM x)',
    'DELETE',
    'WITH x AS (SELECT ?) DELETE FROM t WHERE a IN (SELECT * FROM x)',
    't',
  ],
  ['select count(*) from a, b x, c where a.i=b.i', 'SELECT', 'SELECT count(*) FROM a, b x, c WHERE a.i = b.i', 'a b c'],
  [
    'SELECT extract(year FROM ts) FROM ev LEFT JOIN o.d ON true',
    'SELECT',
    'SELECT extract(year FROM ts) FROM ev LEFT JOIN o.d ON ?',
    'ev o.d',
  ],
  ['SELECT * FROM generate_series(1, 10) g', 'SELECT', 'SELECT * FROM generate_series(?) g', ''],
  ['/* c */ SELECT 1 -- end', 'SELECT', 'SELECT ?', ''],
  ['COPY t (a) FROM STDIN', 'COPY', 'COPY t(a) FROM STDIN', 't'],
  ['CREATE TABLE IF NOT EXISTS t (i int)', 'CREATE', 'CREATE TABLE IF NOT EXISTS t(i int)', 't'],
  ['begin; insert into t values (1); commit', 'BEGIN', 'BEGIN; INSERT INTO t VALUES (?); COMMIT', 't'],
  ['SELECT x::int, $$a$$ || $q$b$q$ FROM t FOR UPDATE', 'SELECT', 'SELECT x::int, ? || ? FROM t FOR UPDATE', 't'],
  ["SELECT E'a\\'b', U&'c', B'01', 1.5e-3, 0xFF", 'SELECT', 'SELECT ?', ''],
  ["SELECT d->>'a', e @> '{}' FROM j", 'SELECT', 'SELECT d ->> ?, e @> ? FROM j', 'j'],
  ['(SELECT 1) UNION (SELECT 2)', 'SELECT', '(SELECT ?) UNION (SELECT ?)', ''],
  ['', '', '', ''],
  [' ; ', '', '', ''],
]

test('verb, fingerprint, tables', () => {
  for (const [text, verb, fingerprint, tables] of CASES) {
    const statement = readStatement(text, 'pgsql')
    assert.deepEqual(
      [statement.verb, statement.fingerprint, statement.tables.join(' ')],
      [verb, fingerprint, tables],
      text,
    )
  }
})

test('statements are counted', () => {
  for (const [text, count] of [
    ['SELECT 1', 1],
    ['SELECT 1;', 1],
    ["SELECT ';'; SELECT 2;;", 2],
    ['', 0],
  ] as const)
    assert.equal(readStatement(text, 'pgsql').count, count, text)
})

test('MySQL: other quotes, comments and escapes', () => {
  const statement = readStatement('SELECT `a`.`b` FROM `my db`.t WHERE c = "x\\"y" # z', 'mysql')
  assert.equal(statement.fingerprint, 'SELECT `a`.`b` FROM `my db`.t WHERE c = ?')
  assert.deepEqual(statement.tables, ['`my db`.t'])
  assert.equal(maskStatement("SELECT 'a\\'secret' # secret\n, 1", 'mysql').includes('secret'), false)
})

test('a masked text keeps its shape and no value', () => {
  assert.equal(
    maskStatement("SELECT  a\nFROM t WHERE b = 'secret' AND c > 42 AND d = $1", 'pgsql'),
    'SELECT  a\nFROM t WHERE b = ? AND c > ? AND d = $1',
  )
  for (const text of [
    "SELECT 'secret",
    'SELECT $x$ secret',
    'SELECT 1 /* secret',
    'SELECT 1 -- secret',
    "SELECT E'\\'secret'",
    "SELECT 'it''s secret'",
    "SELECT U&'secret' || N'secret' || X'secret'",
    'SELECT $$secret$$',
  ])
    assert.doesNotMatch(maskStatement(text, 'pgsql'), /secret/, text)
})

test('a long statement has a bounded fingerprint that tells it from others', () => {
  const long = (column: string) =>
    `SELECT ${Array.from({ length: 200 }, (_, i) => `column_${i}`).join(', ')}, ${column}`
  const [a, b] = [readStatement(long('a'), 'pgsql').fingerprint, readStatement(long('b'), 'pgsql').fingerprint]
  assert.ok(a.length <= 300)
  assert.notEqual(a, b)
})

test('any text ends, and says nothing of its literals', () => {
  let state = 7
  const random = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  const parts = [
    "'",
    '"',
    '`',
    '$$',
    '$a$',
    '/*',
    '*/',
    '--',
    '\n',
    '(',
    ')',
    ',',
    ';',
    'SELECT',
    'FROM',
    't',
    '.',
    '5',
    ' ',
    '\\',
    ':',
    '?',
    '#',
    'é',
    'AS',
    'WITH',
  ]
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: random(24) }, () => parts[random(parts.length)]).join('')
    for (const dialect of ['pgsql', 'mysql'] satisfies Dialect[]) {
      const statement = readStatement(text, dialect)
      assert.ok(statement.fingerprint.length <= 300)
      assert.equal(
        maskStatement(maskStatement(text, dialect), dialect).length,
        maskStatement(text, dialect).length,
        text,
      )
    }
  }
})

test('texts under one hash, and texts that differ in more than values, keep their own answers', () => {
  const texts = [
    'SELECT Aa FROM t',
    'SELECT BB FROM t',
    'SELECT "a1" FROM t1',
    'SELECT "a2" FROM t2',
    'SELECT 1 FROM t1',
  ]
  for (let round = 0; round < 3; round++) {
    for (const text of texts)
      assert.equal(readStatement(text, 'pgsql').fingerprint, text.replace('SELECT 1', 'SELECT ?'))
  }
  const first = readStatement("SELECT * FROM o WHERE id = 17 AND name = 'x'", 'pgsql')
  assert.equal(readStatement("SELECT * FROM o WHERE id = 4 AND name = 'long er'", 'pgsql'), first)
})
