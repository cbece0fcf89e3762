import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Identity, STILL_VALID_US } from '../core/pods.js'
import { Identities } from './identities.js'
import { readNamespace, readNode, readOwned, readPod, readService, readSlice } from './objects.js'

const START = '2026-11-24T12:00:00Z'
const START_US = Date.parse(START) * 1000
const S = 1_000_000
const at = (second: number) => new Date((START_US + second * S) / 1000).toISOString()

const meta = (name: string, more: object = {}) => ({
  metadata: { uid: `uid-${name}`, name, namespace: 'shop', creationTimestamp: START, ...more },
})
const ownedBy = (kind: string, name: string) => ({
  ownerReferences: [{ kind, name, uid: `uid-${name}`, controller: true }],
})
const running = (fromS: number, more: object = {}) => ({
  containerStatuses: [
    {
      name: 'app',
      containerID: 'containerd://c1',
      restartCount: 0,
      state: { running: { startedAt: at(fromS) } },
      ...more,
    },
  ],
})
const ended = (atS: number) => ({
  containerStatuses: [{ name: 'app', containerID: 'containerd://c1', state: { terminated: { finishedAt: at(atS) } } }],
})

interface More {
  readonly meta?: object
  readonly status?: object
  readonly spec?: object
}

class Told {
  readonly all: Identity[] = []
  nowUs = START_US
  seenUs = START_US
  readonly identities = new Identities('lab', { nowUs: () => this.nowUs, seenUs: () => this.seenUs }, (identity) =>
    this.all.push(identity),
  )

  /** What was told last of an object, of its life with this number. */
  last(name: string, life = 1): Identity {
    const key = life === 1 ? `uid-${name}` : `uid-${name}.${life}`
    const found = this.all.filter((each) => each.key === key).pop()
    assert.ok(found, `${key} of ${this.all.map((each) => each.key)}`)
    return found
  }

  /** Seconds after the start. */
  span(name: string, life = 1): (number | string)[] {
    const { validFromUs, validToUs } = this.last(name, life)
    return [(validFromUs - START_US) / S, validToUs === STILL_VALID_US ? 'open' : (validToUs - START_US) / S]
  }

  pod(name: string, ip: string, more: More = {}): void {
    const read = readPod({
      ...meta(name, more.meta),
      spec: { nodeName: 'node-1', serviceAccountName: 'sa', ...more.spec },
      status: { startTime: START, ...(ip === '' ? {} : { podIP: ip, podIPs: [{ ip }] }), ...more.status },
    })
    assert.ok(read)
    this.identities.pod(read)
  }

  owner(kind: string, name: string, more: object = {}): void {
    const read = readOwned(meta(name, more))
    assert.ok(read)
    this.identities.owner(kind, read)
  }

  node(name: string, zone: string, addresses: readonly string[], more: object = {}): void {
    const read = readNode({
      metadata: {
        ...meta(name, more).metadata,
        labels: { 'topology.kubernetes.io/zone': zone, 'topology.kubernetes.io/region': 'eu' },
      },
      status: {
        addresses: [
          ...addresses.map((address) => ({ type: 'InternalIP', address })),
          { type: 'Hostname', address: name },
        ],
      },
    })
    assert.ok(read)
    this.identities.node(read)
  }

  service(name: string, spec: object, status: object = {}, more: object = {}): void {
    const read = readService({ ...meta(name, more), spec, status })
    assert.ok(read)
    this.identities.service(read)
  }

  slice(service: string, pods: readonly string[]): void {
    const read = readSlice({
      ...meta(`slice-${service}`, { labels: { 'kubernetes.io/service-name': service } }),
      endpoints: [...pods.map((pod) => ({ targetRef: { kind: 'Pod', uid: `uid-${pod}` } })), {}],
    })
    assert.ok(read)
    this.identities.slice(read)
  }
}

