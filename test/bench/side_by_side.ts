/**
 * One capture, read on one core by klartext and by tshark, each by the processor time it takes, the start of the program
 * included: bytes to rows in this process, `klartext read` with the columns that tshark's fields tell, `klartext read` to the
 * JSON of all columns, and tshark.
 */
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { PcapSource } from '../../services/adapters/pcap/source.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { DecodePipeline } from '../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'

const ROUNDS = 3

export interface Sides {
  readonly label: string
  readonly things: string
  /** The capture, how many exchanges it holds, and a smaller one of the same kind for tshark, to take it about as long. */
  readonly path: string
  readonly exchanges: number
  readonly smallPath: string
  readonly smallExchanges: number
  /** Display filter and fields; and the columns that say the same. */
  readonly tshark: string
  readonly columns: string
}

const READ = `taskset -c 0 ${process.execPath} ${REPO_ROOT}/services/cli/bin/klartext.mjs read -q`

export async function sideBySide(sides: Sides): Promise<void> {
  const { label, things, path, exchanges, smallPath, smallExchanges, columns } = sides
  const [rows, chosen, all, tshark]: number[][] = [[], [], [], []]
  for (let round = 0; round < ROUNDS; round++) {
    rows.push(exchanges / (await decodeSeconds(sides)))
    chosen.push(exchanges / timed(`${READ} --columns ${columns} --format tsv ${path} > /dev/null`))
    all.push(exchanges / timed(`${READ} ${path} > /dev/null`))
    tshark.push(smallExchanges / timed(`taskset -c 0 tshark -r ${smallPath} ${sides.tshark} > /dev/null 2>&1`))
  }
  const bytesEach = statSync(path).size / exchanges
  const [a, b, c, d] = [rows, chosen, all, tshark].map((values) => values.sort((x, y) => x - y)[ROUNDS >> 1])
  const rate = (value: number) =>
    `${(value / 1000).toFixed(value < 50_000 ? 1 : 0)} k ${things}/s, ${((value * bytesEach) / 1e6).toFixed(0)} MB/s`
  console.log(`${label}: ${(statSync(path).size / 1e6).toFixed(0)} MB, ${exchanges} ${things}; median of ${ROUNDS}`)
  console.log(`  bytes to rows:           ${rate(a)}, ${(a / d).toFixed(1)} times tshark`)
  console.log(`  klartext read --columns: ${rate(b)}, ${(b / d).toFixed(1)} times tshark (${columns})`)
  console.log(`  klartext read:           ${rate(c)}, ${(c / d).toFixed(1)} times tshark (JSON of all columns)`)
  console.log(`  tshark:                  ${rate(d)}`)
  console.log(`  peak memory of klartext read: ${peakMegabytes(path)} MB`)
}

/** Of the command itself, which leaves it as its last words. */
const PEAK = "process.on('exit', () => console.error(Math.round(process.resourceUsage().maxRSS / 1024)))"

/** Of `klartext read` to JSON lines. Through a shell: what a program is started from counts as its own peak. */
export function peakMegabytes(path: string): string {
  const node = `${process.execPath} --import 'data:text/javascript,${encodeURIComponent(PEAK).replaceAll("'", '%27')}'`
  const command = `${node} ${REPO_ROOT}/services/cli/bin/klartext.mjs read -q ${path}; exit $?`
  return spawnSync('/bin/sh', ['-c', command], { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] }).stderr.trim()
}

async function decodeSeconds({ path, exchanges }: Sides): Promise<number> {
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
  for await (const batch of new PcapSource(path).batches()) pipeline.push(batch)
  pipeline.finish()
  const { user, system } = process.cpuUsage(begun)
  if (flows < exchanges) throw new Error(`${flows} flows of ${exchanges} exchanges`)
  return (user + system) / 1e6
}

/** Processor time that a command takes, its children included, in s: others may use the machine meanwhile. */
export function timed(command: string): number {
  const done = spawnSync('/bin/sh', ['-c', `${command} || exit 1; times`], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (done.status !== 0) throw new Error(`${command} failed`)
  // Two lines, of the shell and of its children: user and system time.
  const times = [...(done.stdout.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)]
  return times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0)
}
