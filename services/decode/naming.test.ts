import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identity } from '../../test/fakes/identities.js'
import { PodTable } from '../adapters/memory/pod_table.js'
import { type Identity, STILL_VALID_US } from '../core/pods.js'
import { Random } from '../core/random.js'
import { ConnectionInfo } from '../core/segment.js'
import { FlowContext } from './flow_context.js'
import { End, nameEnds, scopeOf } from './naming.js'

const S = 1_000_000

function context(more: Partial<ConnectionInfo>): FlowContext {
  const info = new ConnectionInfo(1n)
  Object.assign(info, {
    cluster: 'lab',
    node: 'node-1',
    side: 'client',
    clientIp: '10.1.0.1',
    serverIp: '10.1.0.2',
    containerId: 'c1',
    ...more,
  })
  return new FlowContext(info, false)
}

function directory(): PodTable {
  const table = new PodTable()
  table.put(identity('front', { containers: [{ id: 'c1', name: 'web' }] }))
  table.put(identity('old', { addresses: ['10.1.0.2'], validFromUs: 5 * S, validToUs: 10 * S }))
  table.put(identity('new', { addresses: ['10.1.0.2'], validFromUs: 12 * S, node: 'node-2' }))
  return table
}

test('the captured end by its container, the other by its address at the time', () => {
  const table = directory()
  const ends = context({})
  const names: (readonly string[])[] = []
  for (const second of [4, 6, 9, 11, 13, 6]) {
    nameEnds(ends, table.at(), second * S)
    names.push([ends.client.pod, ends.client.container, ends.server.pod])
  }
  assert.deepEqual(names, [
    ['front', 'web', ''],
    ['front', 'web', 'old'],
    ['front', 'web', 'old'],
    ['front', 'web', ''],
    ['front', 'web', 'new'],
    ['front', 'web', 'old'],
  ])
})

test('the pod of the cgroup tells the captured end where its container is not known yet', () => {
  const table = directory()
  const ends = context({ containerId: 'fresh', podUid: 'u1' })
  table.put(identity('starting', { podUid: 'u1', addresses: [] }))
  nameEnds(ends, table.at(), 6 * S)
  assert.deepEqual([ends.client.pod, ends.client.container], ['starting', 'fresh'])
})

test('flows are named by what was known then, also when more is known meanwhile', () => {
  const table = directory()
  const ends = context({ serverIp: '10.1.0.9' })
  table.put(identity('late', { addresses: ['10.1.0.9'] }), 50 * S)
  nameEnds(ends, table.at(49 * S), 6 * S)
  assert.equal(ends.server.kind, 'unknown')
  nameEnds(ends, table.at(50 * S), 6 * S)
  assert.deepEqual([ends.server.kind, ends.server.workload], ['pod', 'late'])
  table.put(identity('late', { addresses: ['10.1.0.9'], workload: 'other' }), 60 * S)
  nameEnds(ends, table.at(59 * S), 6 * S)
  assert.equal(ends.server.workload, 'late')
  nameEnds(ends, table.at(), 6 * S)
  assert.equal(ends.server.workload, 'other')
  table.put(identity('front', { containers: [{ id: 'c1', name: 'renamed' }] }), 70 * S)
  nameEnds(ends, table.at(), 6 * S)
  assert.equal(ends.client.container, 'renamed')
})

test('a connection that has long been open is named as a new one, whatever is heard of meanwhile', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = new Random(seed)
    const table = new PodTable()
    const second = (count: number) => random.below(count * 2) * (S / 2)
    const address = () => random.pick(['10.1.0.1', '10.1.0.2', '198.41.0.4', 'fd00::1'])
    const kept = Array.from({ length: 8 }, (_, i) => {
      const [clientIp, serverIp] = [address(), address()]
      const side = random.pick(['client', 'server'] as const)
      return { cluster: random.pick(['lab', 'other']), side, clientIp, serverIp, containerId: `c${i % 4}` }
    }).map((more) => ({ more, context: context(more) }))
    for (let i = 0; i < 300; i++) {
      const cluster = random.pick(['lab', 'other'])
      if (random.chance(0.15)) {
        const validFromUs = Math.floor(second(30) / S) * S
        const validToUs = random.chance(0.5) ? STILL_VALID_US : validFromUs + second(20)
        const containers = [{ id: `c${random.below(4)}`, name: `n${i}` }]
        const key = `p${random.below(12)}`
        table.put(identity(key, { cluster, addresses: [address()], containers, validFromUs, validToUs }), second(40))
      }
      if (random.chance(0.1)) table.follow({ cluster, network: 'n', untilUs: second(60) }, second(40))
      if (random.chance(0.02)) table.remove(cluster, `p${random.below(12)}`)
      const { more, context: old } = random.pick(kept)
      const [view, timeUs, fresh] = [table.at(second(50)), second(60), context(more)]
      nameEnds(old, view, timeUs)
      nameEnds(fresh, view, timeUs)
      assert.deepEqual([old.client, old.server, old.scope], [fresh.client, fresh.server, fresh.scope], `${seed} ${i}`)
    }
  }
})

test('an end that stays the same is the same object', () => {
  const table = directory()
  const ends = context({ serverIp: '198.41.0.4' })
  nameEnds(ends, table.at(), 6 * S)
  const { client, server } = ends
  table.put(identity('x', { addresses: ['10.9.9.9'] }))
  nameEnds(ends, table.at(), 8 * S)
  assert.equal(ends.client, client)
  assert.equal(ends.server, server)
})

