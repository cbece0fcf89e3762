import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryBus } from '../adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../adapters/system/clock.js'
import { ConnectionInfo, Segment } from '../core/segment.js'
import { createTopics, TOPICS } from '../core/topics.js'
import { decodeCoverageRow } from '../core/wire/rows.js'
import { decodeSegmentBatch } from '../core/wire/segment_batch.js'
import { OwnTraffic } from './own_traffic.js'
import { SegmentPublisher } from './publisher.js'

const PORT = 9092

/** A Kafka request: size, API key, version, correlation id, client id, rest. */
function request(clientId: string, apiKey = 0, apiVersion = 7): Buffer {
  const name = Buffer.from(clientId)
  const bytes = Buffer.alloc(4 + 10 + name.length + 20)
  bytes.writeInt32BE(bytes.length - 4, 0)
  bytes.writeInt16BE(apiKey, 4)
  bytes.writeInt16BE(apiVersion, 6)
  bytes.writeInt32BE(7, 8)
  bytes.writeInt16BE(name.length, 12)
  name.copy(bytes, 14)
  return bytes
}

function connection(id: bigint, serverPort: number, clientPort = 40_000): ConnectionInfo {
  return Object.assign(new ConnectionInfo(id), { serverPort, clientPort, serverIp: serverPort === 0 ? '' : '10.0.0.1' })
}

const segment = (info: ConnectionInfo, payload: Buffer, direction: 0 | 1 = 0) =>
  new Segment(info, direction, 0, payload.length, payload, 1_790_000_000_000_000, 0, 0)

test('a connection is own from its first request on, also read in two parts, with its ends swapped, or unbound', () => {
  const own = new OwnTraffic({ ports: [PORT], clientId: 'klartext' })
  const whole = request('klartext')
  const first = connection(1n, PORT)
  assert.equal(own.take(segment(first, Buffer.from('response'), 1)), false)
  assert.equal(own.take(segment(first, whole)), true)
  assert.equal(own.take(segment(first, Buffer.from('response'), 1)), true)
  assert.equal(own.take(segment(connection(2n, PORT), whole.subarray(4))), true)
  assert.equal(own.take(segment(connection(3n, 40_000, PORT), whole, 1)), true)
  assert.equal(own.take(segment(connection(4n, 0, 0), whole)), true)
  assert.deepEqual([own.count, own.bytes], [5, whole.length * 4 + 'response'.length - 4])
})

test('other clients of the same broker, other ports and other protocols are not own', () => {
  const own = new OwnTraffic({ ports: [PORT], clientId: 'klartext' })
  const info = connection(1n, PORT)
  for (const payload of [
    request('klartext-of-somebody'),
    request('klarsicht'),
    request('klartext', 3000),
    request('klartext', 0, -1),
    Buffer.from('GET /klartext HTTP/1.1\r\n\r\n'),
    Buffer.from('klartext'),
    Buffer.alloc(0),
  ]) {
    assert.equal(own.take(segment(info, payload)), false)
  }
  assert.equal(own.take(segment(connection(2n, 8080), request('klartext'))), false)
  assert.deepEqual([own.count, own.bytes], [0, 0])
})

test('the publisher leaves own segments out, counts them as coverage and publishes the rest', async () => {
  const bus = new MemoryBus()
  await createTopics(bus, 1)
  const own = new OwnTraffic({ ports: [PORT], clientId: 'klartext' })
  const publisher = new SegmentPublisher({ bus, clock: SYSTEM_CLOCK, own })
  await publisher.start()
  const payload = request('klartext')
  const header = { cluster: '', node: '', bootId: '', capturerVersion: '', sequence: 0 }
  publisher.publish([segment(connection(1n, PORT), payload), segment(connection(2n, 80), Buffer.from('GET'))], header)
  await publisher.flush()
  for (let round = 0; round < 2; round++) await publisher.report([], { cluster: 'c', node: 'n' })
  const published: string[] = []
  await bus.readAll(TOPICS.segments, 0, (records) => {
    for (const { value } of records)
      for (const each of decodeSegmentBatch(value).segments) published.push(String(each.payload))
  })
  assert.deepEqual(published, ['GET'])
  const rows: unknown[] = []
  await bus.readAll(TOPICS.coverage, 0, (records) => {
    for (const { value } of records) {
      const { kind, reason, count, bytes } = decodeCoverageRow(value)
      rows.push([kind, reason, count, bytes])
    }
  })
  assert.deepEqual(rows, [['bytes', 'own', 1, payload.length]])
  await publisher.close()
  await bus.close()
})
