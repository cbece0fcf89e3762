import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { DrivenClock } from '../../test/fakes/clock.js'
import { identity } from '../../test/fakes/identities.js'
import { OpenCache } from '../../test/fakes/open_cache.js'
import { PodHistory } from '../../test/sim/pod_history.js'
import { MemoryBus } from '../adapters/memory/bus.js'
import { PodTable } from '../adapters/memory/pod_table.js'
import { KlartextError } from '../core/errors.js'
import type { Identity } from '../core/pods.js'
import { Random } from '../core/random.js'
import { createTopics, TOPICS } from '../core/topics.js'
import { encodeFollowed, encodeIdentity, POD_SCHEMA_ID, podKey } from '../core/wire/pods.js'
import { PodCache } from './pod_cache.js'
import { PodFeed } from './pod_feed.js'

const S = 1_000_000
const PODS = 300

const addressOf = (i: number) => `10.1.${i >> 8}.${i & 255}`

async function world() {
  const clock = new DrivenClock()
  const atUs = clock.nowUs()
  const cache = new OpenCache(() => clock.nowMs)
  const busOf = async (pods: number) => {
    const bus = new MemoryBus({ nowMs: () => clock.nowMs })
    await createTopics(bus, 1)
    const producer = await bus.producer()
    const put = (one: Identity) =>
      producer.send(TOPICS.pods, 0, [{ key: podKey('lab', one.key), value: encodeIdentity(one) }])
    const follow = () => {
      const value = encodeFollowed({ cluster: 'lab', network: '', untilUs: clock.nowUs() })
      return producer.send(TOPICS.pods, 0, [{ key: podKey('lab', ''), value }])
    }
    for (let i = 0; i < pods; i++) await put(identity(`pod-${i}`, { addresses: [addressOf(i)] }))
    await follow()
    return { bus, put, follow }
  }
  const first = await busOf(PODS)
  const start = async (bus = first.bus) => {
    let why: unknown = null
    const errors: unknown[] = []
    const podCache = new PodCache({
      cache,
      bus,
      clock,
      onLoad: (_, reason) => {
        why = reason
      },
      onError: (error) => errors.push(error),
    })
    const table = new PodTable()
    const feed = new PodFeed({ bus, clock, pods: table, cache: podCache })
    await feed.load()
    await feed.step()
    await podCache.idle()
    const named = (i: number) => {
      const found = table.at(clock.nowUs()).byAddress('lab', addressOf(i), atUs)
      return typeof found === 'object' ? found.name : found
    }
    const [result] = Object.keys(podCache.loads)
    return { feed, table, podCache, named, result, why: () => (why as Error | null)?.message ?? '', errors }
  }
  const written = async () => {
    const worker = await start()
    await worker.feed.step()
    await worker.podCache.idle()
    assert.equal(worker.podCache.saved, 1)
    return worker
  }
  return { clock, cache, ...first, busOf, start, written }
}

test('one worker writes, the next ones take it over and read only what came since', async () => {
  const { written, start, put, follow, clock, cache } = await world()
  assert.equal((await written()).result, 'empty')
  await put(identity('new', { addresses: [addressOf(7)] }))
  clock.advance(1000)
  await follow()
  const worker = await start()
  assert.equal(worker.result, 'taken')
  assert.equal(worker.feed.records, 2)
  assert.deepEqual([worker.named(3), worker.named(7), worker.named(PODS)], ['pod-3', 'unknown', 'nobody'])
  const head = JSON.parse(gunzipSync(cache.values.get(cache.keyOf(/head$/)) as Buffer).toString())
  assert.deepEqual([head.items, head.start, head.next], [PODS + 1, '0', String(PODS + 1)])
  // Not so soon after the first one.
  await worker.feed.step()
  await worker.podCache.idle()
  assert.deepEqual([worker.podCache.saved, worker.errors], [0, []])
})

