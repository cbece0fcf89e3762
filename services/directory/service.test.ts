import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeKubernetes } from '../../test/fakes/kubernetes.js'
import { SteppedClock } from '../../test/fakes/stepped_clock.js'
import { MemoryBus } from '../adapters/memory/bus.js'
import { type PodRecord, STILL_VALID_US } from '../core/pods.js'
import type { Bus, BusProducer } from '../core/ports/bus.js'
import { ApiError } from '../core/ports/kubernetes.js'
import { Random } from '../core/random.js'
import { createTopics, TOPICS } from '../core/topics.js'
import { decodePodRecord, encodeFollowed, POD_SCHEMA_ID, podKey } from '../core/wire/pods.js'
import { DirectoryService } from './service.js'

const START_US = 1_790_000_000_000_000
const S = 1_000_000
const PODS = '/api/v1/pods'
const iso = (second: number) => new Date((START_US + second * S) / 1000).toISOString()

function pod(uid: string, ip: string, more: { readonly metadata?: object; readonly status?: object } = {}) {
  return {
    metadata: { uid, name: `pod-${uid}`, namespace: 'shop', creationTimestamp: iso(0), ...more.metadata },
    spec: { nodeName: 'node-1' },
    status: { startTime: iso(0), podIP: ip, ...more.status },
  }
}

/** A bus whose producers fail on demand. */
class FailingBus extends MemoryBus {
  failing = false

  override async producer(options?: { transactionalId?: string }): Promise<BusProducer> {
    const producer = await super.producer(options)
    return {
      send: async (topic, partition, messages) => {
        if (this.failing) throw new Error('the broker is away')
        return producer.send(topic, partition, messages)
      },
      begin: () => producer.begin(),
      close: () => producer.close(),
    }
  }
}

class World {
  readonly clock = new SteppedClock(START_US)
  readonly bus = new FailingBus({ nowMs: () => this.clock.nowUs() / 1000 })
  readonly api = new FakeKubernetes(this.clock, new Random(1))
  readonly errors: string[] = []
  readonly stops: AbortController[] = []

  async start(): Promise<DirectoryService> {
    await createTopics(this.bus, 1)
    const service = new DirectoryService({
      bus: this.bus as Bus,
      api: this.api,
      clock: this.clock,
      cluster: 'lab',
      network: 'vpc',
      random: () => 0.5,
      onError: (where, error) => this.errors.push(`${where}: ${(error as Error).message}`),
    })
    await service.start()
    const stop = new AbortController()
    this.stops.push(stop)
    void service.run(stop.signal)
    return service
  }

  async to(second: number): Promise<void> {
    const us = START_US + second * S
    while (this.clock.nowUs() < us) await this.clock.advanceTo(Math.min(us, this.clock.nowUs() + S / 10))
  }

  /** Ends all processes. */
  async stop(): Promise<void> {
    for (const stop of this.stops.splice(0)) stop.abort()
    await this.to((this.clock.nowUs() - START_US) / S + 0.2)
  }

  async told(): Promise<(PodRecord | { readonly type: 'removed'; readonly key: string })[]> {
    const found: (PodRecord | { readonly type: 'removed'; readonly key: string })[] = []
    await this.bus.readAll(TOPICS.pods, 0, (records) => {
      for (const { key, value } of records) {
        found.push(value.length === 0 ? { type: 'removed', key: String(key) } : decodePodRecord(value))
      }
    })
    return found
  }

  /** Seconds since the start that were told last of an identity. */
  async span(key: string): Promise<(number | string)[]> {
    let span: (number | string)[] = []
    for (const record of await this.told()) {
      if (record.type !== 'identity' || record.identity.key !== key) continue
      const { validFromUs, validToUs } = record.identity
      span = [(validFromUs - START_US) / S, validToUs === STILL_VALID_US ? 'open' : (validToUs - START_US) / S]
    }
    return span
  }