test('a workload is at the end of the owners, also where they are heard of later', () => {
  const told = new Told()
  const workload = (name: string) => [told.last(name).workload, told.last(name).workloadKind]
  told.pod('web-7d9-x', '10.1.0.1', { meta: ownedBy('ReplicaSet', 'web-7d9') })
  assert.equal(told.last('web-7d9-x').workload, '')
  told.owner('ReplicaSet', 'web-7d9', ownedBy('Deployment', 'web'))
  assert.deepEqual(workload('web-7d9-x'), ['web', 'Deployment'])
  told.pod('db-0', '10.1.0.2', { meta: ownedBy('StatefulSet', 'db') })
  told.pod('alone', '10.1.0.3')
  assert.deepEqual([told.last('db-0').workload, told.last('alone').workload], ['db', 'alone'])
  told.owner('Job', 'backup-28', ownedBy('CronJob', 'backup'))
  told.pod('backup-28-k', '10.1.0.4', { meta: ownedBy('Job', 'backup-28') })
  assert.deepEqual(workload('backup-28-k'), ['backup', 'CronJob'])
  told.pod('proxy-node-1', '', { meta: ownedBy('Node', 'node-1'), spec: { hostNetwork: true } })
  assert.deepEqual(workload('proxy-node-1'), ['proxy', 'Pod'])
})

test('owners are deleted before their pods: those keep their workload, and the owner is forgotten with the last', () => {
  const told = new Told()
  told.owner('ReplicaSet', 'web-7d9', ownedBy('Deployment', 'web'))
  told.pod('web-7d9-x', '10.1.0.1', { meta: ownedBy('ReplicaSet', 'web-7d9') })
  told.identities.ownerGone('uid-web-7d9')
  const leaving = { ...ownedBy('ReplicaSet', 'web-7d9'), deletionTimestamp: at(40) }
  told.pod('web-7d9-x', '10.1.0.1', { meta: leaving, status: ended(30) })
  assert.deepEqual([told.last('web-7d9-x').workload, ...told.span('web-7d9-x')], ['web', 0, 31])
  told.identities.podGone('uid-web-7d9-x')
  told.pod('web-7d9-y', '10.1.0.1', { meta: ownedBy('ReplicaSet', 'web-7d9') })
  assert.equal(told.last('web-7d9-y').workload, '')
})

