/** Holds native/src/avro_batch.cpp to schemas/avro/segment_batch.avsc: avsc and our own reader both judge its output. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { typeWithBigInt } from '../../test/fakes/avro_long.js'
import { REPO_ROOT } from '../core/repo_root.js'
import { decodeSegmentBatch } from '../core/wire/segment_batch.js'

const DRIVER = join(REPO_ROOT, 'native/build/test/avro_batch_driver')
const skip = existsSync(DRIVER) ? false : 'native/build/test/avro_batch_driver is not built (make -C native)'

const schema = JSON.parse(readFileSync(join(REPO_ROOT, 'schemas/avro/segment_batch.avsc'), 'utf8'))
const type = typeWithBigInt(schema)

const TRANSPORTS = ['tcp', 'udp', 'unix']
const SIDES = ['unknown', 'client', 'server']
const DIRECTIONS = ['to_server', 'to_client']
const BASE_NS = 1_795_392_000_123_456_789n

interface Header {
  cluster: string
  node: string
  bootId: string
  version: string
  sequence: bigint
  baseNs: bigint
}
interface Connection {
  id: bigint
  transport: number
  side: number
  source: string
  clientIp: Buffer
  clientPort: number
  serverIp: Buffer
  serverPort: number
  pid: number
  startNs: bigint
  comm: Buffer
  cgroup: bigint
  container: string
  tls: string
  pod: string
}
interface Item {
  connection: number
  direction: number
  position: bigint
  length: bigint
  timeNs: bigint
  flags: number
  payload: Buffer
}
interface Batch {
  header: Header
  connections: Connection[]
  segments: Item[]
}

const hex = (value: string | Buffer): string => Buffer.from(value as string).toString('hex') || '-'

function script(batches: readonly Batch[]): string {
  const lines: string[] = []
  for (const { header: h, connections, segments } of batches) {
    lines.push(['begin', hex(h.cluster), hex(h.node), hex(h.bootId), hex(h.version), h.sequence, h.baseNs].join(' '))
    for (const c of connections) {
      lines.push(
        [
          'connection',
          c.id,
          c.transport,
          c.side,
          hex(c.source),
          hex(c.clientIp),
          c.clientPort,
          hex(c.serverIp),
          c.serverPort,
          c.pid,
          c.startNs,
          hex(c.comm),
          c.cgroup,
          hex(c.container),
          hex(c.tls),
          hex(c.pod),
        ].join(' '),
      )
    }
    for (const s of segments) {
      lines.push(
        ['segment', s.connection, s.direction, s.position, s.length, s.timeNs, s.flags, hex(s.payload)].join(' '),
      )
    }
    lines.push('finish')
  }
  return `${lines.join('\n')}\n`
}

/** Runs the driver and returns one encoded batch for each given. */
function encode(batches: readonly Batch[], sizeHint: number): Buffer[] {
  const run = spawnSync(DRIVER, [String(sizeHint)], { input: script(batches), maxBuffer: 1 << 28 })
  assert.equal(run.status, 0, run.stderr.toString())
  const encoded: Buffer[] = []
  for (let at = 0; at < run.stdout.length; ) {
    const size = run.stdout.readUInt32LE(at)
    encoded.push(run.stdout.subarray(at + 4, at + 4 + size))
    at += 4 + size
  }
  assert.equal(encoded.length, batches.length)
  return encoded
}

