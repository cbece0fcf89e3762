/**
 * npm run bench -- replay [REQUESTS_PER_SECOND] [SECONDS]: a capture of a busy service, keep-alive HTTP/1 at the stated rate
 * for so long, lies in an archive; it is replayed into chDB by the product's own classes, twice. Real time is the capture's
 * own duration. The process that replays has one core; the engine that stores runs in a process of its own, also counted.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ArchiveSegmentLog } from '../../services/adapters/archive/segment_log.js'
import { ArchiveWriter } from '../../services/adapters/archive/writer.js'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { LocalJobs } from '../../services/adapters/memory/local_jobs.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { ConnectionInfo, Segment, SegmentFlag } from '../../services/core/segment.js'
import { SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { ReplayRegistry } from '../../services/replay/registry.js'
import { replayRequest, replayTables } from '../../services/replay/request.js'
import { submitReplay } from '../../services/replay/submit.js'
import { ReplayWorker } from '../../services/replay/worker.js'

const CONNECTIONS = 200
const BATCH_BYTES = 64 << 10
const BODY = '{"items":[1,2,3],"next":"/v1/items?page=2"}'.padEnd(240, ' ')

/** One exchange after the other, evenly over the time, each connection in turn. */
function writeCapture(path: string, rate: number, seconds: number): void {
  const infos = Array.from({ length: CONNECTIONS }, (_, i) =>
    Object.assign(new ConnectionInfo((BigInt(i) << 32n) | 1n), {
      side: 'server',
      source: 'openssl',
      clientIp: '10.0.0.1',
      clientPort: 20_000 + i,
      serverIp: '10.99.0.1',
      serverPort: 443,
      comm: 'nginx',
    }),
  )
  const positions = infos.map(() => [0, 0])
  const archive = new ArchiveWriter(path)
  const batch = new SegmentBatchWriter({ cluster: '', node: 'n', bootId: '', capturerVersion: '0', sequence: 0 })
  const startUs = Date.now() * 1000 - seconds * 1e6
  const say = (connection: number, direction: 0 | 1, text: string, timeUs: number) => {
    const payload = Buffer.from(text)
    const position = positions[connection][direction]
    const flags = direction === 0 && position === 0 ? SegmentFlag.OPEN : 0
    batch.add(new Segment(infos[connection], direction, position, payload.length, payload, timeUs, 0, flags))
    positions[connection][direction] += payload.length
  }
  for (let i = 0; i < rate * seconds; i++) {
    const connection = i % CONNECTIONS
    const timeUs = startUs + Math.floor((i * 1e6) / rate)
    const request = `GET /v1/items/${i}?page=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n\r\n`
    const head = `HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\nX-Request-Id: ${i}\r\nContent-Length: ${BODY.length}`
    say(connection, 0, request, timeUs)
    say(connection, 1, `${head}\r\n\r\n${BODY}`, timeUs + 180)
    if (batch.payloadBytes > BATCH_BYTES) archive.append(batch.finish())
  }
  if (batch.segmentCount > 0) archive.append(batch.finish())
  archive.close()
}

/** User and system time of a process and its threads so far, in seconds. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

export async function main(words: readonly string[]): Promise<number> {
  const [rate, seconds] = [Number(words[0] ?? 2_000), Number(words[1] ?? 120)]
  const exchanges = rate * seconds
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  const path = join(folder, 'capture.ktseg')
  writeCapture(path, rate, seconds)
  const store = await ChdbStore.open(join(folder, 'data'))
  try {
    execFileSync('taskset', ['-a', '-p', '-c', '0', String(process.pid)], { stdio: 'ignore' })
    const megabytes = (statSync(path).size / 1e6).toFixed(0)
    console.log(`${exchanges} exchanges at ${rate}/s: ${seconds} s of a busy service, ${megabytes} MB of segments`)
    const registry = new ReplayRegistry(store, SYSTEM_CLOCK)
    const log = new ArchiveSegmentLog(path)
    const hashes: string[] = []
    for (const fromUs of [0, 1]) {
      const queue = new LocalJobs((_name, error) => console.error(error))
      const worker = new ReplayWorker({
        store,
        queue,
        clock: SYSTEM_CLOCK,
        protocols: PROTOCOLS,
        policy: new FlowPolicy(defaultPolicy('metadata')),
        takes: () => true,
        log: () => log,
      })
      await worker.start()
      const request = replayRequest({ archive: log.path, fromUs, toUs: Number.MAX_SAFE_INTEGER })
      const begun = process.hrtime.bigint()
      const own = process.cpuUsage()
      const engine = cpuSeconds(store.engine.pid)
      const { replay } = await submitReplay(request, log, registry, queue)
      while ((await registry.get(replay.id)).state === 'open') await SYSTEM_CLOCK.sleep(20)
      const wall = Number(process.hrtime.bigint() - begun) / 1e9
      const { user, system } = process.cpuUsage(own)
      const [ownSeconds, engineSeconds] = [(user + system) / 1e6, cpuSeconds(store.engine.pid) - engine]
      await worker.stop()
      const both = ownSeconds + engineSeconds
      const say = (label: string, took: number) =>
        console.log(
          `  ${label.padEnd(46)} ${took.toFixed(2).padStart(6)} s  ${(seconds / took).toFixed(1).padStart(6)} x real time  ${(exchanges / took / 1000).toFixed(1).padStart(6)} k exchanges/s`,
        )
      say('wall clock', wall)
      say('CPU of the replay worker: one core', ownSeconds)
      say('CPU of worker and store: one core for both', both)
      const { flows } = replayTables(replay.id, 1)
      const sql = `SELECT count(), sum(cityHash64(* EXCEPT(batch_first))) FROM klartext.${flows}`
      hashes.push((await store.query(sql, 'TSV')).toString().trim())
    }
    console.log(
      `  both replays: ${hashes[0] === hashes[1] ? 'equal' : 'NOT EQUAL'} (${hashes[0].replace('\t', ' flows, hash ')})`,
    )
    return hashes[0] === hashes[1] && hashes[0].startsWith(`${exchanges}\t`) ? 0 : 1
  } finally {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  }
}
