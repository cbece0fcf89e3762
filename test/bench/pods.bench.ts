/**
 * The directory with 20 000 pods, and lookups: memory of the process that follows them, time of one lookup by address at a
 * time and by container, and of what a decode worker does for each flow, beside what a bare Map of texts takes for the same
 * keys.
 */
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PodTable } from '../../services/adapters/memory/pod_table.js'
import { type Identity, STILL_VALID_US } from '../../services/core/pods.js'
import { Random } from '../../services/core/random.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { ConnectionInfo } from '../../services/core/segment.js'
import { decodePodRecord, encodeIdentity } from '../../services/core/wire/pods.js'
import { FlowContext } from '../../services/decode/flow_context.js'
import { nameEnds } from '../../services/decode/naming.js'
import { BenchApiServer, podAddress, podContainer } from './pods/api_server.js'
import { benchIdentities, START_US } from './pods/identities.js'

const LOOKUPS = 5_000_000
const ROUNDS = 5
const CONNECTIONS = 10_000
const S = 1_000_000
/** What is told of a pod until its address, its containers and its service are known. */
const VERSIONS = 3

interface Said {
  readonly step?: string
  readonly error?: string
  readonly ms: number
  readonly sent: number
  readonly rssMb: number
  readonly peakMb: number
}

export async function main(words: readonly string[]): Promise<number> {
  const pods = Number(words[0] ?? 20_000)
  if (words[1] !== 'lookups') await directory(pods)
  // All is calm; every address has changed hands twice within the hour that is kept.
  for (const lives of [1, 3]) lookups(pods, lives)
  return 0
}