test('zone from the node, service from the slices, and a cluster IP stands for the workload behind it', () => {
  const told = new Told()
  told.pod('db-0', '10.1.0.2', { meta: ownedBy('StatefulSet', 'db') })
  told.node('node-1', 'eu-1a', ['192.168.0.7'])
  told.service('db', { clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'] })
  assert.equal(told.last('db').workload, '')
  told.slice('db', ['db-0'])
  const { zone, region, service } = told.last('db-0')
  assert.deepEqual([zone, region, service], ['eu-1a', 'eu', 'db'])
  const named = told.last('db')
  assert.deepEqual([named.workload, named.service, named.addresses], ['db', 'db', ['10.96.0.5']])
  assert.deepEqual(told.last('node-1').addresses, ['192.168.0.7'])
  // Scaled to nothing it still stands for the same; with pods of two workloads for none.
  told.slice('db', [])
  assert.equal(told.last('db').workload, 'db')
  told.pod('other', '10.1.0.9')
  told.slice('db', ['db-0', 'other'])
  assert.equal(told.last('db').workload, '')
  told.identities.sliceGone('uid-slice-db')
  assert.equal(told.last('db-0').service, '')
})

test('a pod that leaves is taken out of its slice first, and keeps its service', () => {
  const told = new Told()
  told.pod('db-0', '10.1.0.2')
  told.slice('db', ['db-0'])
  told.pod('db-0', '10.1.0.2', { meta: { deletionTimestamp: at(30) } })
  told.slice('db', [])
  told.pod('db-0', '10.1.0.2', { meta: { deletionTimestamp: at(30) }, status: ended(20) })
  told.identities.podGone('uid-db-0')
  assert.deepEqual([told.last('db-0').service, ...told.span('db-0')], ['db', 0, 21])
})

test('an address is a pod’s from its first container on, not from when the kubelet took the pod up', () => {
  const told = new Told()
  told.pod('a', '')
  assert.deepEqual([told.last('a').addresses, told.last('a').podUid], [[], 'uid-a'])
  told.nowUs = START_US + 61 * S
  const waiting = { containerStatuses: [{ name: 'app', state: { waiting: {} } }] }
  told.pod('a', '10.1.0.1', { status: waiting })
  assert.deepEqual(told.span('a'), [61, 'open'])
  told.nowUs += 5 * S
  told.pod('a', '10.1.0.1', { status: { ...waiting, phase: 'Pending' } })
  assert.deepEqual(told.span('a'), [61, 'open'])
  told.pod('a', '10.1.0.1', { status: running(60) })
  assert.deepEqual(told.span('a'), [60, 'open'])
  const before = { restartCount: 1, lastState: { terminated: { startedAt: at(60), containerID: 'containerd://c0' } } }
  told.pod('a', '10.1.0.1', { status: running(70, before) })
  assert.deepEqual(told.span('a'), [60, 'open'])
  const ids = () => told.last('a').containers.map(({ id }) => id)
  assert.deepEqual(ids(), ['c0', 'c1'])
  // Restarted more often than is told: it is known from before.
  told.pod('a', '10.1.0.1', { status: running(95, { restartCount: 7 }) })
  assert.deepEqual(told.span('a'), [60, 'open'])
  // Heard of only now: since its network was up.
  const ready = [{ type: 'PodReadyToStartContainers', status: 'True', lastTransitionTime: at(9) }]
  told.pod('b', '10.1.0.2', { status: { ...running(95, { restartCount: 7 }), conditions: ready } })
  assert.deepEqual(told.span('b'), [9, 'open'])
})

test('a pod ends when its last container has for good, or when it is gone', () => {
  const told = new Told()
  told.pod('a', '10.1.0.1', { status: running(0) })
  // Its container has ended and will be started again.
  told.pod('a', '10.1.0.1', { status: { phase: 'Running', ...ended(50) } })
  assert.deepEqual(told.span('a'), [0, 'open'])
  told.pod('a', '10.1.0.1', { status: { phase: 'Failed', ...ended(300) } })
  assert.deepEqual(told.span('a'), [0, 301])
  told.nowUs = START_US + 900 * S
  told.identities.podGone('uid-a')
  assert.deepEqual(told.span('a'), [0, 301])
  told.pod('b', '10.1.0.2', { status: running(800) })
  // Up to when it was there for certain.
  told.seenUs = START_US + 899 * S
  told.identities.podGone('uid-b')
  assert.deepEqual(told.span('b'), [800, 899])
  // Deleted at once, after its containers had ended: with them, not with the news.
  told.pod('c', '10.1.0.5', { status: running(700) })
  told.pod('c', '10.1.0.5', { status: { phase: 'Running', ...ended(750) } })
  told.identities.podGone('uid-c')
  assert.equal(told.span('c')[1], 751)
  told.pod('evicted', '10.1.0.3', {
    status: { phase: 'Failed', conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: at(70) }] },
  })
  assert.deepEqual(told.span('evicted'), [0, 71])
  for (const seconds of [900, 950]) {
    told.nowUs = START_US + seconds * S
    told.pod('untold', '10.1.0.4', { status: { phase: 'Failed', message: String(seconds) } })
    assert.deepEqual(told.span('untold'), [0, 900])
  }
  assert.equal(told.identities.podCount, 2)
})

test('a pod whose network was made anew has a second life with its new address; who had the old one stays known', () => {
  const told = new Told()
  told.pod('a', '10.1.0.1', { status: running(5) })
  told.nowUs = START_US + 100 * S
  told.pod('a', '', { status: running(0, { state: { waiting: {} } }) })
  told.nowUs = START_US + 105 * S
  told.pod('a', '10.1.0.7', { status: running(104, { restartCount: 1 }) })
  assert.deepEqual([told.last('a').addresses, ...told.span('a')], [['10.1.0.1'], 5, 100])
  assert.deepEqual([told.last('a', 2).addresses, ...told.span('a', 2)], [['10.1.0.7'], 104, 'open'])
  told.pod('a', '10.1.0.8', { status: running(200, { restartCount: 2 }) })
  assert.deepEqual([...told.span('a', 2), ...told.span('a', 3)], [104, 200, 200, 'open'])
  told.identities.podGone('uid-a')
  assert.equal(told.last('a', 3).validToUs, told.last('a', 3).validFromUs)
})

