/**
 * npm run bench -- footprint: what each service takes of processor and memory, idle and under a load, beside what its manifest
 * in k8s/base asks for. Services are started as people start them, over a real Kafka, Redis and chDB; the directory is left
 * out where no Kubernetes is there (npm run bench -- pods has its memory), the capturer needs root.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAllDocuments } from 'yaml'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { startKafka } from '../kafka/server.js'
import { killServices, ServiceProcess, until } from '../kafka/service_process.js'
import { RedisServer } from '../redis/server.js'
import { serveStore } from '../store/served_store.js'
import { cpuUs, residentMb } from './capture/cpu.js'
import { batches } from './chain/traffic.js'

const PARTITIONS = 12
const SETTLE_MS = 5_000
const IDLE_MS = 10_000
const EXCHANGES_PER_SECOND = 4_000
const LOAD_SECONDS = 20
const SAMPLE_MS = 200

interface Use {
  /** Thousandths of a core. */
  readonly milliCpu: number
  readonly peakMb: number
}

export async function main(): Promise<number> {
  const kafka = await startKafka({ optimise: true })
  const redis = await RedisServer.start()
  const served = await serveStore()
  const bus = await KafkaBus.connect({ brokers: kafka.brokers })
  try {
    await createTopics(bus, PARTITIONS)
    const environment = {
      KAFKA_BROKERS: kafka.brokers.join(','),
      CLICKHOUSE_URL: served.url,
      REDIS_URL: redis.url,
      KLARTEXT_CLUSTER: 'bench',
    }
    const names = ['decode', 'sink', 'detect', 'replay-worker']
    if (process.getuid?.() === 0) names.unshift('capture')
    const services = new Map(names.map((name) => [name, new ServiceProcess(name, environment)]))
    await Promise.all([...services.values()].map((service) => service.ready()))
    await sleep(SETTLE_MS)
    const idle = await measure(services, IDLE_MS)
    const loaded = await underLoad(bus, services)
    const rows = async () => Number((await served.rows('SELECT count() AS n FROM klartext.flows'))[0].n)
    await until(
      async () => (await rows()) >= EXCHANGES_PER_SECOND * LOAD_SECONDS,
      () => 'the flows do not arrive',
    )
    print(idle, loaded)
    return 0
  } finally {
    killServices()
    await bus.close()
    await served.close()
    await redis.kill()
    await kafka.stop()
  }
}

/** Processor and highest resident memory of each service for so long. */
async function measure(services: ReadonlyMap<string, ServiceProcess>, ms: number): Promise<Map<string, Use>> {
  const pids = [...services].map(([name, { child }]) => [name, child.pid as number] as const)
  const begun = performance.now()
  const before = new Map(pids.map(([name, pid]) => [name, cpuUs(pid)]))
  const peaks = new Map<string, number>()
  while (performance.now() - begun < ms) {
    for (const [name, pid] of pids) peaks.set(name, Math.max(peaks.get(name) ?? 0, residentMb(pid)))
    await sleep(SAMPLE_MS)
  }
  const seconds = (performance.now() - begun) / 1000
  return new Map(
    pids.map(([name, pid]) => {
      const milliCpu = (cpuUs(pid) - (before.get(name) as number)) / 1000 / seconds
      return [name, { milliCpu, peakMb: peaks.get(name) as number }]
    }),
  )
}

/** Publishes at an even rate; each connection keeps its partition. */
async function underLoad(bus: KafkaBus, services: ReadonlyMap<string, ServiceProcess>): Promise<Map<string, Use>> {
  const producer = await bus.producer()
  const seconds = Array.from({ length: LOAD_SECONDS }, (_, i) => batches(EXCHANGES_PER_SECOND, i * 10_000))
  const measured = measure(services, LOAD_SECONDS * 1000)
  const begun = performance.now()
  for (const [second, messages] of seconds.entries()) {
    for (const [i, value] of messages.entries()) {
      await sleep(Math.max(0, begun + 1000 * (second + i / messages.length) - performance.now()))
      await producer.send(TOPICS.segments, second % PARTITIONS, [{ key: null, value }])
    }
  }
  await producer.close()
  return measured
}

function print(idle: ReadonlyMap<string, Use>, loaded: ReadonlyMap<string, Use>): void {
  const asked = manifests()
  console.log(
    `                    idle              at ${EXCHANGES_PER_SECOND} exchanges/s   the manifest asks for, and at most`,
  )
  for (const [name, { milliCpu, peakMb }] of idle) {
    const more = loaded.get(name) as Use
    console.log(
      `${name.padEnd(14)} ${cell(milliCpu, 'm')} ${cell(peakMb, ' MiB')}  ${cell(more.milliCpu, 'm')} ${cell(more.peakMb, ' MiB')}      ${asked.get(name) ?? ''}`,
    )
  }
}

const cell = (value: number, unit: string): string => `${value.toFixed(0)}${unit}`.padStart(9)

interface Workload {
  readonly spec?: {
    readonly template?: {
      readonly spec: {
        readonly containers: readonly {
          readonly name: string
          readonly resources?: {
            readonly requests: { readonly cpu: string; readonly memory: string }
            readonly limits: { readonly memory: string }
          }
        }[]
      }
    }
  }
}

function manifests(): Map<string, string> {
  const asked = new Map<string, string>()
  const folder = join(REPO_ROOT, 'k8s/base')
  for (const file of readdirSync(folder, { recursive: true }).map(String)) {
    if (!file.endsWith('.yaml')) continue
    for (const document of parseAllDocuments(readFileSync(join(folder, file), 'utf8'))) {
      const workload = document.toJS() as Workload | null
      for (const { name, resources } of workload?.spec?.template?.spec.containers ?? []) {
        if (resources === undefined) continue
        const { requests, limits } = resources
        asked.set(name, `${requests.cpu}, ${requests.memory}; ${limits.memory}`)
      }
    }
  }
  return asked
}
