/**
 * `klartext read` against tshark on the same PostgreSQL captures, JSON lines and fields to /dev/null; and the decoder alone,
 * from segments in memory to rows. All by processor time.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PcapSource } from '../../services/adapters/pcap/source.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import type { Segment } from '../../services/core/segment.js'
import { DecodePipeline } from '../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { type PgCapture, type PgShape, writePgCapture } from './postgresql_capture.js'
import { timed } from './side_by_side.js'

const ROUNDS = 3
/** tshark keeps state per packet: a part of the file is enough to know its speed. */
const TSHARK_SHARE = 0.15
const SHAPES: readonly PgShape[] = ['large', 'small', 'prepared']

export async function main(words: readonly string[]): Promise<number> {
  const megabytes = Number(words[0] ?? 200)
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  try {
    for (const shape of SHAPES) await bench(folder, shape, megabytes * 1e6)
    return 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function bench(folder: string, shape: PgShape, sizeBytes: number): Promise<void> {
  const [large, small] = [join(folder, `${shape}.pcap`), join(folder, `${shape}-part.pcap`)]
  const whole = writePgCapture(large, shape, sizeBytes)
  const part = writePgCapture(small, shape, sizeBytes * TSHARK_SHARE)
  const ours: number[] = []
  const theirs: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(
      statSync(large).size /
        timed(
          `taskset -c 0 ${process.execPath} ${REPO_ROOT}/services/cli/bin/klartext.mjs read -q ${large} > /dev/null`,
        ),
    )
    theirs.push(
      statSync(small).size /
        timed(
          `taskset -c 0 tshark -r ${small} -Y pgsql -T fields -e frame.time_epoch -e tcp.stream -e pgsql.type -e pgsql.query -e pgsql.tag > /dev/null 2>&1`,
        ),
    )
  }
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]
  const [a, b] = [median(ours), median(theirs)]
  const perByte = whole.exchanges / statSync(large).size
  console.log(`${shape}: ${(statSync(large).size / 1e6).toFixed(0)} MB, ${whole.exchanges} exchanges`)
  console.log(
    `  klartext read: ${(a / 1e6).toFixed(0)} MB/s, ${((a * perByte) / 1000).toFixed(1)} k exchanges/s (median of ${ROUNDS})`,
  )
  console.log(
    `  tshark:        ${(b / 1e6).toFixed(1)} MB/s, ${((b * part.exchanges) / statSync(small).size / 1000).toFixed(1)} k exchanges/s`,
  )
  console.log(`  ratio: ${(a / b).toFixed(1)}`)
  await decoderAlone(large, whole)
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
