/** Segment batches through the hand-written codec and through avsc: µs per segment, MB/s. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import avro from 'avsc'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { ConnectionInfo, type Direction, Segment } from '../../services/core/segment.js'
import { decodeSegmentBatch, SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'

const SEGMENTS = 700
const CONNECTIONS = 50
const ROUNDS = 5
const SECONDS = 0.5

/** About what a busy node sends: 256 KiB in segments of 100 to 600 bytes on many connections. */
function segments(): Segment[] {
  const connections = Array.from({ length: CONNECTIONS }, (_, i) => {
    const info = new ConnectionInfo(BigInt(i) * 0x1234_5678_9abcn)
    Object.assign(info, { source: 'openssl', clientIp: '10.1.2.3', clientPort: 40_000 + i, serverIp: '10.9.8.7' })
    return Object.assign(info, {
      serverPort: 443,
      pid: 4242,
      processStartNs: 10n ** 14n,
      comm: 'nginx',
      cgroupId: 9999n,
    })
  })
  const payload = Buffer.alloc(1000, 'x')
  return Array.from({ length: SEGMENTS }, (_, i) => {
    const size = 100 + ((i * 37) % 500)
    const direction = (i % 2) as Direction
    const time = 1_790_000_000_000_000 + i * 31
    return new Segment(
      connections[i % CONNECTIONS],
      direction,
      i * 5000,
      size,
      payload.subarray(0, size),
      time,
      i % 1000,
      0,
    )
  })
}

/** Best of some rounds, CPU time. */
function microsPerSegment(work: () => void): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const begun = process.cpuUsage()
    const until = performance.now() + (SECONDS * 1000) / ROUNDS
    let batches = 0
    for (; performance.now() < until; batches++) work()
    const spent = process.cpuUsage(begun)
    best = Math.min(best, (spent.user + spent.system) / batches / SEGMENTS)
  }
  return best
}

export async function main(): Promise<number> {
  const batch = segments()
  const writer = new SegmentBatchWriter({ cluster: 'c', node: 'n', bootId: 'b', capturerVersion: '1', sequence: 0 })
  const write = () => {
    for (const segment of batch) writer.add(segment)
    return writer.finish()
  }
  const bytes = write()
  const type = avro.Type.forSchema(JSON.parse(readFileSync(join(REPO_ROOT, 'schemas/avro/segment_batch.avsc'), 'utf8')))
  // avsc refuses integers beyond 2^53, which times in ns are: it gets the same batch with small ones.
  const small = { ...type.random(), ...smallBatch(batch) } as never
  const smallBytes = type.toBuffer(small)
  console.log(
    `${SEGMENTS} segments, ${CONNECTIONS} connections, ${bytes.length} bytes; best of ${ROUNDS}, µs per segment`,
  )
  const report = (name: string, micros: number) =>
    console.log(`${name.padEnd(16)} ${micros.toFixed(3)}  ${(bytes.length / SEGMENTS / micros).toFixed(0)} MB/s`)
  report(
    'read',
    microsPerSegment(() => decodeSegmentBatch(bytes)),
  )
  report('write', microsPerSegment(write))
  report(
    'read, avsc',
    microsPerSegment(() => type.fromBuffer(smallBytes)),
  )
  report(
    'write, avsc',
    microsPerSegment(() => type.toBuffer(small)),
  )
  return 0
}

function smallBatch(batch: readonly Segment[]) {
  const connections = [...new Set(batch.map((each) => each.connection))]
  return {
    sequence: 0,
    base_time_ns: 0,
    connections: connections.map((info) => ({
      conn_id: Buffer.alloc(8),
      transport: info.transport,
      side: info.side,
      source: info.source,
      client_ip: Buffer.alloc(4),
      client_port: info.clientPort,
      server_ip: Buffer.alloc(4),
      server_port: info.serverPort,
      pid: info.pid,
      process_start_ns: 10 ** 14,
      comm: info.comm,
      cgroup_id: 9999,
      container_id: '',
      tls_version: '',
    })),
    segments: batch.map((each, i) => ({
      connection: connections.indexOf(each.connection),
      direction: each.direction === 0 ? 'to_server' : 'to_client',
      position: each.position,
      length: each.length,
      time_offset_ns: i * 31_000,
      flags: each.flags,
      payload: each.payload,
    })),
  }
}
