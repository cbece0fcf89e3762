import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import avro from 'avsc'
import { REPO_ROOT } from '../repo_root.js'
import { ConnectionInfo, type Direction, Segment } from '../segment.js'
import { decodeSegmentBatch, SegmentBatchWriter } from './segment_batch.js'

const HEADER = { cluster: 'c', node: 'knoten-ü', bootId: 'b-1', capturerVersion: '0.1.0', sequence: 7 }

const long = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8)
    buffer.writeBigInt64LE(value)
    return buffer
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
})
const schema = JSON.parse(readFileSync(join(REPO_ROOT, 'schemas/avro/segment_batch.avsc'), 'utf8'))
const type = avro.Type.forSchema(schema, { registry: { long } })

function connection(id: bigint): ConnectionInfo {
  const info = new ConnectionInfo(id)
  info.transport = 'udp'
  info.side = 'server'
  info.source = 'openssl'
  info.clientIp = '10.0.0.1'
  info.clientPort = 65535
  info.serverIp = '2001:db8::1'
  info.serverPort = 443
  info.pid = 4_194_304
  info.processStartNs = 2n ** 62n
  info.comm = 'evil\u0000"\ud7ff'
  info.cgroupId = -1n
  info.containerId = 'f'.repeat(64)
  info.tlsVersion = '1.3'
  info.cluster = HEADER.cluster
  info.node = HEADER.node
  return info
}

const SEGMENTS: Segment[] = [
  new Segment(connection(2n ** 64n - 1n), 0, 0, 3, Buffer.from('abc'), 1_790_000_000_123_456, 789, 1),
  new Segment(connection(1n), 1, 2 ** 53 - 1, 2 ** 40, Buffer.alloc(0), 1_790_000_000_123_455, 1, 8),
  new Segment(connection(0n), 1, 5, 70_000, Buffer.alloc(70_000, 7), 1_790_000_009_000_000, 999, 1 << 10),
]

test('avsc reads what the writer writes, field by field', () => {
  const writer = new SegmentBatchWriter(HEADER)
  for (const segment of SEGMENTS) writer.add(segment)
  const batch = type.fromBuffer(writer.finish())
  assert.equal(batch.format_version, 1)
  assert.equal(batch.node, 'knoten-ü')
  assert.equal(batch.sequence, 7n)
  assert.equal(batch.connections.length, 3)
  assert.equal(batch.connections[0].conn_id.toString('hex'), 'ffffffffffffffff')
  assert.equal(batch.connections[0].process_start_ns, 2n ** 62n)
  assert.equal(batch.connections[0].server_ip.length, 16)
  assert.deepEqual(
    batch.segments.map((segment: { time_offset_ns: bigint }) => batch.base_time_ns + segment.time_offset_ns),
    [1_790_000_000_123_456_789n, 1_790_000_000_123_455_001n, 1_790_000_009_000_000_999n],
  )
  assert.equal(batch.segments[1].position, 2n ** 53n - 1n)
  assert.equal(batch.segments[2].payload.length, 70_000)
})

test('the reader gives back what went in', () => {
  const writer = new SegmentBatchWriter(HEADER)
  for (const segment of SEGMENTS) writer.add(segment)
  const batch = decodeSegmentBatch(writer.finish())
  assert.deepEqual({ ...batch, segments: 0 }, { ...HEADER, segments: 0 })
  assert.deepEqual(batch.segments, SEGMENTS)
  writer.add(SEGMENTS[0])
  assert.equal(decodeSegmentBatch(writer.finish()).sequence, 8)
})

test('an empty batch is a batch', () => {
  assert.deepEqual(decodeSegmentBatch(new SegmentBatchWriter(HEADER).finish()).segments, [])
})

test('a batch cut or changed anywhere is refused or read, never a crash', () => {
  const writer = new SegmentBatchWriter(HEADER)
  writer.add(new Segment(connection(3n), 0 as Direction, 0, 3, Buffer.from('abc'), 1, 0, 1))
  const whole = Buffer.from(writer.finish())
  for (let size = 0; size < whole.length; size++) {
    assert.throws(() => decodeSegmentBatch(whole.subarray(0, size)), { code: 'BAD_SEGMENT_BATCH' })
  }
  for (let at = 0; at < whole.length; at++) {
    for (const value of [0, 0x7f, 0x80, 0xff]) {
      const changed = Buffer.from(whole)
      changed[at] = value
      try {
        decodeSegmentBatch(changed)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'BAD_SEGMENT_BATCH')
      }
    }
  }
})
