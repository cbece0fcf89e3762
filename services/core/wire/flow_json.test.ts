import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLOW_COLUMNS, type Flow, FlowOrigin } from '../flow.js'
import { Random } from '../random.js'
import { flowToJson, isoTime, writeFlowJson } from './flow_json.js'
import { JsonBytes, Piece } from './json_bytes.js'

const TEXTS = ['', 'plain', 'a"b\\c', 'line\nend\u0000', 'grüße 世界 😀', '\ud800 alone', '\u007f', 'x'.repeat(20_000)]

const SHORT_TEXTS = TEXTS.slice(0, -1)

function someFlow(random: Random, among: readonly string[] = TEXTS): Flow {
  const text = () => random.pick(among)
  const value = {
    time: () => 1_790_000_000_000_000 + random.below(2 ** 40),
    text,
    ip: () => random.pick(['', '10.0.0.1', '2001:db8::1']),
    u8: () => random.below(2),
    u16: () => random.below(65_536),
    u32: () => random.below(2 ** 32),
    u64: () => random.pick([0, 9, 10, 2 ** 31 - 1, 2 ** 31, Number.MAX_SAFE_INTEGER]),
    f64: () => random.next(),
    id: () => random.pick(['0', '18446744073709551615']),
    texts: () => Array.from({ length: random.below(3) }, text),
    pairs: () => Array.from({ length: random.below(3) }, (_, i) => [`k${i}"`, text()]).flat(),
    map: () => Object.fromEntries(Array.from({ length: random.below(3) }, (_, i) => [`k${i}"`, text()])),
  }
  return Object.fromEntries(FLOW_COLUMNS.map(({ name, kind }) => [name, value[kind]()])) as unknown as Flow
}

/** What the flows of one origin share. */
const OF_ORIGIN = /^(cluster|conn_id|node|capture_|transport|client_|server_|scope|pid|comm|decoder_|schema_)/

/** Of these, what may become known later, or change. */
const NAME = /^(client|server)_(?!ip|port)|^scope$/

function mapOf(pairs: readonly string[]): Record<string, string> {
  const map: Record<string, string> = {}
  for (let i = 0; i < pairs.length; i += 2) map[pairs[i]] = pairs[i + 1]
  return map
}

/** What JSON.stringify makes of the same flow: the judge of every byte that is written. */
function expected(flow: Flow): Record<string, unknown> {
  const { req_headers, resp_headers } = flow
  const maps = { req_headers: mapOf(req_headers), resp_headers: mapOf(resp_headers) }
  return JSON.parse(JSON.stringify({ ...flow, ...maps, ts: isoTime(flow.ts) }))
}

test('a line is the JSON of all columns in their order', () => {
  const random = new Random(11)
  for (let i = 0; i < 300; i++) {
    const flow = someFlow(random)
    const read = JSON.parse(flowToJson(flow)) as Record<string, unknown>
    assert.deepEqual(read, expected(flow))
    assert.deepEqual(
      Object.keys(read),
      FLOW_COLUMNS.map(({ name }) => name),
    )
  }
})

test('a flow of a known connection whose fixed columns have changed', () => {
  const random = new Random(12)
  const flow = { ...someFlow(random), conn_id: '7', client_ip: '10.0.0.1' }
  flowToJson(flow)
  for (const change of [{ client_ip: '10.0.0.9' }, { comm: 'other' }, { protocol: 'grpc' }, { tls_version: '1.3' }]) {
    const changed = { ...flow, ...change }
    assert.deepEqual(JSON.parse(flowToJson(changed)), expected(changed))
  }
})

test('flows that repeat what those before them said, in part', () => {
  const random = new Random(14)
  const out = new JsonBytes()
  const ofOrigin = (from: Flow) =>
    Object.fromEntries(FLOW_COLUMNS.filter(({ name }) => OF_ORIGIN.test(name)).map(({ name }) => [name, from[name]]))
  const namesOf = (from: object) => Object.fromEntries(Object.entries(from).filter(([name]) => NAME.test(name)))
  const connections = Array.from({ length: 20 }, () => ({
    origin: new FlowOrigin(),
    shared: ofOrigin(someFlow(random, SHORT_TEXTS)),
  }))
  const names = ['host', 'date', 'etag', 'x-request-id', 'content-length', 'a"b', 'via', 'server', 'vary']
  const lists: string[][] = []
  const anyHeaders = () => {
    if (lists.length > 0 && random.below(3) > 0) return random.pick(lists)
    const list =
      lists.length > 0 && random.below(3) > 0
        ? [...random.pick(lists)]
        : names.slice(random.below(4), random.below(10)).flatMap((name) => [name, random.pick(SHORT_TEXTS)])
    for (let i = 1; i < list.length; i += 2) if (random.below(4) === 0) list[i] = `${random.below(100)}`
    lists[random.below(Math.min(8, lists.length + 1))] = list
    return list
  }
  let flow = someFlow(random, SHORT_TEXTS)
  for (let i = 0; i < 3000; i++) {
    const connection = random.pick(connections)
    const other = someFlow(random, SHORT_TEXTS)
    const changes = Object.fromEntries(
      FLOW_COLUMNS.filter(({ name }) => !OF_ORIGIN.test(name) && random.below(20) === 0).map(({ name }) => [
        name,
        other[name],
      ]),
    )
    if (random.below(30) === 0) {
      // Its ends got other names.
      connection.shared = {
        ...connection.shared,
        ...namesOf(random.below(2) === 0 ? other : random.pick(connections).shared),
      }
      connection.origin.shape = null
    }
    flow = { ...flow, ...changes, ...connection.shared, req_headers: anyHeaders(), resp_headers: anyHeaders() }
    out.clear()
    writeFlowJson(flow, out, random.below(4) === 0 ? null : connection.origin)
    assert.deepEqual(JSON.parse(out.toString()), expected(flow))
  }
})

test('fields of its own before the columns', () => {
  const out = new JsonBytes()
  const flow = someFlow(new Random(13))
  writeFlowJson(flow, out, null, Piece.of('{"file":"a.pcap",'))
  assert.deepEqual(JSON.parse(out.toString()), { file: 'a.pcap', ...expected(flow) })
})

test('times, with those no calendar shows', () => {
  assert.equal(isoTime(1_767_323_045_000_006), '2026-01-02T03:04:05.000006Z')
  assert.equal(isoTime(-1_000_000), '1970-01-01T00:00:00.000000Z')
})
