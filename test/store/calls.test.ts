/**
 * The two ends of a call as one row, in a world that makes it hard: clocks that differ and wander, ports and numbers used
 * again, cluster IPs, streams that end in another order, ends that were not captured. Who belongs together is the world's log.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { type Peer, type Truth, TwoEnds } from '../fakes/two_ends.js'

const dataDir = mkdtempSync(join(tmpdir(), 'klartext-calls-'))
const S = 1_000_000
const MINUTE = 60 * S
/** Recent, since old rows leave by the TTL; on the edge of five minutes. */
const START_US = Math.floor(Date.now() / 300_000 - 30) * 300_000 * 1000
/** Each part of the world has a span of its own. */
const PART_MINUTES = 10
let store: ChdbStore
let parts = 0

before(async () => {
  store = await ChdbStore.open(dataDir)
})

after(async () => {
  await store.close()
  rmSync(dataDir, { recursive: true, force: true })
})

interface CallRow {
  readonly id: number
  readonly seen: 'both' | 'client' | 'server'
  readonly timed: number
  readonly total_us: number | null
  readonly network_us: number | null
  readonly server_us: number | null
  readonly client_us: number | null
  readonly network_request_us: number | null
  readonly network_response_us: number | null
  readonly clock_offset_us: number | null
  readonly clock_error_us: number | null
  readonly server_pod: string
  readonly server_service: string
  readonly req_bytes: number
  readonly resp_bytes: number
  readonly outcome: string
}

const time = (us: number) => new Date(us / 1000).toISOString().slice(0, 23).replace('T', ' ')

async function rows<Row>(sql: string): Promise<Row[]> {
  const text = (await store.query(sql, 'JSONEachRow', { clickhouse_settings: {} })).toString('utf8')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row)
}

class Part extends TwoEnds {
  readonly fromUs = START_US + parts++ * PART_MINUTES * MINUTE

  async rows(fromUs = this.fromUs - 10 * S, toUs = this.fromUs + (PART_MINUTES - 1) * MINUTE): Promise<CallRow[]> {
    return rows(`
      SELECT toUInt32(r.request_id) AS id, c.*
      FROM klartext.calls(since = '${time(fromUs)}', until = '${time(toUs)}') AS c
      INNER JOIN (SELECT *, flow_id FROM klartext.flows) AS r ON r.flow_id = ifNull(c.client_flow_id, c.server_flow_id)
      ORDER BY id, seen`)
  }

  async store(): Promise<CallRow[]> {
    await store.insert('flows', this.flows, `part-${this.fromUs}`)
    return this.rows()
  }
}

/** Every call once, with the ends that saw it; no share negative, all of them together the whole. */
function assertTrue(found: readonly CallRow[], truths: readonly Truth[]): void {
  assert.deepEqual(
    found.map(({ id, seen }) => `${id} ${seen}`),
    truths.map(({ sides }, id) => `${id} ${sides}`),
  )
  for (const row of found) {
    const truth = truths[row.id]
    assert.deepEqual([row.req_bytes, row.resp_bytes], [truth.bytes, 2 * truth.bytes])
    if (row.seen !== 'both') {
      const unknown = [row.network_us, row.client_us, row.network_request_us, row.clock_offset_us]
      assert.deepEqual(unknown, [null, null, null, null])
      assert.equal(row.total_us === null, row.seen === 'server')
      assert.equal(row.server_us === null, row.seen === 'client')
      continue
    }
    const [network, there, back] = [row.network_us, row.network_request_us, row.network_response_us].map(Number)
    const sum = network + Number(row.server_us) + Number(row.client_us)
    assert.equal(sum, row.total_us)
    assert.equal(there + back, network)
    for (const share of [network, there, back, row.server_us, row.client_us]) assert.ok(Number(share) >= 0)
    // The clocks of a test run at rates that differ by up to 100 ppm.
    near(network, truth.upUs + truth.downUs, 20)
    near(Number(row.server_us), truth.serverUs, 20)
    near(there, truth.upUs, Number(row.clock_error_us) + 20)
  }
}

function near(found: number, truth: number, within: number): void {
  assert.ok(Math.abs(found - truth) <= within, `${found} for ${truth}, within ${within}`)
}

const peer = (node: string, pod: string, ip: string, cluster = 'lab'): Peer => ({ cluster, node, pod, ip })
const A = peer('node-a', 'front-1', '10.1.0.1')
const B = peer('node-b', 'api-1', '10.1.0.2')

