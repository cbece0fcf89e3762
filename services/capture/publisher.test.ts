import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryBus } from '../adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../adapters/system/clock.js'
import { KlartextError } from '../core/errors.js'
import { partitionOf } from '../core/partitioner.js'
import type { Bus, BusRecord } from '../core/ports/bus.js'
import { ConnectionInfo, Segment, SegmentFlag } from '../core/segment.js'
import { createTopics, TOPICS } from '../core/topics.js'
import { decodeCoverageRow } from '../core/wire/rows.js'
import { decodeSegmentBatch } from '../core/wire/segment_batch.js'
import { SegmentPublisher } from './publisher.js'

const HEADER = { cluster: 'c', node: 'n', bootId: 'b', capturerVersion: '1', sequence: 0 }
const INFOS = Array.from({ length: 64 }, (_, i) => new ConnectionInfo(BigInt(i + 1) << 20n))
const PAYLOAD = Buffer.alloc(1000, 'x')

function round(position: number): Segment[] {
  return INFOS.map((info) => new Segment(info, 0, position, PAYLOAD.length, PAYLOAD, 1_790_000_000_000_000, 0, 0))
}

/** A bus whose sends fail or hang while `away` says so. */
async function world(partitions: number, queueBytesMax: number) {
  const bus = new MemoryBus()
  await createTopics(bus, partitions)
  const state = { away: false, hang: null as Promise<void> | null }
  const flaky: Bus = Object.create(bus, {
    producer: {
      value: async () => {
        const producer = await bus.producer()
        return Object.create(producer, {
          send: {
            value: async (...words: Parameters<typeof producer.send>) => {
              await state.hang
              if (state.away) throw new KlartextError('BUS_AWAY', 'away', { retryable: true })
              return producer.send(...words)
            },
          },
        })
      },
    },
    partitions: { value: (topic: string) => bus.partitions(topic) },
  })
  const publisher = new SegmentPublisher({ bus: flaky, clock: SYSTEM_CLOCK, queueBytesMax })
  await publisher.start()
  const published = async () => {
    const records: BusRecord[] = []
    for (let i = 0; i < partitions; i++) await bus.readAll(TOPICS.segments, i, (some) => records.push(...some))
    return records.flatMap(({ partition, value }) =>
      decodeSegmentBatch(value).segments.map((segment) => ({ partition, segment })),
    )
  }
  return { bus, publisher, published, state }
}

test('each connection has its partition, and everything arrives', async () => {
  const { publisher, published } = await world(5, 1 << 20)
  publisher.publish(round(0), HEADER)
  publisher.publish(round(1000), HEADER)
  await publisher.flush()
  const all = await published()
  assert.equal(all.length, 128)
  for (const { partition, segment } of all) assert.equal(partition, partitionOf(segment.connection.id, 5))
  assert.deepEqual(publisher.shed.bus_behind, { count: 0, bytes: 0 })
})

test('while the bus hangs nobody waits: whole connections are left out, counted to the byte, and it recovers', async () => {
  const { bus, publisher, published, state } = await world(2, 400_000)
  let release = () => {}
  state.hang = new Promise((resolve) => {
    release = resolve
  })
  for (let i = 0; i < 20; i++) publisher.publish(round(i * 1000), HEADER)
  assert.ok(publisher.queuedBytes <= 400_000 + 80_000, `${publisher.queuedBytes} bytes wait`)
  const { bus_behind: behind, bus_full: full } = publisher.shed
  assert.ok(behind.count > 0 && behind.bytes === behind.count * 1000)
  state.hang = null
  release()
  await publisher.flush()
  publisher.publish(round(20_000), HEADER)
  await publisher.flush()
  publisher.publish(round(21_000), HEADER)
  await publisher.flush()
  const all = await published()
  assert.equal(all.length, 22 * 64 - behind.count - full.count)
  // Before the queue is full, a connection is either there in every round up to some point, or was chosen to be left out.
  for (const info of INFOS) {
    const own = all.filter(({ segment }) => segment.connection.id === info.id).map(({ segment }) => segment)
    let next = 0
    for (const { position, flags } of own) {
      const jumped = position !== next
      assert.equal((flags & SegmentFlag.GAP_BEFORE) !== 0, jumped, `connection ${info.id} at ${position}`)
      next = position + 1000
    }
    assert.equal(next, 22_000, 'taken again once the bus is back')
  }
  await publisher.report([], { cluster: 'c', node: 'n' })
  const rows: ReturnType<typeof decodeCoverageRow>[] = []
  await bus.readAll(TOPICS.coverage, 0, (records) => rows.push(...records.map(({ value }) => decodeCoverageRow(value))))
  assert.equal(
    rows.reduce((sum, { bytes }) => sum + bytes, 0),
    behind.bytes + full.bytes,
  )
})

test('a bus that is away for a while loses nothing that fits the queue', async () => {
  const { publisher, published, state } = await world(3, 10 << 20)
  state.away = true
  publisher.publish(round(0), HEADER)
  publisher.publish(round(1000), HEADER)
  await new Promise((resolve) => setTimeout(resolve, 60))
  assert.ok(publisher.retries > 0)
  state.away = false
  await publisher.flush()
  assert.equal((await published()).length, 128)
})
