/** The chain over a real Kafka into chDB behind its HTTP interface: each stage in a process of its own, then both services. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { serveClickHouseHttp } from '../../../services/adapters/chdb/http_server.js'
import { ChdbStore } from '../../../services/adapters/chdb/store.js'
import { KafkaBus } from '../../../services/adapters/kafka/bus.js'
import type { Bus } from '../../../services/core/ports/bus.js'
import { REPO_ROOT } from '../../../services/core/repo_root.js'
import { createTopics, TOPICS } from '../../../services/core/topics.js'
import { startKafka } from '../../kafka/server.js'
import { batches, CONNECTIONS } from './traffic.js'

const STAGE = fileURLToPath(new URL('./stage.js', import.meta.url))
const CLOCK_TICKS_PER_SECOND = 100
const IDLE_MS = 10_000
const PARTITIONS_IDLE = 12
const LATENCIES = 15

interface Figures {
  readonly seconds: number
  readonly cpuSeconds: number
}

export async function kafkaChain(segments: readonly Buffer[], exchanges: number): Promise<number> {
  const kafka = await startKafka({ optimise: true })
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  const store = await ChdbStore.open(folder)
  const { port } = await serveClickHouseHttp(store, { host: '127.0.0.1', port: 0, allowWrites: true })
  const url = `http://127.0.0.1:${port}`
  const bus = await KafkaBus.connect({ brokers: kafka.brokers })
  const children = new Set<ChildProcess>()
  try {
    const bench = new KafkaBench(bus, kafka.brokers.join(','), store, url, exchanges, children)
    await bench.fill(segments)
    await bench.stages(segments.length)
    await bench.together()
    return 0
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await bus.close()
    await store.close()
    await kafka.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

class KafkaBench {
  readonly #bus: Bus
  readonly #brokers: string
  readonly #store: ChdbStore
  readonly #url: string
  readonly #exchanges: number
  readonly #children: Set<ChildProcess>
  /** Ids of connections that were used. */
  #published = 0

  constructor(
    bus: Bus,
    brokers: string,
    store: ChdbStore,
    url: string,
    exchanges: number,
    children: Set<ChildProcess>,
  ) {
    this.#bus = bus
    this.#brokers = brokers
    this.#store = store
    this.#url = url
    this.#exchanges = exchanges
    this.#children = children
  }

  async fill(segments: readonly Buffer[]): Promise<void> {
    await createTopics(this.#bus, 1)
    await this.#publish(segments)
  }

  async #publish(segments: readonly Buffer[]): Promise<void> {
    const producer = await this.#bus.producer()
    for (const value of segments) await producer.send(TOPICS.segments, 0, [{ key: null, value }])
    await producer.close()
  }

  #spawn(words: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    const child = spawn(process.execPath, words, {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { PATH: process.env.PATH, ...env },
    })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  async #stage(name: string, count: number): Promise<Figures> {
    const child = this.#spawn([STAGE, this.#brokers, name, String(count), `bench-${name}`.replace(' ', '-'), this.#url])
    let text = ''
    child.stdout?.on('data', (data) => (text += data))
    await new Promise((resolve) => child.once('close', resolve))
    return JSON.parse(text) as Figures
  }

  #say(what: string, { seconds, cpuSeconds }: Figures): void {
    const rate = (per: number) => `${(this.#exchanges / per / 1000).toFixed(0).padStart(4)} k/s`
    console.log(
      `${what.padEnd(62)} ${seconds.toFixed(2).padStart(6)} s ${rate(seconds)}   CPU ${cpuSeconds.toFixed(2).padStart(6)} s ${rate(cpuSeconds)}`,
    )
  }

  async stages(messages: number): Promise<void> {
    console.log('over Kafka, each stage in a process of its own; one partition:')
    const fetch = await this.#stage('fetch', messages)
    this.#say('segments fetched', fetch)
    const decode = await this.#stage('decode', messages)
    this.#say('  and decoded', decode)
    const worker = await this.#stage('worker', messages)
    this.#say('decode worker, Kafka to Kafka', worker)
    const fetchFlows = await this.#stage('fetch flows', this.#exchanges)
    this.#say('flows fetched', fetchFlows)
    const readFlows = await this.#stage('read flows', this.#exchanges)
    this.#say('  and checked (Avro)', readFlows)
    const blocks = await this.#stage('blocks', this.#exchanges)
    this.#say('  and written as Native blocks', blocks)
    const engine = cpuSeconds(this.#store.engine.pid)
    const sink = await this.#stage('sink', this.#exchanges)
    const engineSeconds = cpuSeconds(this.#store.engine.pid) - engine
    this.#say('sink, Kafka to the store', sink)
    this.#say('  the store meanwhile, rollups included', { seconds: sink.seconds, cpuSeconds: engineSeconds })
    const shares: [string, number][] = [
      ['fetch', fetch.cpuSeconds],
      ['decode', decode.cpuSeconds - fetch.cpuSeconds],
      ['encode, send, state, transactions', worker.cpuSeconds - decode.cpuSeconds],
      ['fetch flows', fetchFlows.cpuSeconds],
      ['check flows', readFlows.cpuSeconds - fetchFlows.cpuSeconds],
      ['blocks', blocks.cpuSeconds - readFlows.cpuSeconds],
      ['insert, client', sink.cpuSeconds - blocks.cpuSeconds],
      ['insert, store and rollups', engineSeconds],
    ]
    const all = shares.reduce((sum, [, seconds]) => sum + seconds, 0)
    const texts = shares.map(([what, seconds]) => `${what} ${((seconds / all) * 100).toFixed(0)} %`)
    console.log(`  ${((all / this.#exchanges) * 1e6).toFixed(1)} µs of CPU an exchange in all: ${texts.join(', ')}`)
  }

  /** `klartext decode` and `klartext sink` as people start them. */
  async together(): Promise<void> {
    const env = {
      KAFKA_BROKERS: this.#brokers,
      CLICKHOUSE_URL: this.#url,
      KLARTEXT_OPERATIONS_PORT: '0',
      KLARTEXT_SINK_GROUP: 'bench-sink',
      KLARTEXT_DECODE_GROUP: 'bench-worker',
      KLARTEXT_SINK_AGE_MS: '200',
    }
    const command = join(REPO_ROOT, 'services/cli/bin/klartext.mjs')
    const decode = this.#spawn([command, 'decode'], env)
    const sink = this.#spawn([command, 'sink'], env)
    await this.#oneMore()
    this.#published += CONNECTIONS
    const segments = batches(this.#exchanges, this.#published)
    const begun = performance.now()
    const [decodeCpu, sinkCpu] = [cpuSeconds(decode.pid), cpuSeconds(sink.pid)]
    const before = await this.#rows()
    await this.#publish(segments)
    const published = (performance.now() - begun) / 1000
    while ((await this.#rows()) < before + this.#exchanges) await sleep(100)
    const seconds = (performance.now() - begun) / 1000
    this.#say(`klartext decode and sink together (published in ${published.toFixed(1)} s)`, {
      seconds,
      cpuSeconds: cpuSeconds(decode.pid) - decodeCpu + cpuSeconds(sink.pid) - sinkCpu,
    })
    const waits: number[] = []
    for (let i = 0; i < LATENCIES; i++) waits.push(await this.#oneMore())
    waits.sort((a, b) => a - b)
    console.log(
      `  one exchange, from Kafka to queryable: median ${waits[LATENCIES >> 1].toFixed(0)} ms, at most ${waits[LATENCIES - 1].toFixed(0)} ms`,
    )
    const [idleCpu, idleBegun] = [cpuSeconds(decode.pid), performance.now()]
    await sleep(IDLE_MS)
    const idle = (cpuSeconds(decode.pid) - idleCpu) / ((performance.now() - idleBegun) / 1000)
    console.log(
      `  klartext decode, idle: ${(idle * 100).toFixed(2)} % of a core (one partition; npm test: ${PARTITIONS_IDLE})`,
    )
    const second = this.#spawn([command, 'decode'], env)
    await sleep(3_000)
    decode.kill('SIGKILL')
    const killed = performance.now()
    await this.#oneMore()
    console.log(
      `  killed -9: the other has stored the next exchange ${((performance.now() - killed) / 1000).toFixed(1)} s later`,
    )
    second.kill('SIGKILL')
    sink.kill('SIGKILL')
  }

  async #rows(): Promise<number> {
    return Number((await this.#store.query('SELECT count() FROM klartext.flows', 'TSV')).toString())
  }

  /** Publishes an exchange and answers after how many ms it can be asked for. */
  async #oneMore(): Promise<number> {
    const before = await this.#rows()
    const begun = performance.now()
    this.#published += CONNECTIONS
    await this.#publish(batches(1, this.#published))
    while ((await this.#rows()) <= before) await sleep(5)
    return performance.now() - begun
  }
}

/** User and system time of a process so far. */
function cpuSeconds(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND
}