test('a pod that leaves and loses its address had it all the same', () => {
  const told = new Told()
  told.pod('a', '10.1.0.1', { status: running(5) })
  told.pod('a', '', { status: { phase: 'Succeeded', ...ended(20) } })
  assert.deepEqual([told.last('a').addresses, ...told.span('a')], [['10.1.0.1'], 5, 21])
})

test('pods on their node’s network have no address of their own; what is not on a node is not told', () => {
  const told = new Told()
  told.pod('host', '192.168.0.7', { spec: { hostNetwork: true }, status: running(0) })
  assert.deepEqual([told.last('host').addresses, told.last('host').containers], [[], [{ id: 'c1', name: 'app' }]])
  told.pod('pending', '', { spec: { nodeName: undefined } })
  assert.equal(told.all.length, 1)
})

test('a static pod is known by the uid its kubelet gave it', () => {
  const told = new Told()
  const annotations = { 'kubernetes.io/config.mirror': 'ab12', 'kubernetes.io/config.hash': 'ab12' }
  told.pod('static', '10.1.0.1', { meta: { annotations } })
  assert.equal(told.last('static').podUid, 'ab12')
})

test('addresses of load balancers are a service’s since they were seen, and come and go', () => {
  const told = new Told()
  const ingress = (...ips: string[]) => ({ loadBalancer: { ingress: ips.map((ip) => ({ ip })) } })
  told.service('web', { clusterIP: '10.96.0.9' })
  told.nowUs = START_US + 50 * S
  told.service('web', { clusterIP: '10.96.0.9' }, ingress('198.41.0.4'))
  told.nowUs = START_US + 90 * S
  told.service('web', { clusterIP: '10.96.0.9' }, ingress('198.41.0.5'))
  const lives = told.all.map(({ key, addresses, validFromUs, validToUs }) => [
    key,
    addresses[0],
    (validFromUs - START_US) / S,
    validToUs === STILL_VALID_US ? 'open' : (validToUs - START_US) / S,
  ])
  assert.deepEqual(lives, [
    ['uid-web', '10.96.0.9', 0, 'open'],
    ['uid-web.lb', '198.41.0.4', 50, 'open'],
    ['uid-web.lb', '198.41.0.4', 50, 90],
    ['uid-web.lb.2', '198.41.0.5', 90, 'open'],
  ])
  told.seenUs = START_US + 120 * S
  told.identities.serviceGone('shop', 'web')
  assert.deepEqual(told.span('web'), [0, 120])
  told.service('none', { clusterIP: 'None', clusterIPs: ['None'] })
  assert.deepEqual(told.last('none').addresses, [])
})

test('what comes again under the same name is another', () => {
  const told = new Told()
  told.node('node-1', 'a', ['192.168.0.7'])
  told.service('web', { clusterIP: '10.96.0.9' })
  told.seenUs = START_US + 10 * S
  told.node('node-1', 'b', ['192.168.0.7'], { uid: 'uid-later' })
  told.service('web', { clusterIP: '10.96.0.10' }, {}, { uid: 'uid-later-web' })
  assert.deepEqual(
    [told.span('node-1'), told.span('web')],
    [
      [0, 10],
      [0, 10],
    ],
  )
  assert.equal(told.last('later').zone, 'b')
  const namespace = readNamespace(meta('shop'))
  assert.ok(namespace)
  told.identities.namespace(namespace)
  told.identities.namespaceGone('shop')
  assert.deepEqual(told.span('shop'), [0, 10])
})

