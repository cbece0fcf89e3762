/**
 * One capture, three readers on one core: decoder to rows in this process, `klartext read` to JSON lines, tshark to fields;
 * each by the processor time it takes.
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
  /** The capture, how many exchanges it holds, and a smaller one of the same kind for tshark. */
  readonly path: string
  readonly exchanges: number
  readonly smallPath: string
  readonly smallExchanges: number
  /** Display filter and fields. */
  readonly tshark: string
}

export async function sideBySide(sides: Sides): Promise<void> {
  const [rows, read, tshark]: number[][] = [[], [], []]
  for (let round = 0; round < ROUNDS; round++) {
    rows.push(sides.exchanges / (await decodeSeconds(sides)))
    read.push(
      sides.exchanges /
        timed(
          `taskset -c 0 ${process.execPath} ${REPO_ROOT}/services/cli/bin/klartext.mjs read -q ${sides.path} > /dev/null`,
        ),
    )
    tshark.push(
      sides.smallExchanges / timed(`taskset -c 0 tshark -r ${sides.smallPath} ${sides.tshark} > /dev/null 2>&1`),
    )
  }
  const [a, b, c] = [rows, read, tshark].map((values) => values.sort((x, y) => x - y)[ROUNDS >> 1])
  const thousands = (value: number) => `${(value / 1000).toFixed(value < 50_000 ? 1 : 0)} k ${sides.things}/s`
  console.log(`${sides.label}: ${(statSync(sides.path).size / 1e6).toFixed(0)} MB, ${sides.exchanges} ${sides.things}`)
  console.log(
    `  bytes to rows: ${thousands(a)} (pcap reading and reassembly included), ${(a / c).toFixed(1)} times tshark`,
  )
  console.log(`  klartext read: ${thousands(b)}, ${(b / c).toFixed(1)} times tshark`)
  console.log(`  tshark:        ${thousands(c)}`)
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
  if (flows !== exchanges) throw new Error(`${flows} flows of ${exchanges} exchanges`)
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
