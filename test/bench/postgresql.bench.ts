/** PostgreSQL: large results, small queries, prepared statements; and the decoder alone, from segments in memory to rows. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PcapSource } from '../../services/adapters/pcap/source.js'
import type { Segment } from '../../services/core/segment.js'
import { DecodePipeline } from '../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { type PgCapture, type PgShape, writePgCapture } from './postgresql_capture.js'
import { sideBySide } from './side_by_side.js'

const ROUNDS = 3
/** To take tshark about as long. */
const TSHARK_SHARE = 0.1
const SHAPES: Readonly<Record<PgShape, string>> = {
  large: 'results of 1000 rows',
  small: 'one row, text in the query',
  prepared: 'one row, prepared statement',
}

export async function main(words: readonly string[]): Promise<number> {
  const megabytes = Number(words[0] ?? 200)
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  try {
    for (const shape of Object.keys(SHAPES) as PgShape[]) await bench(folder, shape, megabytes * 1e6)
    return 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function bench(folder: string, shape: PgShape, sizeBytes: number): Promise<void> {
  const [path, smallPath] = [join(folder, 'large.pcap'), join(folder, 'small.pcap')]
  const whole = writePgCapture(path, shape, sizeBytes)
  const part = writePgCapture(smallPath, shape, sizeBytes * TSHARK_SHARE)
  await sideBySide({
    label: SHAPES[shape],
    things: 'exchanges',
    path,
    exchanges: whole.exchanges,
    smallPath,
    smallExchanges: part.exchanges,
    tshark: '-Y pgsql -T fields -e frame.time_epoch -e tcp.stream -e pgsql.type -e pgsql.query -e pgsql.tag',
    columns: 'ts,conn_id,method,resource,resp_bytes,error',
  })
  await decoderAlone(path, whole)
}

async function decoderAlone(path: string, { exchanges, payloadBytes }: PgCapture): Promise<void> {
  const segments: Segment[] = []
  for await (const batch of new PcapSource(path).batches()) {
    for (const segment of batch) {
      // A source uses its memory again.
      const { connection, direction, position, length, payload, timeUs, timeRestNs, flags } = segment
      const own = Buffer.from(payload)
      segments.push({ connection, direction, position, length, payload: own, timeUs, timeRestNs, flags })
    }
  }
  const cpu: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    let flows = 0
    const pipeline = new DecodePipeline({
      protocols: PROTOCOLS,
      policy: new FlowPolicy(defaultPolicy('full')),
      onFlow: () => {
        flows += 1
      },
      onConnection: () => {},
    })
    const begun = process.cpuUsage()
    for (let i = 0; i < segments.length; i += 512) pipeline.push(segments.slice(i, i + 512))
    pipeline.finish()
    const { user, system } = process.cpuUsage(begun)
    cpu.push((user + system) / 1e6)
    if (flows < exchanges) throw new Error(`${flows} flows of ${exchanges} exchanges`)
  }
  const seconds = cpu.sort((a, b) => a - b)[cpu.length >> 1]
  console.log(
    `  decoder alone: ${(payloadBytes / 1e6 / seconds).toFixed(0)} MB/s of payload, ${(exchanges / seconds / 1000).toFixed(0)} k exchanges/s of CPU time`,
  )
}
