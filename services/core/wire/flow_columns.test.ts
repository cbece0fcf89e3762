import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededFlow } from '../../../test/fakes/flows.js'
import { FLOW_COLUMNS, type Flow } from '../flow.js'
import { Random } from '../random.js'
import { columnWriter, tsvHead } from './flow_columns.js'
import { flowToJson } from './flow_json.js'
import { JsonBytes } from './json_bytes.js'

const NAMES = FLOW_COLUMNS.map(({ name }) => name)

test('chosen columns say what they say among all columns, in the order asked for', () => {
  const random = new Random(21)
  const out = new JsonBytes()
  for (let i = 0; i < 200; i++) {
    const flow: Flow = { ...seededFlow(random, i, 1_790_000_000_000_000), error: random.pick(['', 'a"b\\\n', 'ü😀']) }
    const names = Array.from({ length: 1 + random.below(8) }, () => random.pick(NAMES))
    const unique = [...new Set(names)]
    out.clear()
    columnWriter(unique, 'jsonl')(flow, out)
    const all = JSON.parse(flowToJson(flow))
    const chosen = JSON.parse(out.toString())
    assert.deepEqual(chosen, Object.fromEntries(unique.map((name) => [name, all[name]])))
    assert.deepEqual(Object.keys(chosen), unique)
  }
})

test('the file of several stands first', () => {
  const out = new JsonBytes()
  const flow = { ...seededFlow(new Random(22), 1, 1_790_000_000_000_000), method: 'GET' }
  columnWriter(['method'], 'jsonl', 'a".pcap')(flow, out)
  assert.deepEqual(JSON.parse(out.toString()), { file: 'a".pcap', method: 'GET' })
  out.clear()
  columnWriter(['method'], 'tsv', 'a\t.pcap')(flow, out)
  assert.equal(out.toString(), 'a\\t.pcap\tGET')
})

test('tab-separated: one line whatever the texts, nothing that steers a terminal', () => {
  const out = new JsonBytes()
  const flow: Flow = {
    ...seededFlow(new Random(23), 1, 0),
    ts: 1_767_323_045_000_006,
    conn_id: '18446744073709551615',
    status_code: 404,
    resource: "a\tb\nc\\d\u001b[2J\u009b'é",
    findings: ['x', "it's\n"],
    attrs: { 'a.b': "c'd", e: '' },
    req_headers: ['host', 'a\tb'],
  }
  columnWriter(['ts', 'conn_id', 'status_code', 'resource', 'findings', 'attrs', 'req_headers', 'resp_headers'], 'tsv')(
    { ...flow, resp_headers: [] },
    out,
  )
  assert.deepEqual(out.toString().split('\t'), [
    '2026-01-02 03:04:05.000006',
    '18446744073709551615',
    '404',
    "a\\tb\\nc\\\\d\\x1b[2J\\xc2\\x9b'é",
    "['x','it\\'s\\n']",
    "{'a.b':'c\\'d','e':''}",
    "{'host':'a\\tb'}",
    '{}',
  ])
  assert.equal(tsvHead(['ts', 'method']), 'ts\tmethod')
})