const NEWER = Buffer.from([0, 0, 0, 0, POD_SCHEMA_ID + 1])
type Harm = (cache: OpenCache, random: Random) => void
const part = /:0$/
const cases: [string, string, RegExp, Harm][] = [
  ['empty', 'empty', /^$/, (cache) => cache.edit(/head$/, () => null)],
  [
    'the head is garbage',
    'unreadable',
    /head of a pod snapshot, .*incorrect header/,
    (cache) => cache.edit(/head$/, () => NEWER),
  ],
  ['the head is no object', 'unreadable', /format undefined/, (cache) => cache.edit(/head$/, () => gzipSync('7'))],
  ['of a newer klartext', 'unreadable', /format 2, /, (cache) => cache.editHead((head) => (head.format = 2))],
  ['a part is missing', 'unreadable', /part 0 is not there/, (cache) => cache.edit(part, () => null)],
  ['a part is cut', 'unreadable', /unexpected end/, (cache) => cache.edit(part, (value) => value.subarray(0, 500))],
  ['a part is of another one', 'unreadable', /items are there/, (cache) => cache.edit(part, () => gzipSync(''))],
  ['a part is garbage', 'unreadable', /incorrect header/, (cache) => cache.edit(part, () => Buffer.from('klartext'))],
  [
    'a part swells',
    'unreadable',
    /Cannot create a Buffer larger/,
    (cache) => cache.edit(part, () => gzipSync(Buffer.alloc(64 << 20))),
  ],
  [
    'a part has messages of a newer klartext',
    'unreadable',
    /update it first/,
    (cache) => cache.edit(part, (value) => gzipSync(replaced(gunzipSync(value)))),
  ],
  ['more parts than there can be', 'unreadable', /257 parts/, (cache) => cache.editHead((head) => (head.parts = 257))],
  ['of tomorrow', 'old', /saved -86400 s ago/, (cache) => cache.editHead((head) => later(head, 86_400))],
  ['of the day before', 'old', /saved 90000 s ago/, (cache) => cache.editHead((head) => later(head, -90_000))],
  ['ends behind the topic', 'foreign', /ends at 301/, (cache) => cache.editHead((head) => (head.next = '302'))],
  ['began elsewhere', 'foreign', /begins at 0, not at 1/, (cache) => cache.editHead((head) => (head.start = '1'))],
  [
    'the last record is another one',
    'foreign',
    /another record at 300/,
    (cache) => cache.editHead((head) => ((head.last as Record<string, unknown>).digest = '0'.repeat(64))),
  ],
]

function replaced(bytes: Buffer): Buffer {
  NEWER.copy(bytes, bytes.indexOf(Buffer.from([0, 0, 0, 0, POD_SCHEMA_ID])))
  return bytes
}

function later(head: Record<string, unknown>, seconds: number): void {
  head.savedUs = (head.savedUs as number) + seconds * S
}

test('what is not whole, not known or not of this topic is not taken: all is read, and no name is another one', async () => {
  const { written, start, cache } = await world()
  await written()
  const whole = new Map(cache.values)
  for (const [name, result, why, harm] of cases) {
    for (const [key, value] of whole) cache.values.set(key, value)
    harm(cache, new Random(1))
    const worker = await start()
    assert.equal(worker.result, result, name)
    assert.match(worker.why(), why, name)
    assert.equal(worker.feed.records, PODS + 1, name)
    assert.deepEqual([worker.named(3), worker.named(PODS)], ['pod-3', 'nobody'], name)
  }
})

test('bytes that were changed anywhere are noticed, or change nothing', async () => {
  const { written, start, cache } = await world()
  await written()
  const whole = new Map(cache.values)
  const random = new Random(5)
  const results = new Map<string, number>()
  for (let i = 0; i < 150; i++) {
    for (const [key, value] of whole) cache.values.set(key, value)
    cache.edit(random.chance(0.6) ? /head$/ : part, (value) => {
      const harmed = Buffer.from(value)
      for (let n = 1 + random.below(3); n > 0; n--) harmed[random.below(harmed.length)] = random.below(256)
      return random.chance(0.1) ? harmed.subarray(0, random.below(harmed.length)) : harmed
    })
    const worker = await start()
    results.set(worker.result, (results.get(worker.result) ?? 0) + 1)
    assert.deepEqual([worker.named(3), worker.named(PODS - 1), worker.named(PODS)], ['pod-3', 'pod-299', 'nobody'])
  }
  assert.ok((results.get('unreadable') ?? 0) > 75, JSON.stringify([...results]))
})

test('a cache that is away, or slow, is not waited for, and nothing is written to it', async () => {
  const { written, start, cache, clock } = await world()
  await written()
  cache.failing = new KlartextError('CACHE_AWAY', 'Redis at redis:6379: WRONGPASS', { retryable: true })
  const worker = await start()
  assert.deepEqual([worker.result, worker.why(), worker.named(3)], ['away', 'Redis at redis:6379: WRONGPASS', 'pod-3'])
  clock.advance(600_000)
  for (let i = 0; i < 2; i++) {
    await worker.feed.step()
    await worker.podCache.idle()
  }
  assert.deepEqual([worker.podCache.failures, worker.errors], [2, [cache.failing, cache.failing]])
  cache.failing = null
  cache.editHead((head) => (head.parts = 100))
  cache.onGet = () => clock.advance(800)
  const key = cache.keyOf(part)
  for (let i = 1; i < 100; i++) cache.values.set(key.replace(part, `:${i}`), cache.values.get(key) as Buffer)
  const slow = await start()
  assert.deepEqual([slow.result, slow.why(), slow.named(3)], ['away', '8 of 100 parts came in time', 'pod-3'])
})