  async followedS(): Promise<number> {
    let last = Number.NaN
    for (const record of await this.told()) {
      if (record.type === 'followed') last = (record.followed.untilUs - START_US) / S
    }
    return last
  }
}

test('what a newer directory has told of this cluster is not told anew by an older one', async () => {
  const world = new World()
  const value = encodeFollowed({ cluster: 'lab', network: '', untilUs: 1 })
  value.writeInt32BE(POD_SCHEMA_ID + 1, 1)
  await world.start()
  await world.stop()
  const producer = await world.bus.producer()
  await producer.send(TOPICS.pods, 0, [{ key: podKey('other', ''), value }])
  await world.start()
  await world.stop()
  await producer.send(TOPICS.pods, 0, [{ key: podKey('lab', ''), value }])
  await assert.rejects(world.start(), { code: 'SCHEMA_NEWER' })
})

test('identities, and after them how far the cluster was followed; nothing twice', async () => {
  const world = new World()
  world.api.put(PODS, pod('a', '10.1.0.1'))
  const service = await world.start()
  assert.match(service.notReady ?? '', /^not listed yet: Node, /)
  await world.to(5)
  const [first, second] = await world.told()
  assert.equal(first.type === 'identity' && first.identity.name, 'pod-a')
  assert.deepEqual(second.type === 'followed' && [second.followed.cluster, second.followed.network], ['lab', 'vpc'])
  assert.equal(service.notReady, null)
  assert.ok((await world.followedS()) > 3)
  world.api.put(PODS, pod('a', '10.1.0.1', { status: { message: 'changed, not in what is told' } }))
  await world.to(8)
  assert.equal((await world.told()).filter(({ type }) => type === 'identity').length, 1)
  await world.stop()
})

test('a pod that was gone before anybody asked is told with its end', async () => {
  const world = new World()
  await world.start()
  await world.to(3)
  world.api.put(PODS, pod('a', '10.1.0.1'))
  world.api.delete(PODS, 'a')
  await world.to(5)
  const [fromS, toS] = await world.span('a')
  assert.ok(fromS === 0 && Number(toS) >= 3 && Number(toS) < 3.5, `${fromS} to ${toS}`)
  await world.stop()
})

test('the next process ends what is gone, up to when it was there for certain, and tells nothing anew', async () => {
  const world = new World()
  for (const uid of ['a', 'b']) world.api.put(PODS, pod(uid, `10.1.0.${uid.charCodeAt(0)}`))
  await world.start()
  await world.to(5)
  await world.stop()
  const followed = await world.followedS()
  const before = (await world.told()).length
  world.api.delete(PODS, 'a')
  await world.to(60)
  await world.start()
  await world.to(65)
  assert.deepEqual(
    [await world.span('a'), await world.span('b')],
    [
      [0, followed],
      [0, 'open'],
    ],
  )
  const told = (await world.told()).slice(before).filter(({ type }) => type === 'identity')
  assert.equal(told.length, 1)
  await world.stop()
})

test('while the API server is away the cluster is not followed; what went meanwhile ended when it was last seen', async () => {
  const world = new World()
  world.api.put(PODS, pod('a', '10.1.0.1'))
  const service = await world.start()
  await world.to(5)
  world.api.failure = new ApiError(503, 'etcd has no leader')
  world.api.endWatches(new ApiError(0, 'connection lost'))
  await world.to(30)
  const followed = await world.followedS()
  assert.ok(followed <= 5)
  assert.equal(service.notReady, 'etcd has no leader')
  world.api.delete(PODS, 'a')
  world.api.put(PODS, pod('b', '10.1.0.2'))
  world.api.compact()
  world.api.failure = null
  await world.to(45)
  assert.deepEqual(await world.span('b'), [0, 'open'])
  const [, endS] = await world.span('a')
  assert.ok(Number(endS) >= followed && Number(endS) <= 5, `${endS}`)
  assert.ok((await world.followedS()) > 40)
  assert.equal(service.notReady, null)
  assert.ok(world.errors.includes('Pod: too old resource version'))
  await world.stop()
})

