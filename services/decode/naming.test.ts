import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identity } from '../../test/fakes/identities.js'
import { PodTable } from '../adapters/memory/pod_table.js'
import { ConnectionInfo } from '../core/segment.js'
import { FlowContext } from './flow_row.js'
import { nameEnds } from './naming.js'

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
    nameEnds(ends, table, second * S)
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

test('what becomes known later names the flows from then on', () => {
  const table = directory()
  const ends = context({ serverIp: '10.1.0.9' })
  nameEnds(ends, table, 6 * S)
  assert.equal(ends.server.kind, 'unknown')
  table.put(identity('late', { addresses: ['10.1.0.9'] }))
  nameEnds(ends, table, 6 * S)
  assert.deepEqual([ends.server.kind, ends.server.workload], ['pod', 'late'])
})

test('a public address nobody has is external; a private one stays unknown', () => {
  const table = directory()
  for (const [ip, kind] of [
    ['198.41.0.4', 'external'],
    ['2a00:1450::1', 'external'],
    ['10.9.9.9', 'unknown'],
    ['fd00::1', 'unknown'],
    ['', 'unknown'],
  ]) {
    const ends = context({ serverIp: ip })
    nameEnds(ends, table, 6 * S)
    assert.equal(ends.server.kind, kind, ip)
  }
})

test('within a pod both ends are the pod', () => {
  const ends = context({ clientIp: '127.0.0.1', serverIp: '127.0.0.1' })
  nameEnds(ends, directory(), 6 * S)
  assert.deepEqual(
    [ends.client.pod, ends.client.container, ends.server.pod, ends.server.container],
    ['front', 'web', 'front', ''],
  )
})

test('without a directory only what the capturer says', () => {
  const ends = context({})
  nameEnds(ends, null, 6 * S)
  assert.deepEqual([ends.client.kind, ends.client.container, ends.client.node], ['unknown', 'c1', 'node-1'])
  assert.deepEqual([ends.server.container, ends.server.node], ['', ''])
})
