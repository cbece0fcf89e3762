import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { typeWithBigInt } from '../../../test/fakes/avro_long.js'
import { addressToBytes } from '../address.js'
import { REPO_ROOT } from '../repo_root.js'
import { ConnectionInfo, type Direction, Segment } from '../segment.js'
import { decodeSegmentBatch, SegmentBatchWriter } from './segment_batch.js'

const HEADER = { cluster: 'c', node: 'knoten-ü', bootId: 'b-1', capturerVersion: '0.1.0', sequence: 7 }

const schema = JSON.parse(readFileSync(join(REPO_ROOT, 'schemas/avro/segment_batch.avsc'), 'utf8'))
const type = typeWithBigInt(schema)

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
  info.podUid = '0f1e2d3c-1111-2222-3333-444455556666'
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
  assert.equal(batch.format_version, 2)
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

/** A small generator with a seed (mulberry32), so that a failure can be repeated. */
function generator(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}

/** Numbers of every size: most of the encodings' corners lie at powers of two. */
function anySize(random: (limit: number) => number, bits: number): number {
  return Math.max(0, 2 ** random(bits + 1) - random(3))
}

function randomSegments(seed: number): Segment[] {
  const random = generator(seed)
  const word = (size: number) => String.fromCodePoint(...Array.from({ length: random(size) }, () => 1 + random(0x7ff)))
  const ip = () => (random(2) === 0 ? `10.${random(256)}.0.${random(256)}` : `2001:db8::${1 + random(0xfff)}`)
  const connections = Array.from({ length: 1 + random(5) }, () => {
    const info = new ConnectionInfo(BigInt.asUintN(64, BigInt(anySize(random, 53)) * 2048n + BigInt(random(2048))))
    info.transport = (['tcp', 'udp', 'unix'] as const)[random(3)]
    info.side = (['unknown', 'client', 'server'] as const)[random(3)]
    info.source = word(10)
    if (random(4) > 0) Object.assign(info, { clientIp: ip(), serverIp: ip() })
    Object.assign(info, { clientPort: random(65_536), serverPort: random(65_536), pid: anySize(random, 31) - 1 })
    info.processStartNs = BigInt(anySize(random, 53)) * 512n
    info.cgroupId = BigInt(anySize(random, 53)) * -1024n
    Object.assign(info, { comm: word(16), containerId: word(64), tlsVersion: word(4) })
    return Object.assign(info, { cluster: HEADER.cluster, node: HEADER.node })
  })
  return Array.from({ length: random(40) }, () => {
    const payload = Buffer.from(Array.from({ length: random(200) }, () => random(256)))
    const length = payload.length + (random(3) === 0 ? anySize(random, 40) : 0)
    const time = 1_790_000_000_000_000 + anySize(random, 42) * (random(2) === 0 ? 1 : -1)
    const [info, direction] = [connections[random(connections.length)], random(2) as Direction]
    return new Segment(info, direction, anySize(random, 52), length, payload, time, random(1000), anySize(random, 30))
  })
}

function asRecord(segments: readonly Segment[]) {
  const connections = [...new Set(segments.map((each) => each.connection))]
  const base = 1_790_000_000_123_456_789n
  return {
    format_version: 2,
    cluster: HEADER.cluster,
    node: HEADER.node,
    boot_id: HEADER.bootId,
    capturer_version: HEADER.capturerVersion,
    sequence: BigInt(HEADER.sequence),
    base_time_ns: base,
    connections: connections.map((info) => {
      const id = Buffer.alloc(8)
      id.writeBigUInt64BE(info.id)
      return {
        conn_id: id,
        transport: info.transport,
        side: info.side,
        source: info.source,
        client_ip: addressToBytes(info.clientIp),
        client_port: info.clientPort,
        server_ip: addressToBytes(info.serverIp),
        server_port: info.serverPort,
        pid: info.pid,
        process_start_ns: info.processStartNs,
        comm: info.comm,
        cgroup_id: info.cgroupId,
        container_id: info.containerId,
        tls_version: info.tlsVersion,
        pod_uid: info.podUid,
      }
    }),
    segments: segments.map((each) => ({
      connection: connections.indexOf(each.connection),
      direction: each.direction === 0 ? 'to_server' : 'to_client',
      position: BigInt(each.position),
      length: BigInt(each.length),
      time_offset_ns: BigInt(each.timeUs) * 1000n + BigInt(each.timeRestNs) - base,
      flags: each.flags,
      payload: each.payload,
    })),
  }
}

