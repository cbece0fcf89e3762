import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Identity, STILL_VALID_US } from '../core/pods.js'
import { Identities } from './identities.js'
import { readNode, readOwned, readPod, readService, readSlice } from './objects.js'

const START = '2026-11-24T12:00:00Z'
const START_US = Date.parse(START) * 1000

const meta = (name: string, more: object = {}) => ({
  metadata: { uid: `uid-${name}`, name, namespace: 'shop', creationTimestamp: START, ...more },
})
const ownedBy = (kind: string, name: string) => ({
  ownerReferences: [{ kind, name, uid: `uid-${name}`, controller: true }],
})
const pod = (name: string, ip: string, more: { owner?: object; status?: object; spec?: object } = {}) =>
  readPod({
    ...meta(name, more.owner),
    spec: { nodeName: 'node-1', serviceAccountName: 'sa', ...more.spec },
    status: { startTime: START, podIP: ip, podIPs: [{ ip }], ...more.status },
  })

class Told {
  readonly all: Identity[] = []
  nowUs = START_US
  readonly identities = new Identities(
    'lab',
    () => this.nowUs,
    (identity) => this.all.push(identity),
  )

  last(name: string): Identity {
    const found = this.all.filter((each) => each.name === name).pop()
    assert.ok(found, name)
    return found
  }

  pod(...words: Parameters<typeof pod>): void {
    const read = pod(...words)
    assert.ok(read)
    this.identities.pod(read)
  }
}

test('a workload is at the end of the owners, also where they are heard of later', () => {
  const told = new Told()
  told.pod('web-7d9-x', '10.1.0.1', { owner: ownedBy('ReplicaSet', 'web-7d9') })
  assert.equal(told.last('web-7d9-x').workload, '')
  const set = readOwned(meta('web-7d9', ownedBy('Deployment', 'web')))
  assert.ok(set)
  told.identities.owner('ReplicaSet', set)
  assert.deepEqual([told.last('web-7d9-x').workload, told.last('web-7d9-x').workloadKind], ['web', 'Deployment'])
  told.pod('db-0', '10.1.0.2', { owner: ownedBy('StatefulSet', 'db') })
  told.pod('alone', '10.1.0.3')
  assert.deepEqual([told.last('db-0').workload, told.last('alone').workload], ['db', 'alone'])
  const job = readOwned(meta('backup-28', ownedBy('CronJob', 'backup')))
  assert.ok(job)
  told.identities.owner('Job', job)
  told.pod('backup-28-k', '10.1.0.4', { owner: ownedBy('Job', 'backup-28') })
  assert.deepEqual([told.last('backup-28-k').workload, told.last('backup-28-k').workloadKind], ['backup', 'CronJob'])
})

test('zone from the node, service from the slices, and a cluster IP stands for the workload behind it', () => {
  const told = new Told()
  told.pod('db-0', '10.1.0.2', { owner: ownedBy('StatefulSet', 'db') })
  const node = readNode({
    metadata: {
      uid: 'uid-n',
      name: 'node-1',
      labels: { 'topology.kubernetes.io/zone': 'eu-1a' },
      creationTimestamp: START,
    },
    status: {
      addresses: [
        { type: 'InternalIP', address: '192.168.0.7' },
        { type: 'Hostname', address: 'node-1' },
      ],
    },
  })
  const service = readService({ ...meta('db'), spec: { clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'] } })
  const slice = readSlice({
    ...meta('db-abc', { labels: { 'kubernetes.io/service-name': 'db' } }),
    endpoints: [{ targetRef: { kind: 'Pod', uid: 'uid-db-0' } }, {}],
  })
  assert.ok(node && service && slice)
  told.identities.node(node)
  told.identities.service(service)
  told.identities.slice(slice)
  assert.deepEqual([told.last('db-0').zone, told.last('db-0').service], ['eu-1a', 'db'])
  const named = told.all.filter((each) => each.kind === 'service').pop()
  assert.deepEqual([named?.workload, named?.service, named?.addresses], ['db', 'db', ['10.96.0.5']])
  assert.deepEqual(told.last('node-1').addresses, ['192.168.0.7'])
  told.identities.sliceGone('uid-db-abc')
  assert.equal(told.last('db-0').service, '')
})

test('a pod ends when its last container has, or when it is gone', () => {
  const told = new Told()
  told.pod('a', '10.1.0.1')
  assert.deepEqual([told.last('a').validFromUs, told.last('a').validToUs], [START_US, STILL_VALID_US])
  const ended = { containerStatuses: [{ name: 'app', state: { terminated: { finishedAt: '2026-11-24T12:05:00Z' } } }] }
  told.pod('a', '10.1.0.1', { status: ended })
  assert.equal(told.last('a').validToUs, START_US + 301_000_000)
  told.nowUs = START_US + 900_000_000
  told.identities.podGone('uid-a')
  assert.equal(told.last('a').validToUs, START_US + 301_000_000)
  told.pod('b', '10.1.0.2')
  told.identities.podGone('uid-b')
  assert.equal(told.last('b').validToUs, told.nowUs)
  assert.equal(told.identities.podCount, 0)
})

test('pods on their node’s network have no address of their own; those without an address are not told', () => {
  const told = new Told()
  told.pod('host', '192.168.0.7', { spec: { hostNetwork: true } })
  told.pod('pending', '', { status: { podIPs: [] } })
  assert.deepEqual(told.all, [])
})

test('the same again is not told again', () => {
  const told = new Told()
  told.pod('a', '10.1.0.1')
  told.pod('a', '10.1.0.1', { status: { conditions: [{ type: 'Ready' }] } })
  assert.equal(told.all.length, 1)
})

test('objects of any shape are read or refused, never believed', () => {
  for (const object of [null, 7, 'x', [], {}, { metadata: null }, { metadata: { uid: 7, name: 'a' } }]) {
    for (const read of [readPod, readOwned, readNode, readService, readSlice]) assert.equal(read(object), null)
  }
  const odd = readPod({
    metadata: { uid: 'u', name: 'x'.repeat(9999), namespace: 3, ownerReferences: 'no' },
    spec: [],
    status: { podIPs: { ip: 'x' }, podIP: 5, startTime: 'yesterday', containerStatuses: [null, { containerID: {} }] },
  })
  assert.deepEqual(
    [odd?.name.length, odd?.namespace, odd?.addresses, odd?.startedUs, odd?.containers],
    [512, '', [], 0, []],
  )
})