/** What avsc must read back. `comm` is compared apart, since hostile bytes are replaced. */
function expected({ header: h, connections, segments }: Batch): object {
  const id = (value: bigint): Buffer => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(value)
    return bytes
  }
  return {
    format_version: 2,
    cluster: h.cluster,
    node: h.node,
    boot_id: h.bootId,
    capturer_version: h.version,
    sequence: h.sequence,
    base_time_ns: h.baseNs,
    connections: connections.map((c) => ({
      conn_id: id(c.id),
      transport: TRANSPORTS[c.transport],
      side: SIDES[c.side],
      source: c.source,
      client_ip: c.clientIp,
      client_port: c.clientPort,
      server_ip: c.serverIp,
      server_port: c.serverPort,
      pid: c.pid,
      process_start_ns: c.startNs,
      comm: c.comm.toString('utf8'),
      cgroup_id: c.cgroup,
      container_id: c.container,
      tls_version: c.tls,
      pod_uid: c.pod,
    })),
    segments: segments.map((s) => ({
      connection: s.connection,
      direction: DIRECTIONS[s.direction],
      position: s.position,
      length: s.length,
      time_offset_ns: BigInt.asIntN(64, s.timeNs - h.baseNs),
      flags: s.flags,
      payload: s.payload,
    })),
  }
}

/** Plain objects all the way down, so that deepEqual compares values and not avsc's record classes. */
function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value) || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(plain)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

function check(batches: readonly Batch[], sizeHint: number): Buffer[] {
  const encoded = encode(batches, sizeHint)
  batches.forEach((batch, i) => {
    assert.deepEqual(plain(type.fromBuffer(encoded[i] as Buffer)), expected(batch))
  })
  return encoded
}

const HEADER: Header = {
  cluster: 'c',
  node: 'knoten-ü',
  bootId: 'b-1',
  version: '0.1.0',
  sequence: 7n,
  baseNs: BASE_NS,
}

function connection(id: bigint, change: Partial<Connection> = {}): Connection {
  return {
    id,
    transport: 0,
    side: 2,
    source: 'openssl',
    clientIp: Buffer.from([10, 0, 0, 1]),
    clientPort: 40_000,
    serverIp: Buffer.from([10, 0, 0, 2]),
    serverPort: 443,
    pid: 1234,
    startNs: 987_654_321n,
    comm: Buffer.from('nginx'),
    cgroup: 42n,
    container: '',
    tls: '1.3',
    pod: '',
    ...change,
  }
}

function segment(change: Partial<Item> = {}): Item {
  return {
    connection: 0,
    direction: 0,
    position: 0n,
    length: 0n,
    timeNs: BASE_NS,
    flags: 0,
    payload: Buffer.alloc(0),
    ...change,
  }
}

function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >> 8)) & 0xff
  return bytes
}

test('edge values of every field survive', { skip }, () => {
  const batch: Batch = {
    header: { ...HEADER, sequence: 2n ** 63n - 1n },
    connections: [
      connection(0n, {
        transport: 2,
        side: 0,
        source: '',
        clientIp: Buffer.alloc(0),
        clientPort: 0,
        serverIp: Buffer.alloc(0),
        serverPort: 0,
        pid: 0,
        startNs: 0n,
        comm: Buffer.alloc(0),
        cgroup: 0n,
        tls: '',
      }),
      connection(2n ** 64n - 1n, {
        transport: 1,
        side: 1,
        clientIp: Buffer.alloc(16, 0xfe),
        clientPort: 65535,
        serverIp: Buffer.alloc(16, 1),
        serverPort: 65535,
        pid: 2 ** 31 - 1,
        startNs: 2n ** 63n - 1n,
        comm: Buffer.from('größe 日本 \u{1f600}'),
        cgroup: -(2n ** 63n),
        container: 'f'.repeat(64),
        pod: '0f1e2d3c-1111-2222-3333-444455556666',
      }),
    ],
    segments: [
      segment({ timeNs: BASE_NS - 1n }),
      segment({
        connection: 1,
        direction: 1,
        position: 2n ** 53n,
        length: 2n ** 53n + 1n,
        timeNs: BASE_NS - 10n ** 12n,
        flags: 1024,
      }),
      segment({ position: 63n, length: 64n, timeNs: BASE_NS + 2n ** 40n, flags: 1, payload: Buffer.from([0]) }),
      segment({
        position: 2n ** 63n - 1n,
        length: -1n,
        timeNs: -(2n ** 63n),
        flags: 2 ** 31 - 1,
        payload: pattern(127),
      }),
    ],
  }
  check([batch], 65_536)
})

