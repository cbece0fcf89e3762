/** Rollups under retries, and each question of the pack against an hour with a known answer and look-alikes in it. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import type { Flow } from '../../services/core/flow.js'
import { World } from '../fakes/world.js'

type Row = Record<string, unknown>

const dataDir = mkdtempSync(join(tmpdir(), 'klartext-questions-'))
/** A whole hour, so that its minutes are whole; recent, since old rows leave by the TTL. */
const START_US = Math.floor(Date.now() / 3_600_000 - 2) * 3_600_000_000
let store: ChdbStore
const world = new World(START_US)

const SERVER_ERROR: Partial<Flow> = { status_code: 503, outcome: 'server_error' }
const FIRST_ERRORS_AT = 20

function happens(): void {
  // The ordinary day: a chain of four services, and a search that always fails now and then.
  for (const [client, server] of [
    ['front', 'checkout'],
    ['checkout', 'payments'],
    ['payments', 'ledger'],
  ]) {
    // From minute 20 on the ledger fails; who calls it fails some seconds later.
    const begins = FIRST_ERRORS_AT * 60 + { ledger: 5, payments: 17, checkout: 29 }[server as 'ledger']
    world.every(1, 0, 30, (atUs) => {
      const failing = atUs >= world.startUs + begins * 1_000_000
      return { client, server, atUs, more: failing ? SERVER_ERROR : {} }
    })
  }
  world.every(1, 0, 30, (atUs, i) => ({
    client: 'front',
    server: 'search',
    atUs,
    more: i % 40 === 0 ? SERVER_ERROR : {},
  }))
  // The network is slow between two, the server of another pair; clocks differ by five seconds and must not matter.
  world.every(5, 1, 30, (atUs) => ({
    client: 'near',
    server: 'far',
    atUs,
    networkUs: 20_000,
    skewUs: 5_000_000,
    more: { server_node: 'node-3' },
  }))
  world.every(5, 1, 30, (atUs) => ({
    client: 'near',
    server: 'lazy',
    atUs,
    serverUs: 30_000,
    skewUs: -5_000_000,
    more: { server_node: 'node-4' },
  }))
  // A new generation of one workload is slower, one of another is not.
  const version = (server: string, generation: string): Partial<Flow> => ({
    server_pod: `${server}-${generation}-x2k4p`,
  })
  for (const [server, slower] of [
    ['cart', 30_000],
    ['profile', 5000],
  ] as const) {
    world.every(5, 0, 15, (atUs) => ({
      client: 'front',
      server,
      atUs,
      serverUs: 5000,
      more: version(server, '7c6d5b4f8c'),
    }))
    world.every(5, 15, 30, (atUs) => ({
      client: 'front',
      server,
      atUs,
      serverUs: slower,
      more: version(server, '9f8e7d6c5b'),
    }))
  }
  world.call({
    client: 'front',
    server: 'report',
    atUs: world.at(7),
    serverUs: 31_000_000,
    more: { resource: '/report/all' },
  })
  world.every(7, 5, 15, (atUs) => ({
    client: 'front',
    server: 'orders',
    atUs,
    more: { ...SERVER_ERROR, status_code: 500, method: 'POST', endpoint: '/orders', resource: '/orders' },
  }))
  const dns = (name: string, more: Partial<Flow>): Partial<Flow> => ({
    protocol: 'dns',
    method: 'A',
    resource: name,
    endpoint: name,
    transport: 'udp',
    status_code: 0,
    server_port: 53,
    ...more,
  })
  const missing = dns('old-db.shop.svc', { status_code: 3, outcome: 'client_error', error: 'NXDOMAIN' })
  world.every(10, 0, 30, (atUs) => ({ client: 'cart', server: 'dns', atUs, more: missing }))
  world.every(10, 0, 30, (atUs) => ({ client: 'front', server: 'dns', atUs, more: dns('new-db.shop.svc', {}) }))
  // A backup that leaves the network; as many bytes that stay in the zone.
  const away: Partial<Flow> = {
    server_kind: 'external',
    server_ip: '203.0.113.9',
    server_workload: '',
    req_bytes: 5_000_000,
  }
  world.every(60, 10, 20, (atUs) => ({ client: 'backup', server: 'bucket', atUs, more: away }))
  world.every(60, 10, 20, (atUs) => ({ client: 'backup', server: 'disk', atUs, more: { req_bytes: 50_000_000 } }))
  world.call({ client: 'debug', server: 'ledger', atUs: world.at(28) })
}

before(async () => {
  happens()
  store = await ChdbStore.open(dataDir)
  const { flows } = world
  for (let from = 0; from < flows.length; from += 2000) {
    const part = flows.slice(from, from + 2000)
    await store.insert('flows', part, `part-${from}`)
    // As after a lost acknowledgement.
    await store.insert('flows', part, `part-${from}`)
  }
  const coverage = (subject: string, reason: string, bytes: number) => ({
    ts: world.at(5),
    cluster: '',
    node: 'node-1',
    kind: reason === '' ? ('library' as const) : ('loss' as const),
    subject,
    pid: 0,
    container: '',
    state: reason === '' ? 'hooked' : '',
    reason,
    detail: '',
    bytes,
    count: 1,
  })
  await store.insert('coverage', [coverage('ring', 'ring_full', 4096), coverage('/usr/lib/libssl.so.3', '', 0)], 'c')
})

after(async () => {
  await store.close()
  rmSync(dataDir, { recursive: true, force: true })
})

async function rows(sql: string): Promise<Row[]> {
  const text = (await store.query(sql, 'JSONEachRow')).toString('utf8')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row)
}