describe('clocks', () => {
  test('five seconds apart, calls both ways: shares are right and the offset is within its error', async () => {
    const part = new Part(1)
    part.clock('node-b', () => 5 * S)
    for (let i = 0; i < 400; i++) {
      const [client, server] = i % 3 === 0 ? [B, A] : [A, B]
      const delays = { upUs: 150 + part.random.below(3000), downUs: 80 + part.random.below(9000) }
      part.call({
        client,
        server,
        clientPort: 20_000 + i,
        connections: [2 * i, 2 * i + 1],
        atUs: part.fromUs + i * S,
        serverUs: part.random.below(20_000),
        ...delays,
      })
    }
    const found = await part.store()
    assertTrue(found, part.truths)
    for (const row of found) {
      near(Math.abs(Number(row.clock_offset_us)), 5 * S, Number(row.clock_error_us))
      assert.ok(Number(row.clock_error_us) < 500, `${row.clock_error_us}`)
    }
  })

  test('that wander and are set right step by step', async () => {
    const part = new Part(2)
    part.clock('node-a', (us) => -300_000 + (us - part.fromUs) * 50e-6)
    part.clock('node-b', (us) => (us - part.fromUs) * -50e-6)
    for (let i = 0; i < 500; i++) {
      const delays = { upUs: 30_000 + part.random.below(2000), downUs: 30_000 + part.random.below(2000) }
      part.call({
        client: A,
        server: B,
        clientPort: 20_000,
        connections: [1, 2],
        seqs: [i, i],
        atUs: part.fromUs + i * S,
        ...delays,
      })
    }
    assertTrue(await part.store(), part.truths)
  })

  test('of one node are one: a delay in one direction only is seen as such', async () => {
    const part = new Part(3)
    const there = { ...B, node: 'node-a' }
    for (let i = 0; i < 50; i++)
      part.call({
        client: A,
        server: there,
        clientPort: 20_000,
        connections: [3, 4],
        seqs: [i, i],
        atUs: part.fromUs + i * S,
        upUs: 20_000,
        downUs: 0,
      })
    const found = await part.store()
    assertTrue(found, part.truths)
    assert.ok(
      found.every(({ network_request_us, clock_error_us }) => network_request_us === 20_000 && clock_error_us === 0),
    )
  })
})

