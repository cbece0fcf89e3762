/**
 * Which two flows are one call, in a world that makes it hard: ports and numbers used again, cluster IPs, streams that end in
 * another order, ends that were not captured or joined late. Who belongs together is the world's log.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { A, assertTrue, B, near, Part, peer, rows, S, useStore } from './calls_world.js'

useStore()

describe('who belongs together', () => {
  test('ports used again for the same request, either end now and then not captured', async () => {
    const part = new Part()
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
    const part = new Part()
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
    const part = new Part()
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
    const part = new Part()
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

  test('lookups from sockets without an address: the pod is the same, not the address', async () => {
    const part = new Part()
    const service = { ip: '10.96.0.10', port: 53, name: 'kube-dns', workload: 'kube-dns' }
    const dns = peer('node-b', 'kube-dns-1', '10.1.0.53')
    const askers = [A, peer('node-a', 'cart-1', '10.1.0.4'), { ...A, pod: '', ip: '10.1.0.7' }]
    for (let i = 0; i < 90; i++)
      part.call({
        client: askers[i % 3],
        server: dns,
        clientPort: 40_000,
        connections: [900 + i, 1000 + i],
        seqs: [0, i],
        atUs: part.fromUs + Math.floor(i / 3) * S,
        service,
        more: {
          protocol: 'dns',
          method: 'A',
          resource: 'a.b',
          transport: 'udp',
          attrs: { 'dns.id': String(Math.floor(i / 3)) },
        },
        moreAtClient: { client_ip: i % 2 === 0 ? '0.0.0.0' : '::' },
      })
    for (const { id, seen } of await part.store()) assert.equal(seen === 'both', id % 3 !== 2, `${id} ${seen}`)
    const names = await rows<{ name: string; flows: string }>(
      `SELECT client_name AS name, count() AS flows FROM klartext.flows
       WHERE client_ip IN ('0.0.0.0', '::') GROUP BY name ORDER BY name`,
    )
    assert.deepEqual(
      names.map(({ name, flows }) => `${name} ${flows}`),
      ['cart 30', 'front 30', 'unknown 30'],
    )
  })

  test('streams and messages by their ids, whatever order they end in and when either end joined', async () => {
    const part = new Part()
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
      // Sent again after a second, since the first was lost on its way: the answer counts for the first.
      const message = { protocol: 'dns', method: 'A', resource: 'a.b', transport: 'udp' as const }
      for (const retry of ['', '1']) {
        const attrs = { 'dns.id': String(700 + i), ...(retry === '' ? {} : { 'dns.retry': retry }) }
        part.call({
          client: A,
          server: B,
          clientPort: 20_053,
          serverPort: 53,
          connections: [23, 24],
          seqs: [i + 1 - Number(retry), i / 2],
          atUs: part.fromUs + (i + Number(retry)) * S,
          upUs: S + 200,
          sides: retry === '' ? 'both' : 'client',
          more: { ...message, attrs },
          moreAtClient: retry === '' ? {} : { latency_us: 0, ttfb_us: 0, status_code: 0, outcome: 'no_response' },
        })
      }
    }
    const found = await part.store()
    assert.deepEqual(
      found.map(({ id, seen }) => `${id} ${seen}`),
      part.truths.map(({ sides }, id) => `${id} ${sides}`),
    )
    for (const row of found) if (row.seen === 'both') near(Number(row.server_us), part.truths[row.id].serverUs, 1)
  })

  test('requests that were sent ahead on one connection, and messages that nobody answers', async () => {
    const part = new Part()
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
    const part = new Part()
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

  test('an end that joined late, and one that lost exchanges: counted from the longest silence', async () => {
    const part = new Part()
    part.clock('node-b', () => 2 * S)
    const [joins, loses] = [100 * S, 200 * S]
    const behind = [0, 0, 0, 0]
    let at = 0
    for (let i = 0; at < 530 * S; i++) {
      at += 5_000 + part.random.below(900_000) * part.random.next() ** 2
      const pool = i % 4
      const [seq, lost] = [Math.floor(i / 4), at > loses && behind[pool] < 1000]
      const sides = at < joins || lost ? 'client' : 'both'
      if (at < joins) behind[pool] = seq + 1
      if (lost) behind[pool] += 1000
      // What the server's end counts: from when it joined, without what it lost.
      const counted = behind[pool] < 1000 ? behind[pool] : behind[pool] - 999
      part.call({
        client: A,
        server: B,
        clientPort: 20_000 + pool,
        connections: [pool, 10 + pool],
        seqs: [seq, Math.max(0, seq - counted)],
        atUs: part.fromUs + Math.floor(at),
        sides,
      })
    }
    const found = await part.store()
    const later = part.flows.filter(({ ts, capture_side }) => capture_side === 'client' && ts > part.fromUs + 302 * S)
    assert.ok(later.length > 500)
    const both = new Set(found.filter(({ seen }) => seen === 'both').map(({ id }) => id))
    assert.equal(later.filter(({ request_id }) => !both.has(Number(request_id))).length, 0)
  })

  test('a poll at a steady pace, joined late: paired rightly or not at all', async () => {
    for (const late of [0, 1, 7]) {
      const part = new Part()
      for (let i = 0; i < 500; i++)
        part.call({
          client: A,
          server: B,
          clientPort: 20_000,
          connections: [1, 2],
          seqs: [i, i - late],
          atUs: part.fromUs + i * S + part.random.below(600),
          sides: i < late ? 'client' : 'both',
        })
      // Each row is looked at: none is made of two calls.
      const found = await part.store()
      if (late === 0) assertTrue(found, part.truths)
    }
  })

  test('never loopbacks of two nodes, nor other clusters’ same addresses, nor another status', async () => {
    const part = new Part()
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
    const part = new Part()
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