test('whoever fails while writing leaves what was there before', async () => {
  const { written, start, follow, cache, clock } = await world()
  const worker = await written()
  cache.onSet = (key) => {
    if (key.endsWith('head')) throw new KlartextError('CACHE_AWAY', 'OOM command not allowed', { retryable: true })
  }
  clock.advance(600_000)
  await follow()
  for (let i = 0; i < 2; i++) {
    await worker.feed.step()
    await worker.podCache.idle()
  }
  assert.match(String(worker.errors), /OOM/)
  assert.equal([...cache.values.keys()].filter((key) => part.test(key)).length, 2)
  const next = await start()
  assert.deepEqual([next.result, next.feed.records, next.named(3)], ['taken', 1, 'pod-3'])
})

test('where the last record was cleaned away nothing says that the topic is the same', async () => {
  const { written, start, bus } = await world()
  await written()
  const cleaned = Object.assign(Object.create(bus), {
    startOffset: () => bus.startOffset(TOPICS.pods, 0),
    endOffset: () => bus.endOffset(TOPICS.pods, 0),
    clusterId: () => bus.clusterId(),
    async *read(topic: string, partition: number, from: bigint, to: bigint) {
      for await (const records of bus.read(topic, partition, from, to)) {
        const kept = records.filter(({ offset }) => offset !== BigInt(PODS))
        if (kept.length > 0) yield kept
      }
    },
  }) as MemoryBus
  const worker = await start(cleaned)
  assert.deepEqual([worker.result, worker.feed.records], ['foreign', PODS])
  assert.match(worker.why(), /another record at 300, or none/)
})

test('a topic that was made anew, cut at its beginning or at its end is another one', async () => {
  const { written, start, busOf, bus, cache, clock } = await world()
  const worker = await written()
  const id = await bus.clusterId()
  clock.advance(1000)
  const anew = async (pods: number) => {
    const made = (await busOf(pods)).bus
    Object.assign(made, { clusterId: async () => id })
    return made
  }
  for (const pods of [PODS, PODS + 5, 3]) {
    const { result, why } = await start(await anew(pods))
    assert.equal(result, 'foreign')
    assert.match(why(), pods === 3 ? /ends at 4, before 301/ : /another record at 300/)
  }
  // Another cluster of Kafka.
  assert.equal((await start((await busOf(PODS)).bus)).result, 'empty')
  // Records are removed: nobody takes over what was read before, nor writes it.
  bus.log(TOPICS.pods, 0).trim(0, 50n, true)
  const { result, why, named } = await start()
  assert.deepEqual([result, named(3)], ['foreign', 'nobody'])
  assert.match(why(), /begins at 50, not at 0/)
  cache.values.clear()
  clock.advance(600_000)
  for (let i = 0; i < 3; i++) {
    await worker.feed.step()
    await worker.podCache.idle()
  }
  assert.match(String(worker.errors), /begins at 50, what was read began at 0/)
  assert.ok(![...cache.values.keys()].some((key) => key.endsWith('head')))
})

test('a worker whose topic was made anew writes nothing any more', async () => {
  const { start, busOf, cache, clock } = await world()
  const [one, other] = [(await busOf(20)).bus, await busOf(30)]
  let bus = one
  const changing = new Proxy(one, {
    get: (_, name) => {
      const value = Reflect.get(bus, name)
      return typeof value === 'function' ? value.bind(bus) : value
    },
  })
  const worker = await start(changing)
  bus = other.bus
  for (let i = 0; i < 4; i++) {
    await worker.feed.step()
    await worker.podCache.idle()
    clock.advance(400_000)
  }
  assert.equal(worker.feed.records, 21 + 31)
  assert.equal(worker.podCache.saved, 0)
  assert.equal(cache.values.size, 0)
})

test('live, from the topic, from the cache: the same names at all times', async () => {
  for (const seed of [101, 102, 103]) assert.ok((await new PodHistory(seed).play(100)).taken > 5)
})