async function directory(pods: number): Promise<void> {
  const server = new BenchApiServer(pods)
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  const url = await server.listen()
  const child = fork(join(REPO_ROOT, 'dist/test/bench/pods/directory.js'), [url, folder, String(pods)])
  const said: Said[] = []
  let wake = () => {}
  child.on('message', (message) => {
    said.push(message as Said)
    wake()
  })
  child.on('exit', () => wake())
  const next = async (step: string): Promise<Said> => {
    for (;;) {
      const found = said.find((each) => each.step === step)
      if (found !== undefined) return found
      const failed = said.find(({ error }) => error !== undefined)
      if (failed !== undefined || child.exitCode !== null) throw new Error(failed?.error ?? 'the directory has ended')
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  try {
    const listed = await next('listed')
    await server.touchAll()
    await server.touchAll()
    child.send('how much')
    const touched = await next('touched')
    const watches = [...server.open.values()].reduce((sum, count) => sum + count, 0)
    console.log(`directory, ${pods} pods of 8 KB, ${watches} watches of ${server.open.size} kinds`)
    console.log(
      `  listed in ${(listed.ms / 1000).toFixed(1)} s, ${listed.sent} identities told; then ${listed.rssMb} MB, at most ${listed.peakMb} MB`,
    )
    console.log(
      `  after each pod has changed twice: ${touched.rssMb} MB, at most ${touched.peakMb} MB; told ${touched.sent - listed.sent} more`,
    )
  } finally {
    child.kill('SIGKILL')
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

function heapMb(): number {
  ;(globalThis as { gc?: () => void }).gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
}

function lookups(pods: number, lives: number): void {
  const now = benchIdentities(pods)
  const before = heapMb()
  const table = new PodTable()
  const decoded = (identity: Identity, knownUs: number) => {
    const record = decodePodRecord(encodeIdentity(identity))
    if (record.type === 'identity') table.put(record.identity, knownUs)
  }
  for (let life = 0; life < lives; life++) {
    for (const identity of now) {
      const fromUs = START_US + life * 600 * S
      const key = `${identity.key}-${life}`
      const more = { key, podUid: key, validFromUs: fromUs, containers: life === lives - 1 ? identity.containers : [] }
      const validToUs = life === lives - 1 ? STILL_VALID_US : fromUs + 590 * S
      for (let version = 0; version < VERSIONS; version++) {
        decoded(
          { ...identity, ...more, service: version === 0 ? '' : identity.service, validToUs },
          fromUs + version * S,
        )
      }
    }
  }
  table.follow({ cluster: 'bench', network: '', untilUs: STILL_VALID_US }, START_US)
  console.log(
    `table: ${table.size} lives of ${pods} addresses, ${VERSIONS} versions each: ${(heapMb() - before).toFixed(0)} MB of heap`,
  )

  const plain = new Map(now.map(({ addresses, name }) => [addresses[0], name]))
  const random = new Random(1)
  // Texts as they come out of a message: each its own.
  const fresh = (text: string) => Buffer.from(text).toString()
  const addresses = Array.from({ length: 65_536 }, () => fresh(podAddress(random.below(pods))))
  const containers = Array.from({ length: 65_536 }, () => fresh(podContainer(random.below(pods))))
  const unknown = Array.from({ length: 65_536 }, () => fresh(`10.200.${random.below(256)}.${random.below(256)}`))
  const view = table.at(START_US + 2000 * S)
  const timeUs = START_US + 1500 * S
  const hit = (found: unknown) => {
    if (found === null || typeof found !== 'object') throw new Error('a lookup found nothing')
  }
  const names = { length: 0 }
  const plainNs = timed((i) => {
    names.length += (plain.get(addresses[i & 65_535]) as string).length
  })
  report('Map of texts, no times', plainNs, plainNs)
  const compared = (what: string, call: (i: number) => void) => report(what, timed(call), plainNs)
  compared('by address and time', (i) => hit(view.byAddress('bench', addresses[i & 65_535], timeUs)))
  compared('by address, nobody has it', (i) => void view.byAddress('bench', unknown[i & 65_535], timeUs))
  compared('by container', (i) => hit(view.byContainer('bench', containers[i & 65_535])))
  compared('a new view, and by address', (i) =>
    hit(table.at(START_US + 2000 * S).byAddress('bench', addresses[i & 65_535], timeUs)),
  )
  flows(table, now, random, compared)
}

/** As a decode worker names flows: a view for each message, both ends of each flow, over many connections at once. */
function flows(
  table: PodTable,
  pods: readonly Identity[],
  random: Random,
  compared: (what: string, call: (i: number) => void) => void,
): void {
  const contexts = (): FlowContext[] =>
    Array.from({ length: CONNECTIONS }, (_, i) => {
      const [client, server] = [random.pick(pods), random.pick(pods)]
      const info = new ConnectionInfo(BigInt(i))
      return new FlowContext(
        Object.assign(info, {
          cluster: Buffer.from('bench').toString(),
          side: 'server' as const,
          clientIp: Buffer.from(client.addresses[0]).toString(),
          serverIp: Buffer.from(server.addresses[0]).toString(),
          containerId: Buffer.from(server.containers[0].id).toString(),
        }),
        false,
      )
    })
  let fresh: FlowContext[] = []
  const nameOf = (context: FlowContext, timeUs: number, knownUs: number) => {
    nameEnds(context, table.at(knownUs), timeUs)
    if (context.client.kind !== 'pod' || context.server.kind !== 'pod') throw new Error('a flow has no names')
  }
  compared(`both ends, ${CONNECTIONS} connections by turns`, (i) => {
    if (i === 0) fresh = contexts()
    nameOf(fresh[(i * 7919) % CONNECTIONS], START_US + 1500 * S + i, START_US + 2000 * S + i)
  })
  // A table that has just been told something: all is looked up again.
  compared('the same, the table changed', (i) => {
    fresh[(i * 7919) % CONNECTIONS].namedView = -1
    nameOf(fresh[(i * 7919) % CONNECTIONS], START_US + 1500 * S + i, START_US + 2000 * S + i)
  })
}

/** ns of this process's time for one call, the middle of some rounds. */
function timed(call: (i: number) => void): number {
  const rounds: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const begun = process.cpuUsage()
    for (let i = 0; i < LOOKUPS / ROUNDS; i++) call(i)
    const { user, system } = process.cpuUsage(begun)
    rounds.push(((user + system) * 1000) / (LOOKUPS / ROUNDS))
  }
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1]
}

function report(what: string, ns: number, plainNs: number): void {
  console.log(`  ${what.padEnd(42)} ${ns.toFixed(0).padStart(5)} ns  ${(ns / plainNs).toFixed(1)} times the Map`)
}
