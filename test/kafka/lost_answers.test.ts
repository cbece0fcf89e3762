/** Connections to the broker break while it answers: what was asked may have been done, and may even arrive later than what follows. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import type { BusConsumer } from '../../services/core/ports/bus.js'
import { Proxy, type ProxyState } from './proxy.js'
import { ownKafka } from './test_kafka.js'

const MB = 1 << 20
const message = (text: string) => ({ key: null, value: Buffer.from(text) })

const proxy = await Proxy.start()
const kafka = await ownKafka({ advertisedPort: proxy.port })
if (typeof kafka === 'string') test('lost answers', { skip: kafka }, () => proxy.close())
else {
  proxy.targetPort = Number(kafka.brokers[0].split(':')[1])
  const bus = await KafkaBus.connect({ brokers: [`127.0.0.1:${proxy.port}`] })
  after(async () => {
    await bus.close()
    proxy.close()
    await kafka.stop()
  })

  /** While `work` goes on, connections are broken so, `count` of them. */
  async function breaking<T>(state: ProxyState, count: number, work: () => Promise<T>): Promise<T> {
    const { cuts } = proxy
    proxy.state = state
    const done = work()
    while (proxy.cuts < cuts + count) await sleep(5)
    proxy.state = 'open'
    return done
  }

  async function valuesOf(topic: string): Promise<string[]> {
    const values: string[] = []
    await bus.readAll(topic, 0, (records) => values.push(...records.map(({ value }) => value.toString())))
    return values
  }

  async function polledUntil(consumer: BusConsumer, condition: () => boolean): Promise<void> {
    for (const until = Date.now() + 60_000; !condition(); ) {
      assert.ok(Date.now() < until, 'it took too long')
      await consumer.poll(MB, 50)
    }
  }

  for (const state of ['deaf', 'torn'] as const) {
    test(`answers ${state === 'deaf' ? 'that never come' : 'broken off in the middle'}: sent again, stored once, read on`, async () => {
      const topic = `plain-${state}`
      await bus.createTopic(topic, 1)
      const producer = await bus.producer()
      const texts = Array.from({ length: 40 }, (_, i) => `${i}`)
      await producer.send(topic, 0, [message(texts[0])])
      for (const text of texts.slice(1)) {
        if (Number(text) % 10 === 5) await breaking(state, 1, () => producer.send(topic, 0, [message(text)]))
        else await producer.send(topic, 0, [message(text)])
      }
      assert.deepEqual(await valuesOf(topic), texts)
      await producer.close()
    })
  }

  test('a commit without an answer is not believed: the member joins anew, so that a late one counts for nothing', async () => {
    const [topic, group] = ['commits', 'commits']
    const input = { topic, partition: 0 }
    await bus.createTopic(topic, 1)
    const producer = await bus.producer()
    await producer.send(topic, 0, ['a', 'b', 'c'].map(message))
    const consumer = await bus.consumer(group)
    let assignments = 0
    await consumer.subscribe(topic, async () => {
      assignments += 1
    })
    await polledUntil(consumer, () => assignments === 1)
    await consumer.commit(input, 1n, 'first')
    await assert.rejects(
      breaking('deaf', 1, () => consumer.commit(input, 2n, 'second')),
      { code: 'FENCED' },
    )
    await polledUntil(consumer, () => assignments === 2)
    const { offset, metadata } = await consumer.committed(input)
    assert.ok(['1 first', '2 second'].includes(`${offset} ${metadata}`))
    await consumer.commit(input, 3n, 'third')
    assert.deepEqual(await consumer.committed(input), { offset: 3n, metadata: 'third' })
    await Promise.all([consumer.close(), producer.close()])
  })

  test('a transaction with a request in doubt comes to its end, and its producer makes no other', async () => {
    const [topic, group] = ['transactions', 'transactions']
    await bus.createTopic(topic, 1)
    const wanted: string[] = []
    for (let i = 0; i < 6; i++) {
      const producer = await bus.producer({ transactionalId: 'doubtful' })
      const transaction = await producer.begin()
      await transaction.send(topic, 0, [message(`${i}`)])
      const end = async () => {
        await transaction.commitOffset(group, { topic, partition: 0 }, BigInt(i), '')
        await transaction.commit()
      }
      await breaking(i % 2 === 0 ? 'deaf' : 'torn', 1, end)
      wanted.push(`${i}`)
      await assert.rejects(producer.begin(), { code: 'PRODUCER_BROKEN', retryable: true })
      await producer.close()
    }
    // Whoever takes the id over waits until the last end is in the log.
    await (await bus.producer({ transactionalId: 'doubtful' })).close()
    assert.deepEqual(await valuesOf(topic), wanted)
    const reader = await bus.consumer(group)
    assert.equal((await reader.committed({ topic, partition: 0 })).offset, 5n)
    await reader.close()
  })
}