test('the same again is not told again', () => {
  const told = new Told()
  told.pod('a', '10.1.0.1')
  told.pod('a', '10.1.0.1', { status: { conditions: [{ type: 'Ready' }] } })
  assert.equal(told.all.length, 1)
})

test('a process that follows another one tells what has changed, ends what has gone, and nothing else', () => {
  const first = new Told()
  first.pod('stays', '10.1.0.1', { status: running(1) })
  first.pod('goes', '10.1.0.2', { status: running(2) })
  first.pod('moves', '10.1.0.3', { status: running(3) })
  first.pod('over', '10.1.0.4', { status: { phase: 'Failed' } })
  first.pod('long-gone', '10.1.0.5', { status: running(2) })
  first.identities.podGone('uid-long-gone')
  first.node('node-1', 'a', ['192.168.0.7'])
  first.service('web', { clusterIP: '10.96.0.9' }, { loadBalancer: { ingress: [{ ip: '198.41.0.4' }] } })
  const newest = new Map(first.all.map((identity) => [identity.key, identity]))

  const next = new Told()
  next.nowUs = START_US + 500 * S
  next.seenUs = START_US + 400 * S
  next.identities.hold()
  for (const identity of newest.values()) next.identities.restore(identity)
  next.pod('stays', '10.1.0.1', { status: running(1) })
  next.pod('moves', '10.1.0.8', { status: running(450, { restartCount: 1 }) })
  next.pod('over', '10.1.0.4', { status: { phase: 'Failed' } })
  next.pod('new', '10.1.0.2', { status: running(480) })
  next.service('web', { clusterIP: '10.96.0.9' }, { loadBalancer: { ingress: [{ ip: '198.41.0.4' }] } })
  next.node('node-1', 'a', ['192.168.0.7'])
  assert.deepEqual(
    next.all.filter(({ key }) => key !== 'uid-moves'),
    [],
  )
  next.identities.release()
  // The zone of the node came with it before: pods that stay are told as they were.
  assert.deepEqual(
    next.all.map(({ key }) => key).sort(),
    ['uid-goes', 'uid-moves', 'uid-moves.2', 'uid-new', 'uid-stays'].filter(
      (key) => key !== 'uid-stays' || first.last('stays').zone === '',
    ),
  )
  assert.deepEqual(next.span('goes'), [2, 400])
  assert.deepEqual(
    [next.span('moves'), next.span('moves', 2)],
    [
      [3, 450],
      [450, 'open'],
    ],
  )
})

test('objects of any shape are read or refused, never believed', () => {
  const readers = [readPod, readOwned, readNode, readService, readSlice, readNamespace]
  const refused = [null, 7, 'x', [], {}, { metadata: null }, { metadata: { uid: 7, name: 'a' } }]
  for (const object of [...refused, { metadata: { uid: 'a/b', name: 'x' } }, { metadata: { uid: 'a.2', name: 'x' } }]) {
    for (const read of readers) assert.equal(read(object), null)
  }
  const odd = readPod({
    metadata: { uid: 'u', name: 'x'.repeat(9999), namespace: 3, ownerReferences: 'no', annotations: 7 },
    spec: [],
    status: { podIPs: { ip: 'x' }, podIP: 5, startTime: 'yesterday', containerStatuses: [null, { containerID: {} }] },
  })
  assert.deepEqual(
    [odd?.name.length, odd?.namespace, odd?.addresses, odd?.startedUs, odd?.containers],
    [512, '', [], 0, []],
  )
})

test('addresses have one form, and what is everybody’s is nobody’s', () => {
  const ips = [
    'FD00:0:0::1',
    '10.1.0.1',
    '::ffff:10.1.0.1',
    '127.0.0.1',
    '::',
    '::1',
    '0.0.0.0',
    '1::zz',
    '1.2.3',
    ' 1.2.3.4',
  ]
  const read = readPod({ ...meta('a'), spec: {}, status: { podIPs: ips.map((ip) => ({ ip })) } })
  assert.deepEqual(read?.addresses, ['fd00::1', '10.1.0.1'])
})