test('a token that is refused stops nothing but the claim to follow', async () => {
  const world = new World()
  const service = await world.start()
  await world.to(5)
  world.api.failure = new ApiError(401, '/api/v1/nodes: 401 Unauthorized')
  await world.to(10)
  assert.equal(service.notReady, '/api/v1/nodes: 401 Unauthorized')
  assert.ok((await world.followedS()) <= 5)
  // The watches are still open.
  world.api.put(PODS, pod('a', '10.1.0.1'))
  await world.to(11)
  assert.deepEqual(await world.span('a'), [0, 'open'])
  await world.stop()
})

test('what the bus does not take waits, and only the newest of each key', async () => {
  const world = new World()
  const service = await world.start()
  await world.to(3)
  world.bus.failing = true
  for (let i = 0; i < 50; i++) {
    world.api.put(PODS, { ...pod('a', '10.1.0.1'), spec: { nodeName: 'node-1', serviceAccountName: `sa-${i}` } })
    await world.to(3 + i / 5)
  }
  assert.equal(service.publisher.waiting, 1)
  assert.equal(service.notReady, 'the broker is away')
  const followed = await world.followedS()
  assert.ok(followed <= 3)
  world.bus.failing = false
  await world.to(15)
  const accounts = (await world.told()).map((record) => record.type === 'identity' && record.identity.serviceAccount)
  assert.deepEqual(accounts.filter(Boolean), ['sa-49'])
  assert.ok((await world.followedS()) > 13)
  await world.stop()
})

test('who ended days ago is taken out of the topic', async () => {
  const world = new World()
  world.api.put(PODS, pod('a', '10.1.0.1'))
  await world.start()
  await world.to(3)
  world.api.delete(PODS, 'a')
  await world.to(5)
  await world.stop()
  await world.clock.advanceTo(START_US + 5 * 86_400 * S)
  await world.start()
  await world.clock.advanceTo(world.clock.nowUs() + 5 * S)
  assert.ok((await world.told()).some((record) => record.type === 'removed' && record.key === 'lab/a'))
  await world.stop()
})

test('garbage, hostile names and endless coming and going leave nothing behind', async () => {
  const world = new World()
  const service = await world.start()
  await world.to(2)
  const names = ['\u0000', '\ud800', 'a\nb', "'; DROP TABLE pods; --", '../../etc', '__proto__', 'x'.repeat(100_000)]
  const odd = [null, 7, 'x', [], { metadata: { uid: 'a/b', name: 'x' } }, { metadata: { uid: '', name: '' } }]
  for (let i = 0; i < 2_000; i++) {
    const [uid, name] = [`u${i}`, names[i % names.length]]
    const metadata = {
      name,
      namespace: name,
      ownerReferences: [{ kind: 'ReplicaSet', name, uid: `o${i}`, controller: true }],
    }
    world.api.put('/apis/apps/v1/replicasets', { metadata: { uid: `o${i}`, name, namespace: name } })
    world.api.put(PODS, pod(uid, `10.2.${i >> 8}.${i & 255}`, { metadata }))
    world.api.garbage(PODS, odd[i % odd.length])
    if (i % 100 === 0) await world.to(2 + i / 1000)
    world.api.delete('/apis/apps/v1/replicasets', `o${i}`)
    world.api.delete(PODS, uid)
  }
  await world.to(8)
  const { pods, owners, lives } = service.directory.sizes
  assert.deepEqual({ pods, owners, lives }, { pods: 0, owners: 0, lives: 0 })
  assert.equal(service.publisher.waiting, 0)
  assert.ok(service.directory.unreadable > 1_900, String(service.directory.unreadable))
  const told = (await world.told()).flatMap((record) => (record.type === 'identity' ? [record.identity] : []))
  assert.ok(told.some(({ namespace }) => namespace === "'; DROP TABLE pods; --"))
  assert.ok(told.every(({ name, namespace }) => name.length <= 512 && namespace.length <= 512))
  await world.stop()
})
