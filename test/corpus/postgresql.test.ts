/** PostgreSQL of real captures against what Zeek, Suricata and tshark say of them, and all other captures against it. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { CORPUS, corpusFiles, NO_CORPUS } from './corpus.js'
import { corpusStreams, joinLate, loseOnePiece } from './damage.js'
import { decodeCapture } from './decode_capture.js'

const skip = NO_CORPUS

const flowsOf = async (path: string): Promise<Flow[]> =>
  (await decodeCapture(path)).flows.filter(({ protocol }) => protocol === 'postgresql')

const beside = (fullPath: string, ending: RegExp): string[] =>
  readdirSync(dirname(fullPath))
    .filter((name) => name.startsWith(`${basename(fullPath)}.`) && ending.test(name))
    .map((name) => join(dirname(fullPath), name))

/** Zeek's TSV, its first line of names; `\xNN` stands for a byte. */
function zeekRows(path: string): Record<string, string>[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  const names = lines.find((line) => line.includes('frontend_arg'))?.split('\t') ?? []
  return lines
    .filter((line) => line !== '' && !line.startsWith('#') && !line.includes('frontend_arg'))
    .map((line) => {
      const values = line.split('\t')
      const text = (value: string) =>
        value.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
      return Object.fromEntries(names.map((name, i) => [name, text(values[i] ?? '-')]))
    })
}

/**
 * By definition: a Terminate message asks for nothing and gets no answer, so that it is no flow; the connection's row tells
 * when it ended.
 */
const NO_FLOW = new Set(['terminate'])

function zeekKey(row: Record<string, string>): string {
  const known = (value: string) => (value === '-' ? '' : value)
  const outcome = row.success === 'T' ? 'ok' : 'failed'
  if (row.frontend === 'ssl_request') return `SSLREQUEST ${row.backend_arg}`
  if (row.frontend === 'startup') return `STARTUP ${known(row.database)} ${known(row.application_name)} ${outcome}`
  return `${known(row.database)} ${row.frontend_arg} ${outcome} ${row.rows}`
}

function ourKey(flow: Flow): string {
  const outcome = flow.outcome === 'ok' ? 'ok' : 'failed'
  if (flow.method === 'SSLREQUEST') return `SSLREQUEST ${flow.attrs['postgresql.encryption'] === 'tls' ? 'S' : 'N'}`
  if (flow.method === 'STARTUP') return `STARTUP ${flow.host} ${flow.user_agent} ${outcome}`
  return `${flow.host} ${flow.resource} ${outcome} ${flow.attrs['db.response.returned_rows'] ?? '0'}`
}

test('Zeek: every row of its postgresql.log, and no other', { skip }, async (t) => {
  const counts = { rows: 0, found: 0, extra: 0 }
  for (const { fullPath, path } of corpusFiles('postgresql')) {
    for (const log of beside(fullPath, /postgresql\.(log|cut)$/)) {
      const rows = zeekRows(log).filter(({ frontend }) => !NO_FLOW.has(frontend))
      const ours = (await flowsOf(fullPath)).map(ourKey)
      for (const row of rows) {
        counts.rows += 1
        const at = ours.indexOf(zeekKey(row))
        if (at >= 0) {
          ours.splice(at, 1)
          counts.found += 1
        } else t.diagnostic(`missing ${path}: ${zeekKey(row)}`)
      }
      counts.extra += ours.length
      for (const key of ours) t.diagnostic(`extra ${path}: ${key}`)
    }
  }
  t.diagnostic(`PostgreSQL, Zeek rows: ${JSON.stringify(counts)}`)
  assert.ok(counts.rows > 80)
  assert.equal(counts.found, counts.rows)
  assert.equal(counts.extra, 0)
})