const time = (us: number) => new Date(us / 1000).toISOString().slice(0, 19).replace('T', ' ')

const span = (fromMinute: number, toMinute: number) =>
  `since = '${time(world.at(fromMinute))}', until = '${time(world.at(toMinute))}'`

function ask(name: string, fromMinute = 0, toMinute = 31): Promise<Row[]> {
  return rows(`SELECT * FROM klartext.ask_${name}(${span(fromMinute, toMinute)})`)
}

const pick = (row: Row, ...names: string[]) => names.map((name) => row[name])

test('every rollup has every flow once, whatever was tried again', async () => {
  const total = world.flows.length
  for (const table of [
    'edges_1m',
    'edges_1h',
    'edges_1d',
    'endpoints_1m',
    'endpoints_1h',
    'endpoints_1d',
    'edge_seen',
  ]) {
    assert.deepEqual(await rows(`SELECT sum(requests) AS n FROM klartext.${table}`), [{ n: total }], table)
  }
})

test('edges and endpoints have a call that both ends saw once', async () => {
  for (const view of ['edges', 'endpoints']) {
    const [{ n }] = await rows(`SELECT sum(requests) AS n FROM klartext.${view}`)
    assert.equal(n, world.flows.length / 2, view)
  }
})

test('percentiles of hours are those of their flows, within the sketch’s one percent', async () => {
  const [{ rolled, exact }] = await rows(`
    SELECT quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(latency)[3] AS rolled,
      (SELECT quantileExact(0.95)(latency_us) FROM klartext.flows WHERE server_workload = 'cart') AS exact
    FROM klartext.edges_1h WHERE server_workload = 'cart'`)
  assert.ok(Math.abs(Number(rolled) - Number(exact)) <= Number(exact) * 0.02, `${rolled} for ${exact}`)
})

test('service_map', async () => {
  const map = await ask('service_map')
  const edge = map.find((row) => row.client_workload === 'front' && row.server_workload === 'search')
  assert.ok(edge)
  assert.deepEqual(pick(edge, 'requests', 'error_percent', 'protocol'), [1800, 2.5, 'http1'])
})

test('first_failing: the one where it began, not those that felt it, nor one that always fails a little', async () => {
  const failing = await ask('first_failing', 16, 30)
  assert.deepEqual(failing.map((row) => pick(row, 'server_workload', 'failed_before')).slice(0, 1), [['ledger', '']])
  const names = failing.map((row) => row.server_workload)
  assert.ok(!names.includes('search'))
  const payments = failing.find((row) => row.server_workload === 'payments')
  assert.deepEqual(payments?.failed_before, 'shop/ledger')
  assert.deepEqual(failing[0].felt_by, ['shop/payments'])
})

test('client_network_server: whatever the clocks say', async () => {
  const shares = await ask('client_network_server')
  const far = shares.find((row) => row.server_workload === 'far') as Row
  assert.deepEqual(pick(far, 'network_ms', 'server_ms', 'client_ms', 'mostly'), [20, 2, 0.3, 'network'])
  assert.equal(Number(far.clock_offset_us), 5_000_000)
  const lazy = shares.find((row) => row.server_workload === 'lazy') as Row
  assert.deepEqual(pick(lazy, 'network_ms', 'server_ms', 'mostly'), [0.2, 30, 'server'])
  const [{ n, wrong }] = await rows(`
    SELECT count() AS n, countIf(network_us + server_us + client_us != total_us OR network_us > total_us) AS wrong
    FROM klartext.calls(${span(0, 31)}) WHERE timed`)
  assert.ok(Number(n) > 1000)
  assert.equal(wrong, 0)
})

test('regression: the slower generation and not the other', async () => {
  const worse = await ask('regression')
  assert.deepEqual(
    worse.map((row) => pick(row, 'server_workload', 'before', 'now')),
    [['cart', '7c6d5b4f8c', '9f8e7d6c5b']],
  )
})

test('slow_requests', async () => {
  const [slowest] = await ask('slow_requests')
  assert.deepEqual(pick(slowest, 'server_workload', 'resource'), ['report', '/report/all'])
})

test('errors, a call counted once', async () => {
  const orders = (await ask('errors')).filter((row) => row.server_workload === 'orders')
  assert.deepEqual(
    orders.map((row) => pick(row, 'method', 'endpoint', 'status_code', 'errors')),
    [['POST', '/orders', 500, 86]],
  )
})

test('dns_failures', async () => {
  const failures = await ask('dns_failures')
  assert.deepEqual([...new Set(failures.map((row) => row.name))], ['old-db.shop.svc'])
  assert.deepEqual(pick(failures[0], 'client_workload', 'rcode', 'why'), ['cart', 3, 'NXDOMAIN'])
})

test('new_edges', async () => {
  const edges = await ask('new_edges', 25)
  assert.deepEqual(
    edges.map((row) => pick(row, 'client_workload', 'server_workload')),
    [['debug', 'ledger']],
  )
})

test('egress: what leaves, counted once', async () => {
  const away = await ask('egress')
  assert.deepEqual(
    away.map((row) => pick(row, 'scope', 'client_workload', 'server_workload', 'bytes_out')),
    [['internet', 'backup', 'internet', 50_000_000]],
  )
})

test('coverage', async () => {
  const [lost, ...more] = await ask('coverage')
  assert.deepEqual(pick(lost, 'subject', 'reason', 'bytes'), ['ring', 'ring_full', 4096])
  assert.deepEqual(more, [])
})