describe('who belongs together', () => {
  test('ports used again for the same request, either end now and then not captured', async () => {
    const part = new Part(4)
    part.clock('node-b', () => -4 * S)
    for (let i = 0; i < 300; i++) {
      const chance = part.random.next()
      // What else the two nodes say to each other.
      if (i % 10 === 0)
        part.call({
          client: A,
          server: B,
          clientPort: 10_000 + i,
          connections: [9000 + i, 9500 + i],
          atUs: part.fromUs + i * 1.5 * S,
        })
      part.call({
        client: A,
        server: B,
        clientPort: 20_000 + (i % 2),
        connections: [100 + 2 * i, 101 + 2 * i],
        atUs: part.fromUs + i * 1.5 * S,
        sides: chance < 0.2 ? 'client' : chance < 0.4 ? 'server' : 'both',
      })
    }
    assertTrue(await part.store(), part.truths)
  })

  test('where nothing tells how the clocks stand, nobody is paired by guess', async () => {
    const part = new Part(12)
    part.clock('node-b', () => -4 * S)
    for (let i = 0; i < 20; i++)
      part.call({
        client: A,
        server: B,
        clientPort: 20_000,
        connections: [2 * i, 2 * i + 1],
        atUs: part.fromUs + i * 3 * S,
        sides: i % 3 === 0 ? 'client' : 'server',
      })
    assertTrue(await part.store(), part.truths)
  })

  test('one exchange lost at one end: numbers behind it differ and pair nobody wrongly', async () => {
    const part = new Part(5)
    for (let i = 0; i < 100; i++)
      part.call({
        client: A,
        server: B,
        clientPort: 20_000,
        connections: [11, 12],
        seqs: [i, i < 50 ? i : i - 1],
        atUs: part.fromUs + i * 200_000 + part.random.below(20_000),
        sides: i === 49 ? 'client' : 'both',
      })
    const found = await part.store()
    for (const { id, seen, req_bytes } of found) {
      assert.equal(req_bytes, part.truths[id].bytes)
      assert.equal(seen === 'both', id < 49, `${id} ${seen}`)
    }
  })

  test('a cluster IP stands for the pod behind it', async () => {
    const part = new Part(6)
    const service = { ip: '10.96.0.9', port: 80, name: 'api', workload: 'api' }
    const pods = [B, peer('node-b', 'api-2', '10.1.0.3')]
    const other = peer('node-b', 'cart-1', '10.1.0.4')
    for (let i = 0; i < 60; i++) {
      const same = { client: A, clientPort: 30_000 + i, atUs: part.fromUs + i * S }
      part.call({ ...same, server: pods[i % 2], connections: [200 + i, 300 + i], service })
      // The same request from the same port at the same time to somebody else, captured at one end.
      const sides = i % 2 === 0 ? 'client' : 'server'
      part.call({ ...same, server: other, connections: [400 + i, 500 + i], sides, atUs: same.atUs + 20 })
      if (i % 6 === 0) {
        const elsewhere = { ...service, ip: '10.96.0.10', name: 'cart', workload: 'cart' }
        part.call({ ...same, server: other, connections: [600 + i, 700 + i], sides: 'client', service: elsewhere })
      }
    }
    const found = await part.store()
    const paired = found.filter(({ seen }) => seen === 'both')
    assert.equal(paired.length, 60)
    assertTrue(found, part.truths)
    for (const { id, server_pod, server_service } of paired) {
      assert.match(server_pod, /^api-[12]$/, `${id}`)
      assert.equal(server_service, 'api')
    }
  })

  test('streams and messages by their ids, whatever order they end in and when either end joined', async () => {
    const part = new Part(7)
    for (let i = 0; i < 80; i += 2) {
      for (const [at, number] of [i, i + 1].entries()) {
        const stream = { protocol: 'http2', attrs: { 'http2.stream_id': String(2 * number + 1) } }
        part.call({
          client: A,
          server: B,
          clientPort: 20_000,
          connections: [21, 22],
          // The two ends hand them over in turned order, and the server's joined late.
          seqs: [number, 1000 + i + 1 - at],
          atUs: part.fromUs + i * S + at * 10,
          serverUs: 500_000 + at * 100,
          more: stream,
        })
      }
      const message = { protocol: 'dns', method: 'A', resource: 'a.b', transport: 'udp' as const }
      for (const retry of ['', '1'])
        part.call({
          client: A,
          server: B,
          clientPort: 20_053,
          serverPort: 53,
          connections: [23, 24],
          seqs: [2 * i + Number(retry), i],
          atUs: part.fromUs + i * S + Number(retry) * 1000,
          sides: retry === '' ? 'client' : 'both',
          more: { ...message, attrs: { 'dns.id': String(700 + i) } },
          moreAtClient: retry === '' ? {} : { attrs: { 'dns.id': String(700 + i), 'dns.retry': retry } },
        })
    }
    const found = await part.store()
    // A message that was sent twice and arrived once: which of the two it was cannot be told.
    const streams = found.filter(({ id }) =>
      part.flows.some((f) => f.request_id === String(id) && f.protocol === 'http2'),
    )
    assert.equal(streams.length, 80)
    for (const row of streams) {
      assert.equal(row.seen, 'both')
      near(Number(row.server_us), part.truths[row.id].serverUs, 1)
    }
  })

  test('requests that were sent ahead on one connection, and messages that nobody answers', async () => {
    const part = new Part(13)
    for (let i = 0; i < 60; i++) {
      const at = part.fromUs + Math.floor(i / 10) * S
      part.call({
        client: A,
        server: B,
        clientPort: 20_000,
        connections: [81, 82],
        seqs: [i, i],
        atUs: at,
        serverUs: 1000 + 500 * (i % 10),
      })
      const message = { protocol: 'websocket', method: 'text', resource: '/feed', latency_us: 0, ttfb_us: 0 }
      // The two ends of a feed number what goes both ways in their own order.
      part.call({
        client: A,
        server: B,
        clientPort: 20_001,
        connections: [83, 84],
        seqs: [i, i < 30 ? i : i + 1],
        atUs: part.fromUs + i * 3 * S,
        more: message,
        moreAtClient: message,
        moreAtServer: message,
      })
    }
    const found = await part.store()
    const pairs = (id: number) => found.filter((row) => row.id === id).map(({ seen }) => seen)
    for (let i = 0; i < 60; i++) {
      assert.deepEqual(pairs(2 * i), ['both'])
      near(Number(found.find(({ id }) => id === 2 * i)?.server_us), part.truths[2 * i].serverUs, 0)
      assert.deepEqual(pairs(2 * i + 1), i < 30 ? ['both'] : ['client', 'server'])
    }
  })

  test('by the span that was sent along, where one end joined late', async () => {
    const part = new Part(8)
    for (let i = 0; i < 40; i++) {
      const traced = i % 2 === 0
      const span = traced ? { trace_id: 'ab'.repeat(16), span_id: i.toString(16).padStart(16, '0') } : {}
      part.call({
        client: A,
        server: B,
        clientPort: 20_000,
        connections: [31, 32],
        seqs: [100 + i, i],
        atUs: part.fromUs + i * S,
        more: span,
      })
    }
    const found = await part.store()
    assert.equal(found.filter(({ seen }) => seen === 'both').length, 20)
    for (const { id, seen } of found) assert.equal(seen === 'both', id % 2 === 0)
  })

  test('never loopbacks of two nodes, nor other clusters’ same addresses, nor another status', async () => {
    const part = new Part(9)
    const local = (node: string, pod: string) => peer(node, pod, '127.0.0.1')
    const common = { clientPort: 20_000, atUs: part.fromUs + S }
    part.call({
      ...common,
      client: local('node-a', ''),
      server: local('node-a', ''),
      connections: [41, 42],
      sides: 'client',
    })
    part.call({
      ...common,
      client: local('node-b', ''),
      server: local('node-b', ''),
      connections: [43, 44],
      sides: 'server',
    })
    part.call({ ...common, client: local('node-c', ''), server: local('node-c', ''), connections: [45, 46] })
    // Two pods of one node.
    part.call({
      ...common,
      client: local('node-d', 'x-1'),
      server: local('node-d', 'x-1'),
      connections: [47, 48],
      sides: 'client',
    })
    part.call({
      ...common,
      client: local('node-d', 'y-1'),
      server: local('node-d', 'y-1'),
      connections: [49, 50],
      sides: 'server',
    })
    const east = { ...A, cluster: 'east' }
    part.call({ ...common, client: east, server: { ...B, cluster: 'east' }, connections: [51, 52], sides: 'client' })
    part.call({
      ...common,
      client: { ...A, cluster: 'west' },
      server: { ...B, cluster: 'west' },
      connections: [53, 54],
      sides: 'server',
    })
    // From one cluster to another that shares its network: the server's directory knows the client as the other's.
    part.call({ ...common, clientPort: 20_001, client: east, server: { ...B, cluster: 'west' }, connections: [55, 56] })
    part.call({ ...common, clientPort: 20_002, client: A, server: B, connections: [57, 58], sides: 'client' })
    part.call({
      ...common,
      clientPort: 20_002,
      client: A,
      server: B,
      connections: [59, 60],
      sides: 'server',
      more: { status_code: 404 },
    })
    assertTrue(await part.store(), part.truths)
  })

  test('a call that its client gave up is one call, and its shares are not known', async () => {
    const part = new Part(10)
    part.call({
      client: A,
      server: B,
      clientPort: 20_000,
      connections: [61, 62],
      atUs: part.fromUs,
      moreAtClient: { latency_us: 0, ttfb_us: 0, status_code: 0, outcome: 'timeout' },
    })
    const [row, ...more] = await part.store()
    assert.deepEqual(more, [])
    assert.deepEqual(
      [row.seen, row.timed, row.outcome, row.total_us, row.network_us],
      ['both', 0, 'timeout', null, null],
    )
  })
})