test('batches without connections or segments are whole batches', { skip }, () => {
  check(
    [
      {
        header: { ...HEADER, cluster: '', node: '', bootId: '', version: '', sequence: 0n, baseNs: 0n },
        connections: [],
        segments: [],
      },
      { header: HEADER, connections: [connection(1n)], segments: [] },
    ],
    65_536,
  )
})

test('payloads of 0 to 1 MiB, with buffers that must grow and tables larger than their reserve', { skip }, () => {
  const sizes = [0, 1, 63, 64, 8191, 8192, 16384, 16385, 65537, 1 << 20]
  const large: Batch = {
    header: HEADER,
    connections: [connection(5n)],
    segments: sizes.map((size, i) =>
      segment({ direction: i & 1, position: BigInt(i), length: BigInt(size), payload: pattern(size) }),
    ),
  }
  const wide: Batch = {
    header: { ...HEADER, sequence: 8n },
    connections: Array.from({ length: 700 }, (_, i) => connection(BigInt(i), { container: 'a'.repeat(64) })),
    segments: Array.from({ length: 700 }, (_, i) => segment({ connection: i, payload: pattern(i) })),
  }
  // Twice wide: the second one finds the reserve already large enough. Hint 1: every buffer starts too small.
  for (const hint of [1, 1 << 22]) check([large, wide, wide, large], hint)
})

test('a name that is not UTF-8 becomes one that is', { skip }, () => {
  const names = [
    [0xff],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0x61, 0xe2, 0x82],
    [0, 0x22, 0x5c, 0x0a],
    [0xe0, 0x80, 0x80],
    [0xf0, 0x8f, 0xbf, 0xbf],
    [0x62, 0xc3, 0x28],
  ]
  const batch: Batch = {
    header: HEADER,
    connections: names.map((name, i) => connection(BigInt(i), { comm: Buffer.from(name) })),
    segments: [],
  }
  const [encoded] = encode([batch], 65_536)
  const read = type.fromBuffer(encoded as Buffer) as { connections: { comm: string }[] }
  const utf8 = new TextDecoder('utf8', { fatal: true })
  names.forEach((name, i) => {
    const comm = read.connections[i]?.comm ?? ''
    // Valid input is kept as it is; of invalid input every bad byte is one replacement character.
    let valid = true
    try {
      utf8.decode(Buffer.from(name))
    } catch {
      valid = false
    }
    if (valid) assert.equal(comm, Buffer.from(name).toString())
    else assert.equal([...comm].filter((c) => c === '\ufffd').length > 0, true)
    assert.equal(
      (encoded as Buffer).includes(Buffer.from(comm)),
      true,
      `comm ${i} is written as the UTF-8 that is read`,
    )
  })
})

test('our own reader takes the same batch', { skip }, () => {
  const [encoded] = encode(
    [
      {
        header: HEADER,
        connections: [connection(9n)],
        segments: [
          segment({
            direction: 1,
            position: 2n ** 52n,
            length: 5n,
            timeNs: BASE_NS - 1n,
            flags: 4,
            payload: Buffer.from('hello'),
          }),
        ],
      },
    ],
    65_536,
  )
  const batch = decodeSegmentBatch(encoded as Buffer)
  const [only] = batch.segments
  assert.equal(batch.segments.length, 1)
  assert.equal(only?.connection.id, 9n)
  assert.equal(only?.connection.clientIp, '10.0.0.1')
  assert.equal(only?.position, 2 ** 52)
  assert.equal(only?.payload.toString(), 'hello')
  assert.equal(BigInt(only?.timeUs ?? 0) * 1000n + BigInt(only?.timeRestNs ?? 0), BASE_NS - 1n)
})