test('a public address nobody has is external; a private one stays unknown, and so does all that was not followed', () => {
  const table = directory()
  const kindOf = (ip: string) => {
    const ends = context({ serverIp: ip })
    nameEnds(ends, table.at(), 6 * S)
    return ends.server.kind
  }
  for (const [ip, kind] of [
    ['198.41.0.4', 'external'],
    ['2a00:1450::1', 'external'],
    ['10.9.9.9', 'unknown'],
    ['fd00::1', 'unknown'],
    ['', 'unknown'],
  ]) {
    assert.equal(kindOf(ip), kind, ip)
  }
  table.follow({ cluster: 'lab', network: '', untilUs: 5 * S })
  for (const ip of ['198.41.0.4', '10.1.0.2', '10.9.9.9']) assert.equal(kindOf(ip), 'unknown', ip)
})

test('within a pod both ends are the pod; on the network of its node the other end may be anybody there', () => {
  const ends = context({ clientIp: '127.0.0.1', serverIp: '127.0.0.1' })
  nameEnds(ends, directory().at(), 6 * S)
  assert.deepEqual(
    [ends.client.pod, ends.client.container, ends.server.pod, ends.server.container],
    ['front', 'web', 'front', ''],
  )
  const table = directory()
  table.put(identity('host', { containers: [{ id: 'h', name: 'agent' }], addresses: [] }))
  const onHost = context({ clientIp: '127.0.0.1', serverIp: '127.0.0.1', containerId: 'h' })
  nameEnds(onHost, table.at(), 6 * S)
  assert.deepEqual([onHost.client.pod, onHost.server.kind, onHost.server.node], ['host', 'unknown', 'node-1'])
  assert.equal(onHost.scope, 'same_node')
})

test('a container that is not known is not its node, though it has its address; a process of the host is', () => {
  const table = directory()
  table.put(identity('node-1', { kind: 'node', workload: 'node-1', addresses: ['192.168.0.7'] }))
  const kindOf = (containerId: string) => {
    const ends = context({ clientIp: '192.168.0.7', containerId })
    nameEnds(ends, table.at(), 6 * S)
    return [ends.client.kind, ends.client.node]
  }
  assert.deepEqual(kindOf('fresh'), ['unknown', 'node-1'])
  assert.deepEqual(kindOf(''), ['node', 'node-1'])
})

test('without a directory only what the capturer says', () => {
  const ends = context({})
  nameEnds(ends, null, 6 * S)
  assert.deepEqual([ends.client.kind, ends.client.container, ends.client.node], ['unknown', 'c1', 'node-1'])
  assert.deepEqual([ends.server.container, ends.server.node], ['', ''])
})

test('on the loopback the peer is on the same node, with a directory and without', () => {
  for (const view of [null, directory().at()]) {
    const ends = context({ clientIp: '127.0.0.1', serverIp: '127.0.0.1', containerId: '' })
    nameEnds(ends, view, 6 * S)
    assert.deepEqual([ends.client.node, ends.server.node, ends.server.kind], ['node-1', 'node-1', 'unknown'])
    assert.equal(ends.scope, 'same_node')
  }
})

test('how far a call went', () => {
  const end = (more: Partial<Identity>) => new End('pod', identity('x', more), '', '')
  const here = end({ node: 'n1', zone: 'z1', region: 'r1' })
  const away = new End('external', null, '', '')
  const nobody = new End('unknown', null, '', '')
  for (const [server, scope] of [
    [end({ node: 'n1', zone: 'z1', region: 'r1' }), 'same_node'],
    [end({ node: 'n2', zone: 'z1', region: 'r1' }), 'same_zone'],
    [end({ node: 'n2', zone: 'z2', region: 'r1' }), 'cross_zone'],
    [end({ node: 'n2', zone: 'z2', region: '' }), 'cross_zone'],
    [end({ node: 'n2', zone: 'z1', region: 'r2' }), 'cross_region'],
    [end({ node: 'n2', zone: '', region: 'r1' }), 'unknown'],
    [end({ node: 'n1', zone: 'z1', region: 'r1', cluster: 'other' }), 'other_cluster'],
    [away, 'internet'],
    [nobody, 'unknown'],
  ] as const) {
    assert.equal(scopeOf(here, server, '10.1.0.1', '10.1.0.2'), scope)
    assert.equal(scopeOf(server, here, '10.1.0.2', '10.1.0.1'), scope)
  }
  assert.equal(scopeOf(nobody, nobody, '10.1.0.1', '10.1.0.1'), 'same_node')
  assert.equal(scopeOf(nobody, nobody, '10.1.0.1', '8.8.8.8'), 'internet')
  for (const unbound of ['0.0.0.0', '::']) assert.equal(scopeOf(nobody, nobody, unbound, unbound), 'unknown')
  assert.equal(scopeOf(here, here, '', ''), 'same_node')
})

test('still valid lies behind everything', () => {
  const table = new PodTable()
  table.put(identity('a', { addresses: ['10.1.0.2'], validToUs: STILL_VALID_US }))
  const ends = context({})
  nameEnds(ends, table.at(), 4_000_000_000 * S)
  assert.equal(ends.server.pod, 'a')
})