test('where joins give NULL for what is not there, the rows are the same', async () => {
  const part = new Part(14)
  for (const [i, sides] of (['both', 'client', 'server', 'both'] as const).entries())
    part.call({
      client: A,
      server: B,
      clientPort: 20_000 + i,
      connections: [2 * i, 2 * i + 1],
      atUs: part.fromUs,
      sides,
    })
  await part.store()
  const span = `since = '${time(part.fromUs - S)}', until = '${time(part.fromUs + S)}'`
  const calls = `SELECT * FROM klartext.calls(${span}) ORDER BY client_flow_id, server_flow_id`
  await store.command(`CREATE TABLE klartext.calls_with_nulls ENGINE = Memory AS ${calls} SETTINGS join_use_nulls = 1`)
  assert.deepEqual(await rows('SELECT * FROM klartext.calls_with_nulls'), await rows(calls))
})

test('spans side by side have each call once, also those whose two ends lie in different ones', async () => {
  const part = new Part(11)
  part.clock('node-b', () => 2 * S)
  for (let i = 0; i < 120; i++)
    part.call({
      client: A,
      server: B,
      clientPort: 20_000,
      connections: [71, 72],
      seqs: [i, i],
      atUs: part.fromUs + i * S,
      sides: i % 10 === 0 ? 'server' : 'both',
    })
  const whole = await part.store()
  const apart: CallRow[] = []
  for (let from = -10; from < 130; from += 7)
    apart.push(...(await part.rows(part.fromUs + from * S, part.fromUs + (from + 7) * S)))
  const names = (found: CallRow[]) => found.map(({ id, seen }) => `${id} ${seen}`).sort()
  assert.deepEqual(names(apart), names(whole))
})