test('random batches: avsc reads ours, we read those of avsc', () => {
  for (let seed = 1; seed <= 80; seed++) {
    const segments = randomSegments(seed)
    const record = asRecord(segments)
    assert.deepEqual(decodeSegmentBatch(type.toBuffer(record)).segments, segments, `seed ${seed}`)
    const writer = new SegmentBatchWriter(HEADER)
    for (const segment of segments) writer.add(segment)
    const bytes = writer.finish()
    const read = JSON.parse(
      JSON.stringify(type.fromBuffer(bytes), (_, each) => (typeof each === 'bigint' ? `${each}` : each)),
    )
    const offset = segments.length > 0 ? BigInt(segments[0].timeUs) * 1000n : 0n
    const wanted = {
      ...record,
      base_time_ns: offset,
      segments: record.segments.map((each) => ({
        ...each,
        time_offset_ns: each.time_offset_ns + record.base_time_ns - offset,
      })),
    }
    assert.deepEqual(
      read,
      JSON.parse(JSON.stringify(wanted, (_, each) => (typeof each === 'bigint' ? `${each}` : each))),
      `seed ${seed}`,
    )
    assert.deepEqual(decodeSegmentBatch(bytes).segments, segments, `seed ${seed}`)
  }
})

test('batches of version 1, which had no pods, are read as they were', () => {
  const older = structuredClone(schema)
  const { items } = older.fields.find(({ name }: { name: string }) => name === 'connections').type
  items.fields = items.fields.filter(({ name }: { name: string }) => name !== 'pod_uid')
  const bytes = typeWithBigInt(older).toBuffer({ ...asRecord(SEGMENTS), format_version: 1 })
  const read = decodeSegmentBatch(bytes).segments
  for (const each of read) {
    assert.equal(each.connection.podUid, '')
    each.connection.podUid = SEGMENTS[0].connection.podUid
  }
  assert.deepEqual(read, SEGMENTS)
})

test('a batch of a format to come is told apart from a broken one', () => {
  const bytes = type.toBuffer({ ...asRecord([SEGMENTS[0]]), format_version: 3 })
  assert.throws(() => decodeSegmentBatch(bytes), {
    code: 'SCHEMA_NEWER',
    message: 'a segment batch has format version 3, this klartext knows up to 2: update it first',
  })
})

test('what no batch can be is refused with the place and the reason', () => {
  const one = asRecord([SEGMENTS[0]])
  const changed = (connection: object, segment: object) => ({
    ...one,
    connections: [{ ...one.connections[0], ...connection }],
    segments: [{ ...one.segments[0], ...segment }],
  })
  const refused = (bytes: Buffer, reason: RegExp) =>
    assert.throws(
      () => decodeSegmentBatch(bytes),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'BAD_SEGMENT_BATCH')
        assert.match(error.message, reason)
        return /byte \d+ of \d+/.test(error.message)
      },
    )
  const of = (record: object) => type.toBuffer(record)
  refused(of({ ...one, format_version: 12 }), /format version 12, this reader knows 1 to 2$/)
  refused(of({ ...one, format_version: -1 }), /format version -1/)
  refused(of(changed({}, { connection: 1 })), /names no connection/)
  refused(of(changed({}, { connection: -1 })), /names no connection/)
  refused(of(changed({}, { position: -1n })), /position of -1$/)
  refused(of(changed({}, { position: 2n ** 62n })), /position of 4\d+$/)
  refused(of(changed({}, { length: -(2n ** 63n) })), /length of -9/)
  refused(of(changed({}, { length: 2n })), /3 bytes of payload in a segment of 2$/)
  refused(of(changed({ client_port: -1 }, {})), /port of -1$/)
  refused(Buffer.concat([of(one), Buffer.from([0])]), /1 bytes behind the batch$/)
  const bytes = of(one)
  const at = bytes.indexOf(one.connections[0].conn_id) + 8
  for (const [offset, name] of [
    [0, 'transport'],
    [1, 'side'],
  ] as const) {
    const other = Buffer.from(bytes)
    other[at + offset] = 12
    refused(other, new RegExp(`${name} with the number 6$`))
  }
})

test('lengths of a lie allocate nothing', () => {
  const huge = Buffer.from([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
  const head = type.toBuffer(asRecord([]))
  const before = process.memoryUsage().rss
  // The two arrays' ends are the last bytes; in front of them are four texts and two numbers.
  for (const cut of [1, head.length - 2, head.length - 1]) {
    for (let i = 0; i < 200; i++) {
      const lie = Buffer.concat([head.subarray(0, cut), huge, Buffer.alloc(50)])
      assert.throws(() => decodeSegmentBatch(lie), { code: 'BAD_SEGMENT_BATCH' })
    }
  }
  assert.ok(process.memoryUsage().rss - before < 100e6)
})
