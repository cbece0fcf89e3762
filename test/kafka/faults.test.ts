/** What happens to a Kafka and its members in a bad week; and what they cost in a quiet one. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Kafka, logLevel } from 'kafkajs'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import type { LostOffsets } from '../../services/adapters/kafka/options.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { BusConsumer, BusRecord } from '../../services/core/ports/bus.js'
import { Random } from '../../services/core/random.js'
import { ConnectionInfo, Segment, TO_SERVER } from '../../services/core/segment.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { cpuUs } from '../bench/capture/cpu.js'
import { Flags, headers, PREFACE, request, settings } from '../fakes/http2_frames.js'
import { wastefulHttp2 } from '../fakes/wasteful_http2.js'
import { killServices, ServiceProcess } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const MB = 1 << 20
const message = (text: string) => ({ key: null, value: Buffer.from(text) })
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function take(consumer: BusConsumer, count: number, maxMs: number): Promise<BusRecord[]> {
  const records: BusRecord[] = []
  for (const until = Date.now() + maxMs; records.length < count && Date.now() < until; ) {
    records.push(...(await consumer.poll(MB, 100)))
  }
  return records
}

const kafka = await ownKafka()
if (typeof kafka === 'string') test('faults', { skip: kafka }, () => {})
else {
  const children = new Set<ChildProcess>()
  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    killServices()
    await kafka.stop()
  })
  const brokers = kafka.brokers.join(',')
  const connect = () => KafkaBus.connect({ brokers: kafka.brokers })

  const admin = async <T>(call: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> => {
    const client = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin()
    await client.connect()
    return call(client).finally(() => client.disconnect())
  }

  /** A member as a process; `lines` grows by what it says. */
  function member(...words: string[]): { child: ChildProcess; lines: Record<string, unknown>[] } {
    const script = fileURLToPath(new URL('member.js', import.meta.url))
    const child = spawn(process.execPath, [script, brokers, ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.add(child)
    const lines: Record<string, unknown>[] = []
    let rest = ''
    child.stdout.on('data', (data: Buffer) => {
      const parts = (rest + data).split('\n')
      rest = parts.pop()!
      lines.push(...parts.map((line) => JSON.parse(line) as Record<string, unknown>))
    })
    return { child, lines }
  }
  async function until(condition: () => boolean, maxMs: number): Promise<void> {
    for (const end = Date.now() + maxMs; !condition(); ) {
      assert.ok(Date.now() < end, 'it took too long')
      await sleep(10)
    }
  }

  test('the broker is killed while records are sent: all that were acknowledged are read once, in order, without a restart', async () => {
    const bus = await connect()
    await bus.createTopic('killed', 2)
    const producer = await bus.producer()
    const consumer = await bus.consumer('killed')
    await consumer.subscribe('killed', async () => {})
    const sent: Promise<bigint>[] = []
    let isKilled = false
    const killing = sleep(300).then(async () => {
      await kafka.kill()
      isKilled = true
      await kafka.restart()
    })
    for (let i = 0; i < 600; i++) {
      sent.push(producer.send('killed', i % 2, [message(`${i}`)]))
      if (i % 10 === 0) await sleep(10)
    }
    await killing
    assert.ok(isKilled)
    const offsets = await Promise.all(sent)
    const records = await take(consumer, 600, 20_000)
    for (const partition of [0, 1]) {
      const of = records.filter((record) => record.partition === partition)
      assert.deepEqual(
        of.map(({ value }) => Number(value)),
        Array.from({ length: 300 }, (_, i) => 2 * i + partition),
      )
      assert.deepEqual(
        of.map(({ offset }) => offset),
        offsets.filter((_, i) => i % 2 === partition),
      )
    }
    assert.deepEqual(await consumer.poll(MB, 300), [])
    await bus.close()
  })

  test('transactions of many sizes, committed and undone at random, over fetches of many batches', async () => {
    const random = new Random(11)
    const bus = await connect()
    await bus.createTopic('mixed', 3)
    const producers = await Promise.all([0, 1, 2].map((i) => bus.producer({ transactionalId: `mixed-${i}` })))
    const wanted: string[][] = [[], [], []]
    let count = 0
    for (let round = 0; round < 60; round++) {
      const partition = round % 3
      const transaction = await producers[partition].begin()
      const texts = Array.from(
        { length: 1 + random.below(200) },
        (_, i) => `${round}.${i}.${'x'.repeat(random.below(600))}`,
      )
      await transaction.send('mixed', partition, texts.map(message))
      if (random.below(3) === 0) await transaction.abort()
      else {
        await transaction.commit()
        wanted[partition].push(...texts)
        count += texts.length
      }
    }
    const consumer = await bus.consumer('mixed')
    await consumer.subscribe('mixed', async () => {})
    const records = await take(consumer, count, 20_000)
    for (const [partition, texts] of wanted.entries()) {
      assert.deepEqual(
        records.filter((record) => record.partition === partition).map(({ value }) => value.toString()),
        texts,
      )
    }
    assert.deepEqual(await consumer.poll(MB, 300), [])
    await bus.close()
  })

  test('what a broker has compressed in each of Kafka’s ways is read', async () => {
    const bus = await connect()
    const texts = Array.from({ length: 2_000 }, (_, i) => `{"path":"/orders/${i}","status":200}`)
    for (const type of ['gzip', 'snappy', 'lz4', 'zstd', 'uncompressed']) {
      const configEntries = [{ name: 'compression.type', value: type }]
      await admin((client) =>
        client.createTopics({ topics: [{ topic: type, numPartitions: 1, configEntries }], waitForLeaders: true }),
      )
      const producer = await bus.producer()
      await producer.send(type, 0, texts.map(message))
      const found: string[] = []
      await bus.readAll(type, 0, (records) => found.push(...records.map(({ value }) => value.toString())))
      assert.deepEqual(found, texts, type)
    }
    await bus.close()
  })

  test('offsets that retention took away: refused, or reported and passed', async () => {
    const bus = await connect()
    await bus.createTopic('lost', 1)
    const producer = await bus.producer()
    await producer.send(
      'lost',
      0,
      Array.from({ length: 10 }, (_, i) => message(`${i}`)),
    )
    const input = { topic: 'lost', partition: 0 }
    const first = await bus.consumer('lost')
    await first.subscribe('lost', async () => {})
    await take(first, 10, 10_000)
    await first.commit(input, 2n, '')
    await first.close()
    await admin(async (client) => {
      // Loads what kafkajs wants to know first.
      await client.fetchTopicOffsets('lost')
      await client.deleteTopicRecords({ topic: 'lost', partitions: [{ partition: 0, offset: '7' }] })
    })
    const ranged = async () => {
      for await (const _ of bus.read('lost', 0, 2n, 10n)) assert.fail('read')
    }
    await assert.rejects(ranged(), { code: 'EXPIRED', message: 'lost/0: 2 is not kept any more, only from 7 on' })
    assert.equal(await bus.startOffset('lost', 0), 7n)
    const strict = await bus.consumer('lost')
    await strict.subscribe('lost', async () => {})
    await assert.rejects(take(strict, 1, 10_000), {
      code: 'OFFSETS_LOST',
      message: 'lost/0: offset 2 is not there, the oldest is 7; what lay between is lost',
    })
    await strict.close()
    const losses: LostOffsets[] = []
    const lenient = await KafkaBus.connect({ brokers: kafka.brokers, onLost: (loss) => losses.push(loss) })
    const consumer = await lenient.consumer('lost')
    await consumer.subscribe('lost', async () => {})
    const records = await take(consumer, 3, 10_000)
    assert.deepEqual(
      records.map(({ value }) => value.toString()),
      ['7', '8', '9'],
    )
    assert.deepEqual(losses, [{ topic: 'lost', partition: 0, from: 2n, to: 7n }])
    await Promise.all([bus.close(), lenient.close()])
  })

  test('a member that is killed is replaced within 5 s, one that ends in order at once', async (t) => {
    const bus = await connect()
    await bus.createTopic('taken', 4)
    const one = member('taken', 'taken')
    await until(() => one.lines.length > 0, 20_000)
    const two = member('taken', 'taken')
    const partitionsOf = (lines: readonly Record<string, unknown>[]) =>
      (lines.findLast((line) => line.assigned !== undefined)?.assigned ?? []) as number[]
    await until(() => partitionsOf(one.lines).length === 2 && partitionsOf(two.lines).length === 2, 20_000)
    const killed = Date.now()
    one.child.kill('SIGKILL')
    await until(() => partitionsOf(two.lines).length === 4, 20_000)
    const takeoverMs = Date.now() - killed
    t.diagnostic(`takeover after kill -9: ${takeoverMs} ms`)
    assert.ok(takeoverMs < 5_000, `${takeoverMs} ms`)
    const consumer = await bus.consumer('taken')
    let assigned: readonly number[] = []
    await consumer.subscribe('taken', async (partitions) => {
      assigned = partitions
    })
    for (const end = Date.now() + 20_000; assigned.length !== 2 && Date.now() < end; ) await consumer.poll(MB, 50)
    assert.equal(assigned.length, 2)
    const left = Date.now()
    await consumer.close()
    await until(() => partitionsOf(two.lines).length === 4, 20_000)
    t.diagnostic(`takeover after leaving: ${Date.now() - left} ms`)
    two.child.kill('SIGKILL')
    await bus.close()
  })

  test('an idle klartext decode with 12 partitions sleeps: it wakes up some twenty times a second', async (t) => {
    const bus = await connect()
    await createTopics(bus, 12)
    const decode = await new ServiceProcess('decode', { KAFKA_BROKERS: brokers }).ready()
    assert.equal(await decode.metric('klartext_decode_partitions'), 12)
    // Its start is over.
    await sleep(4_000)
    const pid = decode.child.pid as number
    const [from, slept, begun] = [cpuUs(pid), sleeps(pid), Date.now()]
    await sleep(6_000)
    const seconds = (Date.now() - begun) / 1000
    const perSecond = (sleeps(pid) - slept) / seconds
    const share = (cpuUs(pid) - from) / 1e6 / seconds
    t.diagnostic(
      `idle klartext decode: ${(share * 100).toFixed(2)} % of a core, awake ${perSecond.toFixed(0)} times a second`,
    )
    assert.ok(perSecond < 60, `${perSecond}`)
    await decode.end('SIGKILL')
    await bus.close()
  })

  test('what is too large for a message, from the network or a foreign sender, does not hold up its partition', async () => {
    const bus = await connect()
    await createTopics(bus, 12)
    const random = new Random(5)
    const producer = await bus.producer()
    // As large as the broker takes, so that a dead letter with its headers would be larger.
    const foreign = Buffer.from(Array.from({ length: 1_048_400 }, () => random.below(256)))
    await producer.send(TOPICS.segments, 0, [{ key: null, value: foreign }])
    for (const value of endlessRequests(random)) await producer.send(TOPICS.segments, 0, [{ key: null, value }])
    const worker = new DecodeWorker({
      bus,
      clock: SYSTEM_CLOCK,
      group: 'large',
      protocols: [wastefulHttp2()],
      policy: new FlowPolicy(defaultPolicy('metadata')),
      deadLetters: true,
    })
    await worker.start()
    const end = await bus.endOffset(TOPICS.segments, 0)
    const committed = () => worker.positions().find(({ partition }) => partition === 0)?.committed ?? 0n
    for (const limit = Date.now() + 30_000; committed() < end; ) {
      assert.ok(Date.now() < limit, `${committed()} of ${end}: ${worker.notReady}`)
      await worker.step(50)
    }
    assert.equal(worker.metrics.failures, 0)
    assert.equal(worker.metrics.deadLetters, 1)
    assert.ok(worker.accounting.closed.evicted > 0)
    await worker.stop()
    await bus.close()
  })
}

/** A client of HTTP/2 that begins requests and ends none; a batch for each 20 of them. */
function* endlessRequests(random: Random): Generator<Buffer> {
  const info = new ConnectionInfo(1n)
  info.clientIp = '10.0.0.1'
  info.serverIp = '10.0.0.2'
  const writer = new SegmentBatchWriter({ cluster: '', node: '', bootId: '', capturerVersion: '', sequence: 0 })
  const text = () => Array.from({ length: 1000 }, () => String.fromCharCode(0xa0 + random.below(0x60))).join('')
  let position = 0
  let payload: Buffer = Buffer.concat([PREFACE, settings()])
  for (let i = 0; i < 400; i++) {
    writer.add(new Segment(info, TO_SERVER, position, payload.length, payload, Date.now() * 1000, 0, 0))
    position += payload.length
    payload = headers(2 * i + 1, request('/', ['x-a', text()], ['x-b', text()]), Flags.END_HEADERS)
    if (i % 20 === 19) yield writer.finish()
  }
}

/** How often the main thread has gone to sleep. */
function sleeps(pid: number): number {
  return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}