/** The fields of each `match` of a suricata-verify test, as far as they are scalars. */
function suricataMatches(path: string): Record<string, string>[] {
  return readFileSync(path, 'utf8')
    .split(/^- filter:/m)
    .slice(1)
    .map((block) => {
      const fields: Record<string, string> = {}
      for (const line of block.replace(/\n {8,}(?! *[a-z_.[\]0-9]+:)(\S)/g, ' $1').split('\n')) {
        const match = /^ +([a-z][a-z0-9_.[\]]*): (.*)$/.exec(line)
        if (match !== null) fields[match[1]] = match[2].trim().replace(/^(['"])(.*)\1$/, '$2')
      }
      return fields
    })
}

/** Does a flow say what Suricata says of the transaction? Its data_size is the size of the values. */
function agrees(flow: Flow, fields: Record<string, string>): boolean {
  const { attrs } = flow
  const pairs: readonly (readonly [string, string | undefined])[] = [
    ['pgsql.request.simple_query', flow.resource],
    ['pgsql.response.command_completed', attrs['postgresql.command_tag']],
    ['pgsql.response.data_rows', attrs['db.response.returned_rows']],
    ['pgsql.response.data_size', String(flow.resp_bytes)],
    ['pgsql.response.copy_data_out.row_count', attrs['postgresql.copy.messages']],
    ['pgsql.response.copy_data_out.data_size', String(flow.resp_bytes)],
    ['pgsql.response.code', flow.error],
    ['pgsql.response.severity_non_localizable', attrs['postgresql.error.severity']],
    ['pgsql.response.message', attrs['postgresql.error.message']],
    ['src_port', String(flow.client_port)],
    ['dest_port', String(flow.server_port)],
  ]
  return pairs.every(([name, value]) => fields[name] === undefined || fields[name] === value)
}

test('Suricata: queries with rows, sizes, tags and errors', { skip }, async (t) => {
  const counts = { expected: 0, found: 0 }
  for (const { fullPath, path } of corpusFiles('postgresql')) {
    for (const file of beside(fullPath, /test\.yaml$/)) {
      const flows = await flowsOf(fullPath)
      for (const fields of suricataMatches(file)) {
        // Alerts tell the same transaction again, some in the direction of its answer.
        if (fields['pgsql.request.simple_query'] === undefined) continue
        counts.expected += 1
        if (flows.some((flow) => agrees(flow, fields))) counts.found += 1
        else t.diagnostic(`missing ${path}: ${JSON.stringify(fields)}`)
      }
    }
  }
  t.diagnostic(`PostgreSQL, Suricata transactions: ${JSON.stringify(counts)}`)
  assert.ok(counts.expected > 30)
  assert.equal(counts.found, counts.expected)
})

test('tshark: every query and every command tag', { skip }, async (t) => {
  const counts = { queries: 0, queriesFound: 0, tags: 0, tagsFound: 0 }
  for (const { fullPath, path } of corpusFiles('postgresql')) {
    const list = `${fullPath}.tshark.jsonl`
    if (!existsSync(list)) continue
    const flows = await flowsOf(fullPath)
    const queries = flows.map(({ resource }) => resource)
    const tags = flows.flatMap(({ attrs }) => (attrs['postgresql.command_tag'] ?? '').split('; '))
    for (const line of readFileSync(list, 'utf8').split('\n').filter(Boolean)) {
      const frame = JSON.parse(line) as Record<string, string[] | undefined>
      for (const query of frame['pgsql.query'] ?? []) {
        counts.queries += 1
        const at = queries.indexOf(query)
        if (at >= 0) {
          counts.queriesFound += 1
          queries.splice(at, 1)
        } else t.diagnostic(`missing ${path}: ${query}`)
      }
      for (const tag of frame['pgsql.tag'] ?? []) {
        counts.tags += 1
        const at = tags.indexOf(tag)
        if (at >= 0) {
          counts.tagsFound += 1
          tags.splice(at, 1)
        } else t.diagnostic(`missing ${path}: ${tag}`)
      }
    }
  }
  t.diagnostic(`PostgreSQL, tshark: ${JSON.stringify(counts)}`)
  assert.ok(counts.queries > 80)
  assert.equal(counts.queriesFound, counts.queries)
  assert.equal(counts.tagsFound, counts.tags)
})

test('a startup packet that is none is not claimed', { skip }, async () => {
  const file = corpusFiles('postgresql').find(({ path }) => path.endsWith('bad-startup-message-1.pcap'))
  assert.ok(file)
  assert.deepEqual((await decodeCapture(file.fullPath)).flows, [])
})

test('no other capture is called PostgreSQL', { skip }, async (t) => {
  const groups = new Set<string>()
  for (const line of readFileSync(join(CORPUS, 'INDEX.tsv'), 'utf8').split('\n').slice(1)) {
    const group = line.split('\t')[4]
    if (group && group !== 'postgresql') groups.add(group)
  }
  let files = 0
  const claims: string[] = []
  for (const { fullPath, path } of corpusFiles(...groups)) {
    files += 1
    const { connections, broken, decoderFailures } = await decodeCapture(fullPath)
    assert.equal(broken, null, path)
    assert.equal(decoderFailures, 0, path)
    if (connections.some(({ protocol }) => protocol === 'postgresql')) claims.push(path)
  }
  t.diagnostic(`PostgreSQL: ${files} captures of others, ${claims.length} claims`)
  assert.ok(files > 500)
  assert.deepEqual(claims, [])
})

test('one random piece lost', { skip }, async (t) => {
  const streams = await corpusStreams('postgresql', 'postgresql')
  const result = loseOnePiece(streams)
  t.diagnostic(`PostgreSQL, ${result.figures}`)
  assert.ok(result.losses > 200)
  assert.deepEqual(result.faults, { invented: 0, mispaired: 0, overstated: 0 }, result.examples.join('\n'))
  assert.equal(result.changedBefore, 0, result.examples.join('\n'))
  // Kept apart, not lost: of short captures the last exchange, which nothing confirms, and what stands beside a login.
  assert.ok(result.untouchedKept >= result.untouched * 0.98, result.figures)
  assert.ok(result.nextDecoded >= result.next * 0.99, `${result.figures}\n${result.examples.join('\n')}`)
})

test('joined late', { skip }, async (t) => {
  const result = joinLate(await corpusStreams('postgresql', 'postgresql'))
  t.diagnostic(`PostgreSQL, ${result.figures}`)
  assert.ok(result.joins > 1000)
  assert.deepEqual(result.faults, { invented: 0, mispaired: 0, overstated: 0 }, result.examples.join('\n'))
  assert.ok(result.laterKept >= result.later * 0.95, result.figures)
})
