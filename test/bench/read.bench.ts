/** `klartext read` against tshark on the same keep-alive HTTP/1 capture: one core each, JSON lines and fields to /dev/null. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { writeHttpCapture } from './http_capture.js'
import { peakMegabytes } from './side_by_side.js'

const ROUNDS = 3
/** tshark keeps state per packet: a part of the file is enough to know its speed. */
const TSHARK_SHARE = 0.1

export async function main(words: readonly string[]): Promise<number> {
  const megabytes = Number(words[0] ?? 210)
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  try {
    const [large, small] = [join(folder, 'large.pcap'), join(folder, 'small.pcap')]
    const exchanges = writeHttpCapture(large, megabytes * 1e6)
    const smallExchanges = writeHttpCapture(small, megabytes * 1e6 * TSHARK_SHARE)
    const size = statSync(large).size
    const ours: number[] = []
    const theirs: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(
        exchanges /
          timed(
            `exec taskset -c 0 ${process.execPath} ${REPO_ROOT}/services/cli/bin/klartext.mjs read -q ${large} > /dev/null`,
          ),
      )
      theirs.push(
        smallExchanges /
          timed(
            `exec taskset -c 0 tshark -r ${small} -Y http.response -T fields -e frame.time_epoch -e ip.src -e http.response.code -e http.response_for.uri > /dev/null 2>&1`,
          ),
      )
    }
    const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]
    const [a, b] = [median(ours), median(theirs)]
    console.log(`capture: ${(size / 1e6).toFixed(0)} MB, ${exchanges} exchanges`)
    console.log(
      `klartext read: ${Math.round(a / 1000)} k exchanges/s, ${((a / exchanges) * (size / 1e6)).toFixed(0)} MB/s (median of ${ROUNDS}, one core)`,
    )
    console.log(`tshark:        ${(b / 1000).toFixed(1)} k exchanges/s`)
    console.log(`ratio: ${(a / b).toFixed(1)}`)
    console.log(`peak memory of klartext read: ${peakMegabytes(large)} MB`)
    return 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function timed(command: string): number {
  const begun = process.hrtime.bigint()
  const done = spawnSync('/bin/sh', ['-c', command], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (done.status !== 0) throw new Error(`${command} failed`)
  return Number(process.hrtime.bigint() - begun) / 1e9
}
