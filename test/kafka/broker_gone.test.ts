/**
 * Kafka is gone while a capturer's publisher has segments for it: it takes them at once, holds what its queue allows, leaves
 * out the rest by whole connections and counts it to the byte; when Kafka is back it goes on, and what it held is there once.
 * KLARTEXT_BROKER_AWAY_S: for how long (5 s); half a minute and more by hand.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { SegmentPublisher } from '../../services/capture/publisher.js'
import { ConnectionInfo, Segment, SegmentFlag } from '../../services/core/segment.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { decodeCoverageRow } from '../../services/core/wire/rows.js'
import { decodeSegmentBatch, SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import { until } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const AWAY_MS = Number(process.env.KLARTEXT_BROKER_AWAY_S ?? 5) * 1000
const PARTITIONS = 3
const QUEUE_BYTES = 4 << 20
const CONNECTIONS = 64
const SEGMENT_BYTES = 1_000
const ROUND_MS = 25
const WHERE = { cluster: 'c', node: 'n' }
const HEADER = { ...WHERE, bootId: 'b', capturerVersion: '1', sequence: 0 }

const kafka = await ownKafka()

test('Kafka is gone for a while: bounded, counted, and on again without a restart', {
  skip: typeof kafka === 'string' ? kafka : false,
  timeout: 600_000,
}, async (t) => {
  assert.ok(typeof kafka !== 'string')
  const bus = await KafkaBus.connect({ brokers: kafka.brokers })
  after(async () => {
    await bus.close()
    await kafka.stop()
  })
  await createTopics(bus, PARTITIONS)
  const publisher = new SegmentPublisher({ bus, clock: SYSTEM_CLOCK, queueBytesMax: QUEUE_BYTES })
  await publisher.start()
  const infos = Array.from({ length: CONNECTIONS }, (_, i) => new ConnectionInfo(BigInt(i + 1) << 20n))
  const payload = Buffer.alloc(SEGMENT_BYTES, 'x')
  let rounds = 0
  let queuedMax = 0
  /** Of each connection the next bytes, as the addon hands them over. */
  const round = () => {
    const writer = new SegmentBatchWriter(HEADER)
    for (const info of infos) {
      writer.add(new Segment(info, 0, rounds * SEGMENT_BYTES, SEGMENT_BYTES, payload, Date.now() * 1000, 0, 0))
    }
    rounds += 1
    publisher.publishBatch(writer.finish())
    queuedMax = Math.max(queuedMax, publisher.queuedBytes)
  }
  const rounded = async (isOver: () => boolean) => {
    while (!isOver()) {
      round()
      if (rounds % 40 === 0) void publisher.report([], WHERE).catch(() => {})
      await sleep(ROUND_MS)
    }
  }
  await rounded(() => publisher.messages > 20)
  await kafka.kill()
  const begun = Date.now()
  await rounded(() => Date.now() - begun > AWAY_MS)
  const [atBack, { bus_behind: behind, bus_full: full }] = [rounds, structuredClone(publisher.shed)]
  assert.ok(publisher.trouble !== null)
  assert.ok(behind.count > 0, 'the queue was large enough for all: nothing was shown')
  await Promise.all([kafka.restart(), rounded(() => publisher.trouble === null && publisher.fill < 0.1)])
  for (let i = 0; i < 3; i++) {
    round()
    await publisher.flush()
  }
  await publisher.report([], WHERE)
  assert.ok(queuedMax <= QUEUE_BYTES + CONNECTIONS * (SEGMENT_BYTES + 100), `${queuedMax} bytes waited`)

  const next = new Map<bigint, number>()
  let [received, gaps] = [0, 0]
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await bus.readAll(TOPICS.segments, partition, (records) => {
      for (const { connection, position, length, flags } of records.flatMap(
        ({ value }) => decodeSegmentBatch(value).segments,
      )) {
        const expected = next.get(connection.id) ?? 0
        assert.ok(position >= expected, `connection ${connection.id} at ${position}: twice, or out of order`)
        assert.equal((flags & SegmentFlag.GAP_BEFORE) !== 0, position > expected, 'a gap is told where there is one')
        if (position > expected) gaps += 1
        next.set(connection.id, position + length)
        received += length
      }
    })
  }
  const shed = publisher.shed.bus_behind.bytes + publisher.shed.bus_full.bytes
  assert.equal(received + shed, rounds * CONNECTIONS * SEGMENT_BYTES)
  for (const info of infos) assert.equal(next.get(info.id), rounds * SEGMENT_BYTES, 'each connection goes on')
  let told = 0
  await bus.readAll(TOPICS.coverage, 0, (records) => {
    for (const { value } of records) told += decodeCoverageRow(value).bytes
  })
  assert.equal(told, shed)
  await until(
    () => bus.trouble === null,
    () => String(bus.trouble),
  )
  t.diagnostic(
    `Kafka gone for ${AWAY_MS / 1000} s, ${atBack} rounds of ${CONNECTIONS} connections by then: at most ${queuedMax} bytes ` +
      `waited, ${behind.count} segments left out by connection and ${full.count} for want of room; ${gaps} gaps told`,
  )
  await publisher.close()
})
