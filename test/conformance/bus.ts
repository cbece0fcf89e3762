/**
 * What every Bus must do, in Kafka's terms. Runs on the memory bus with the unit tests and on Kafka where there is one;
 * topics and groups get fresh names, so that a bus may be used again.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import type { Bus, BusConsumer, BusRecord } from '../../services/core/ports/bus.js'

const MB = 1 << 20
const bytes = (text: string) => ({ key: Buffer.from('k'), value: Buffer.from(text) })
const fresh = (name: string) => `${name}-${randomUUID()}`
const values = (records: readonly BusRecord[]) => records.map((record) => record.value.toString())
const hasCode = (code: string) => (error: unknown) => (error as { code?: string }).code === code

export interface ConformanceOptions {
  /** How long records, assignments and fences may take to be seen. */
  readonly patienceMs: number
}

export function busConformance(makeBus: () => Promise<Bus>, { patienceMs }: ConformanceOptions): void {
  describe('bus', () => {
    let bus: Bus
    before(async () => {
      bus = await makeBus()
    })
    after(() => bus.close())

    /** Polls until `count` records came, or patience ends. */
    async function take(consumer: BusConsumer, count: number): Promise<BusRecord[]> {
      const records: BusRecord[] = []
      for (const until = Date.now() + patienceMs; records.length < count && Date.now() < until; ) {
        records.push(...(await consumer.poll(MB, 50)))
      }
      return records
    }

    async function topic(partitions: number): Promise<string> {
      const name = fresh('topic')
      await bus.createTopic(name, partitions)
      return name
    }

    async function reader(group: string, name: string): Promise<BusConsumer & { assigned: number[] }> {
      const consumer = (await bus.consumer(group)) as BusConsumer & { assigned: number[] }
      consumer.assigned = []
      await consumer.subscribe(name, async (partitions) => {
        consumer.assigned = [...partitions]
      })
      return consumer
    }

    test('records of a partition come in order, with their offsets, keys, headers and time', async () => {
      const name = await topic(2)
      const producer = await bus.producer()
      const first = await producer.send(name, 1, [
        { key: Buffer.from('a'), value: Buffer.from([0, 255]), headers: { h: 'ü' }, timestampMs: 1_700_000_000_123 },
        { key: null, value: Buffer.from('2') },
      ])
      const second = await producer.send(name, 1, [bytes('3')])
      assert.equal(second, first + 2n)
      const consumer = await reader(fresh('group'), name)
      const records = await take(consumer, 3)
      assert.deepEqual(
        records.map(({ partition, offset }) => [partition, offset]),
        [0n, 1n, 2n].map((offset) => [1, first + offset]),
      )
      assert.deepEqual(records[0].value, Buffer.from([0, 255]))
      assert.equal(records[0].key?.toString(), 'a')
      assert.deepEqual({ ...records[0].headers }, { h: 'ü' })
      assert.equal(records[0].timestampMs, 1_700_000_000_123)
      assert.equal(records[1].key, null)
      await Promise.all([consumer.close(), producer.close()])
    })

    test('topics keep their partitions; unknown ones are refused', async () => {
      const name = await topic(3)
      assert.equal(await bus.partitions(name), 3)
      await bus.createTopic(name, 3)
      await assert.rejects(bus.createTopic(name, 4), hasCode('TOPIC_EXISTS'))
      await assert.rejects(bus.partitions(fresh('none')), hasCode('UNKNOWN_TOPIC'))
      const producer = await bus.producer()
      await assert.rejects(producer.send(name, 3, [bytes('x')]), hasCode('UNKNOWN_PARTITION'))
      await producer.close()
    })

    test('a poll answers at most maxBytes of values, but always one record', async () => {
      const name = await topic(1)
      const producer = await bus.producer()
      await producer.send(name, 0, [bytes('x'.repeat(100)), bytes('y'.repeat(100)), bytes('z'.repeat(100))])
      const consumer = await reader(fresh('group'), name)
      let records: BusRecord[] = []
      for (const until = Date.now() + patienceMs; records.length === 0 && Date.now() < until; ) {
        records = await consumer.poll(10, 50)
      }
      assert.equal(records.length, 1)
      assert.equal(values(await consumer.poll(200, 50)).length, 2)
      await Promise.all([consumer.close(), producer.close()])
    })

    test('a transaction appears as a whole, with its input offset; one that was aborted never', async () => {
      const [name, input] = [await topic(2), await topic(1)]
      const group = fresh('group')
      const producer = await bus.producer({ transactionalId: fresh('id') })
      const consumer = await reader(fresh('group'), name)
      const committer = await reader(group, input)
      await committer.poll(MB, 0)

      const aborted = await producer.begin()
      await aborted.send(name, 0, [bytes('never')])
      await aborted.commitOffset(group, { topic: input, partition: 0 }, 5n, 'never')
      await aborted.abort()

      const open = await producer.begin()
      await open.send(name, 0, [bytes('a')])
      await open.send(name, 1, [bytes('b')])
      await open.commitOffset(group, { topic: input, partition: 0 }, 7n, 'meta')
      assert.deepEqual(values(await consumer.poll(MB, 50)), [])
      assert.deepEqual(await committer.committed({ topic: input, partition: 0 }), { offset: -1n, metadata: '' })
      await open.commit()
      assert.deepEqual(values(await take(consumer, 2)).sort(), ['a', 'b'])
      assert.deepEqual(await committer.committed({ topic: input, partition: 0 }), { offset: 7n, metadata: 'meta' })
      assert.deepEqual(values(await consumer.poll(MB, 50)), [])
      await Promise.all([consumer.close(), committer.close(), producer.close()])
    })

    test('records behind an open transaction wait for it (last stable offset)', async () => {
      const name = await topic(1)
      const [plain, transactional] = [await bus.producer(), await bus.producer({ transactionalId: fresh('id') })]
      const consumer = await reader(fresh('group'), name)
      await plain.send(name, 0, [bytes('1')])
      const transaction = await transactional.begin()
      await transaction.send(name, 0, [bytes('2')])
      await plain.send(name, 0, [bytes('3')])
      assert.deepEqual(values(await take(consumer, 1)), ['1'])
      assert.deepEqual(values(await consumer.poll(MB, 50)), [])
      await transaction.commit()
      assert.deepEqual(values(await take(consumer, 2)), ['2', '3'])
      await Promise.all([consumer.close(), plain.close(), transactional.close()])
    })

    test('a second producer with the same transactional id fences the first and undoes what it left open', async () => {
      const name = await topic(1)
      const id = fresh('id')
      const old = await bus.producer({ transactionalId: id })
      const left = await old.begin()
      await left.send(name, 0, [bytes('zombie')])
      const young = await bus.producer({ transactionalId: id })
      await assert.rejects(left.commit(), hasCode('FENCED'))
      await assert.rejects(old.begin(), hasCode('FENCED'))
      const transaction = await young.begin()
      await transaction.send(name, 0, [bytes('young')])
      await transaction.commit()
      const consumer = await reader(fresh('group'), name)
      assert.deepEqual(values(await take(consumer, 1)), ['young'])
      await Promise.all([consumer.close(), young.close()])
    })

    test('transactions need an id, and one at a time', async () => {
      const name = await topic(1)
      const plain = await bus.producer()
      await assert.rejects(plain.begin(), hasCode('NOT_TRANSACTIONAL'))
      const transactional = await bus.producer({ transactionalId: fresh('id') })
      await assert.rejects(transactional.send(name, 0, [bytes('x')]), hasCode('NOT_IN_TRANSACTION'))
      const transaction = await transactional.begin()
      await assert.rejects(transactional.begin(), hasCode('TRANSACTION_OPEN'))
      await transaction.commit()
      await assert.rejects(transaction.send(name, 0, [bytes('x')]), hasCode('TRANSACTION_OVER'))
      await Promise.all([plain.close(), transactional.close()])
    })

    test('a group goes on where it committed, metadata of up to 4096 bytes kept', async () => {
      const name = await topic(1)
      const group = fresh('group')
      const producer = await bus.producer()
      const first = await producer.send(name, 0, ['a', 'b', 'c'].map(bytes))
      const one = await reader(group, name)
      await take(one, 3)
      const input = { topic: name, partition: 0 }
      await one.commit(input, first + 2n, 'ü'.repeat(2048))
      await assert.rejects(one.commit(input, first + 2n, 'x'.repeat(4097)), hasCode('METADATA_TOO_LARGE'))
      await one.close()
      const two = await reader(group, name)
      assert.deepEqual(values(await take(two, 1)), ['c'])
      assert.deepEqual(await two.committed(input), { offset: first + 2n, metadata: 'ü'.repeat(2048) })
      await Promise.all([two.close(), producer.close()])
    })

    test('all of a partition is read back outside of any group, up to what a fenced producer had committed', async () => {
      const name = fresh('topic')
      await bus.createTopic(name, 2, { compact: true })
      const id = fresh('id')
      const key = (text: string) => Buffer.from(text)
      const old = await bus.producer({ transactionalId: id })
      const done = await old.begin()
      await done.send(name, 1, [
        { key: key('a'), value: Buffer.from('1') },
        { key: key('b'), value: Buffer.from('2') },
      ])
      await done.send(name, 1, [
        { key: key('a'), value: null },
        { key: key('c'), value: Buffer.from('3') },
      ])
      await done.commit()
      const left = await old.begin()
      await left.send(name, 1, [{ key: key('c'), value: Buffer.from('never') }])
      const young = await bus.producer({ transactionalId: id })
      const newest = new Map<string, string>()
      await bus.readAll(name, 1, (records) => {
        for (const record of records) newest.set(String(record.key), record.value.toString())
      })
      assert.deepEqual(newest.get('b'), '2')
      assert.deepEqual(newest.get('c'), '3')
      assert.ok((newest.get('a') ?? '') === '', 'a deleted key is gone or empty')
      let other = 0
      await bus.readAll(name, 0, (records) => {
        other += records.length
      })
      assert.equal(other, 0)
      assert.ok((await bus.endOffset(name, 1)) >= 4n)
      assert.equal(await bus.endOffset(name, 0), 0n)
      await Promise.all([old.close(), young.close()])
    })

    test('a range of a partition is read outside of any group; offsets are found by time', async () => {
      const name = await topic(2)
      const producer = await bus.producer()
      const at = (text: string, timestampMs: number) => ({ ...bytes(text), timestampMs })
      assert.equal(await bus.offsetAt(name, 1, 0), null)
      const first = await producer.send(name, 1, [at('a', 1_700_000_001_000), at('b', 1_700_000_002_000)])
      const transactional = await bus.producer({ transactionalId: fresh('id') })
      const aborted = await transactional.begin()
      await aborted.send(name, 1, [at('never', 1_700_000_003_000)])
      await aborted.abort()
      const last = await producer.send(name, 1, [at('c', 1_700_000_004_000)])
      assert.equal(await bus.startOffset(name, 1), first)
      assert.deepEqual(await bus.offsetAt(name, 1, 0), { offset: first, timestampMs: 1_700_000_001_000 })
      const { offset } = (await bus.offsetAt(name, 1, 1_700_000_001_001)) ?? { offset: -1n }
      assert.equal(offset, first + 1n)
      assert.equal(await bus.offsetAt(name, 1, 9_000_000_000_000), null)
      assert.equal(await bus.offsetAt(name, 0, 0), null)
      const range = async (from: bigint, to: bigint) => {
        const found: BusRecord[] = []
        for await (const records of bus.read(name, 1, from, to)) found.push(...records)
        return found.map((record) => [record.value.toString(), record.offset])
      }
      const end = await bus.endOffset(name, 1)
      assert.ok(end > last)
      assert.deepEqual(await range(first + 1n, end), [
        ['b', first + 1n],
        ['c', last],
      ])
      assert.deepEqual(await range(first, first + 1n), [['a', first]])
      assert.deepEqual(await range(first + 2n, last), [])
      assert.deepEqual(await range(end, end), [])
      await assert.rejects(range(end + 5n, end + 9n), hasCode('BAD_OFFSET'))
      await Promise.all([producer.close(), transactional.close()])
    })

    test('two members share the partitions, each record goes to one; when one leaves the other has all', async () => {
      const name = await topic(4)
      const group = fresh('group')
      const producer = await bus.producer()
      const [one, two] = [await reader(group, name), await reader(group, name)]
      for (
        const until = Date.now() + patienceMs;
        // Whoever is first may have all of them for a moment.
        (one.assigned.length !== 2 || two.assigned.length !== 2) && Date.now() < until;
      ) {
        await Promise.all([one.poll(MB, 20), two.poll(MB, 20)])
      }
      assert.deepEqual([...one.assigned, ...two.assigned].sort(), [0, 1, 2, 3])
      assert.equal(one.assigned.length, 2)
      for (let partition = 0; partition < 4; partition++) await producer.send(name, partition, [bytes(`p${partition}`)])
      const [ofOne, ofTwo] = await Promise.all([take(one, 2), take(two, 2)])
      assert.deepEqual(values([...ofOne, ...ofTwo]).sort(), ['p0', 'p1', 'p2', 'p3'])
      for (const { topic: of, partition, offset } of ofOne) await one.commit({ topic: of, partition }, offset + 1n, '')
      await one.close()
      for (const until = Date.now() + patienceMs; two.assigned.length !== 4 && Date.now() < until; )
        await two.poll(MB, 20)
      assert.deepEqual([...two.assigned].sort(), [0, 1, 2, 3])
      await Promise.all([two.close(), producer.close()])
    })

    test('a member commits only for partitions that are its own in the present generation', async () => {
      const name = await topic(1)
      const group = fresh('group')
      const input = { topic: name, partition: 0 }
      const producer = await bus.producer()
      await producer.send(name, 0, ['a', 'b'].map(bytes))
      await producer.close()
      const one = await reader(group, name)
      for (const until = Date.now() + patienceMs; one.assigned.length !== 1 && Date.now() < until; )
        await one.poll(MB, 20)
      await one.commit(input, 1n, 'one')
      const stranger = await reader(group, name)
      await assert.rejects(stranger.commit(input, 2n, 'stranger'), hasCode('FENCED'))
      await one.close()
      for (const until = Date.now() + patienceMs; stranger.assigned.length !== 1 && Date.now() < until; ) {
        await stranger.poll(MB, 20)
      }
      assert.deepEqual(await stranger.committed(input), { offset: 1n, metadata: 'one' })
      await stranger.commit(input, 2n, 'now its own')
      await stranger.close()
    })

    test('a commit of what was in hand before does not slip into a new assignment of several topics', async () => {
      const names = [await topic(1), await topic(1)]
      const group = fresh('group')
      const consumer = await bus.consumer(group)
      const inputs = names.map((name) => ({ topic: name, partition: 0 }))
      let refused = 0
      for (const name of names) {
        await consumer.subscribe(name, async () => {
          // Its own may be committed now; the other one's subscriber may not have heard of the assignment yet.
          await consumer.commit({ topic: name, partition: 0 }, 1n, '')
          if (name === names[1]) return
          await assert.rejects(consumer.commit(inputs[1], 7n, 'late'), hasCode('FENCED'))
          refused += 1
        })
      }
      for (const until = Date.now() + patienceMs; refused === 0 && Date.now() < until; ) await consumer.poll(MB, 50)
      assert.ok(refused > 0)
      assert.deepEqual(await consumer.committed(inputs[1]), { offset: 1n, metadata: '' })
      await consumer.commit(inputs[1], 2n, '')
      await consumer.close()
    })

    test('seek, pause and resume', async () => {
      const name = await topic(2)
      const producer = await bus.producer()
      const first = await producer.send(name, 0, ['a', 'b'].map(bytes))
      await producer.send(name, 1, [bytes('other')])
      const consumer = await reader(fresh('group'), name)
      assert.equal((await take(consumer, 3)).length, 3)
      const input = { topic: name, partition: 0 }
      consumer.seek(input, first + 1n)
      assert.deepEqual(values(await take(consumer, 1)), ['b'])
      consumer.pause(input)
      await producer.send(name, 0, [bytes('c')])
      await producer.send(name, 1, [bytes('d')])
      assert.deepEqual(values(await take(consumer, 1)), ['d'])
      assert.deepEqual(values(await consumer.poll(MB, 50)), [])
      consumer.resume(input)
      assert.deepEqual(values(await take(consumer, 1)), ['c'])
      assert.throws(() => consumer.seek({ topic: name, partition: 9 }, 0n), hasCode('NOT_ASSIGNED'))
      await Promise.all([consumer.close(), producer.close()])
    })

    test('onAssigned is heard before records, and may seek', async () => {
      const name = await topic(1)
      const producer = await bus.producer()
      const first = await producer.send(name, 0, ['a', 'b', 'c'].map(bytes))
      const consumer = await bus.consumer(fresh('group'))
      await consumer.subscribe(name, async (partitions) => {
        for (const partition of partitions) consumer.seek({ topic: name, partition }, first + 2n)
      })
      assert.deepEqual(values(await take(consumer, 1)), ['c'])
      await Promise.all([consumer.close(), producer.close()])
    })
  })
}
