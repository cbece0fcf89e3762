/** Kafka, a store and the processes between them, each of which can be killed, stopped, cut off and brought back. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { serveClickHouseHttp } from '../../services/adapters/chdb/http_server.js'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { Proxy } from '../kafka/proxy.js'
import { startKafka, type TestKafka } from '../kafka/server.js'
import type { ChildOptions } from './child.js'

export type Kind = 'decode' | 'sink'

export interface Member {
  readonly kind: Kind
  readonly name: string
  readonly child: ChildProcess
  readonly isMortal: boolean
  /** Gone, or told to go. */
  isOver: boolean
}

type Spawned = ChildProcessByStdio<null, Readable, Readable>

const AGAIN_MS = 500
const END_MS_MAX = 60_000

export class Cluster {
  readonly kafka: TestKafka
  readonly busProxy: Proxy
  readonly storeProxy: Proxy
  readonly store: ChdbStore
  readonly #folder: string
  readonly #say: (line: string) => void
  readonly members = new Set<Member>()
  #count = 0
  #isClosed = false
  /** Processes that ended by themselves. */
  ends = 0

  private constructor(
    kafka: TestKafka,
    busProxy: Proxy,
    storeProxy: Proxy,
    store: ChdbStore,
    folder: string,
    say: (line: string) => void,
  ) {
    this.kafka = kafka
    this.busProxy = busProxy
    this.storeProxy = storeProxy
    this.store = store
    this.#folder = folder
    this.#say = say
  }

  static async start(say: (line: string) => void): Promise<Cluster> {
    const folder = mkdtempSync(join(tmpdir(), 'klartext-chaos-'))
    const [busProxy, storeProxy] = [await Proxy.start(), await Proxy.start()]
    const kafka = await startKafka({ advertisedPort: busProxy.port })
    busProxy.targetPort = Number(kafka.brokers[0].split(':')[1])
    const store = await ChdbStore.open(join(folder, 'store'))
    const { port } = await serveClickHouseHttp(store, { host: '127.0.0.1', port: 0, allowWrites: true })
    storeProxy.targetPort = port
    return new Cluster(kafka, busProxy, storeProxy, store, folder, say)
  }

  get brokers(): string[] {
    return [`127.0.0.1:${this.busProxy.port}`]
  }

  /** `isMortal`: a program that can be told to die in the middle of a call; otherwise `klartext decode` or `klartext sink`. */
  start(kind: Kind, isMortal: boolean): Member {
    const number = this.#count++
    const name = `${kind}-${number}`
    const child = isMortal ? this.#mortal(kind, number, name) : this.#service(kind)
    const member: Member = { kind, name, child, isMortal, isOver: false }
    this.members.add(member)
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) if (line !== '') this.#say(`${name}: ${line}`)
    })
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#say(`${name} ended: ${text.trim()}`))
    child.once('exit', (code, signal) => {
      this.members.delete(member)
      this.#say(`${name} is gone: ${signal ?? code}`)
      if (member.isOver) return
      // It ended by itself, as one does that finds no broker at its start. Whoever runs services starts them again.
      member.isOver = true
      if (signal === null) {
        this.ends += 1
        setTimeout(() => this.#isClosed || this.start(kind, isMortal), AGAIN_MS)
      }
    })
    return member
  }

  get #storeUrl(): string {
    return `http://127.0.0.1:${this.storeProxy.port}`
  }

  #mortal(kind: Kind, seed: number, name: string): Spawned {
    const options: ChildOptions = { brokers: this.brokers, storeUrl: this.#storeUrl, seed, name }
    const script = fileURLToPath(new URL(`${kind}_process.js`, import.meta.url))
    return spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe'] })
  }

  #service(kind: Kind): Spawned {
    const command = join(REPO_ROOT, 'services/cli/bin/klartext.mjs')
    const env = {
      PATH: process.env.PATH,
      KAFKA_BROKERS: this.brokers.join(','),
      CLICKHOUSE_URL: this.#storeUrl,
      KLARTEXT_DECODE_GROUP: 'decode',
      KLARTEXT_SINK_GROUP: 'sink',
      // Small blocks come often.
      KLARTEXT_SINK_ROWS: '2000',
      KLARTEXT_SINK_AGE_MS: '200',
      KLARTEXT_OPERATIONS_PORT: '0',
    }
    return spawn(process.execPath, [command, kind], { stdio: ['ignore', 'pipe', 'pipe'], env })
  }

  of(kind: Kind): Member[] {
    return [...this.members].filter((member) => member.kind === kind && !member.isOver)
  }

  /** Resolves when it is gone. */
  async end(member: Member, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    member.isOver = true
    const { child } = member
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => {
      this.#say(`${member.name} does not end`)
      child.kill('SIGKILL')
    }, END_MS_MAX)
    await exit
    clearTimeout(timer)
  }

  get enginePid(): number {
    return this.store.engine.pid
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.members].map((member) => this.end(member, 'SIGKILL')))
    this.busProxy.close()
    this.storeProxy.close()
    await this.store.close()
    await this.kafka.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
