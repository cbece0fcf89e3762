/** PostgreSQL of real captures against what Zeek, Suricata and tshark say of them, and all other captures against it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { corpusFiles, corpusGroups, NO_CORPUS } from './corpus.js'
import { decodeCapture } from './decode_capture.js'
import { beside, suricataMatches, tsharkFrames, zeekRows } from './expected.js'

const skip = NO_CORPUS

const flowsOf = async (path: string): Promise<Flow[]> =>
  (await decodeCapture(path)).flows.filter(({ protocol }) => protocol === 'postgresql')

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
    const flows = await flowsOf(fullPath)
    for (const { fields } of suricataMatches(fullPath)) {
      // Alerts tell the same transaction again, some in the direction of its answer.
      if (fields['pgsql.request.simple_query'] === undefined) continue
      counts.expected += 1
      if (flows.some((flow) => agrees(flow, fields))) counts.found += 1
      else t.diagnostic(`missing ${path}: ${JSON.stringify(fields)}`)
    }
  }
  t.diagnostic(`PostgreSQL, Suricata transactions: ${JSON.stringify(counts)}`)
  assert.ok(counts.expected > 30)
  assert.equal(counts.found, counts.expected)
})

test('tshark: every query and every command tag', { skip }, async (t) => {
  const counts = { queries: 0, queriesFound: 0, tags: 0, tagsFound: 0 }
  for (const { fullPath, path } of corpusFiles('postgresql')) {
    const flows = await flowsOf(fullPath)
    const queries = flows.map(({ resource }) => resource)
    const tags = flows.flatMap(({ attrs }) => (attrs['postgresql.command_tag'] ?? '').split('; '))
    for (const frame of tsharkFrames(fullPath)) {
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
  let files = 0
  const claims: string[] = []
  for (const { fullPath, path } of corpusFiles(...corpusGroups().filter((group) => group !== 'postgresql'))) {
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
