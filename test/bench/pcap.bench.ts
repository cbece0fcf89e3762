/** The capture reader alone, from file to segments: packets/s, MB/s and µs per HTTP exchange on one core. */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PcapSource } from '../../services/adapters/pcap/source.js'
import { writeHttpCapture } from './http_capture.js'

const ROUNDS = 5

export async function main(words: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  try {
    const path = join(folder, 'http.pcap')
    const exchanges = writeHttpCapture(path, Number(words[0] ?? 200) * 1e6)
    const size = statSync(path).size
    const rounds: number[] = []
    let packets = 0
    let segments = 0
    for (let round = 0; round < ROUNDS; round++) {
      const begun = process.cpuUsage()
      const source = new PcapSource(path)
      segments = 0
      for await (const batch of source.batches()) segments += batch.length
      const spent = process.cpuUsage(begun)
      packets = source.packets
      rounds.push((spent.user + spent.system) / 1e6)
    }
    const seconds = rounds.sort((a, b) => a - b)[ROUNDS >> 1]
    console.log(
      `${(size / 1e6).toFixed(0)} MB, ${packets} packets, ${segments} segments, ${exchanges} exchanges; median of ${ROUNDS}, CPU time`,
    )
    console.log(
      `${(packets / seconds / 1e6).toFixed(2)} M packets/s, ${(size / seconds / 1e6).toFixed(0)} MB/s, ${((seconds * 1e6) / exchanges).toFixed(2)} µs per exchange`,
    )
    console.log(`peak memory ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`)
    return 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
