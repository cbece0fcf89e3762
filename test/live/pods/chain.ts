/**
 * Everything klartext does to a packet, in this process: the kernel's capturer, decode worker, sink and store, and the
 * directory that follows a Kubernetes API. The parts and their wiring are those of the services; the bus is in memory.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ChdbStore } from '../../../services/adapters/chdb/store.js'
import { KubernetesClient } from '../../../services/adapters/kubernetes/api.js'
import { MemoryBus } from '../../../services/adapters/memory/bus.js'
import { PodTable } from '../../../services/adapters/memory/pod_table.js'
import { SYSTEM_CLOCK as clock } from '../../../services/adapters/system/clock.js'
import { Capturer } from '../../../services/capture/capturer.js'
import { NativeSource } from '../../../services/capture/native_source.js'
import { SegmentPublisher } from '../../../services/capture/publisher.js'
import { createTopics } from '../../../services/core/topics.js'
import { PodFeed } from '../../../services/decode/pod_feed.js'
import { defaultPolicy, FlowPolicy } from '../../../services/decode/policy.js'
import { PROTOCOLS } from '../../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../../services/decode/worker.js'
import { DirectoryService } from '../../../services/directory/service.js'
import { Sink } from '../../../services/sink/sink.js'

const PARTITIONS = 3
const COVERAGE_MS = 5_000
const DRAIN_MS = 10_000
/** Nobody else is in this process to take a partition over. */
const FOR_EVER_MS = 1e12

export interface ChainOptions {
  readonly cluster: string
  /** What flows call this host. */
  readonly node: string
  readonly kubeconfig: string
}

export class PodChain {
  readonly source: NativeSource
  readonly directory: DirectoryService
  readonly failures: string[] = []
  readonly #bus = new MemoryBus({ sessionMs: FOR_EVER_MS, transactionMs: FOR_EVER_MS })
  readonly #folder = mkdtempSync(join(tmpdir(), 'klartext-pods-'))
  readonly #stop = new AbortController()
  readonly #names: PodFeed
  readonly #worker: DecodeWorker
  readonly #capturer: Capturer
  readonly #publisher: SegmentPublisher
  #store: ChdbStore | null = null
  #sink: Sink | null = null
  #capturing: Promise<void> = Promise.resolve()
  #following: Promise<void> = Promise.resolve()

  constructor({ cluster, node, kubeconfig }: ChainOptions) {
    const bus = this.#bus
    const onError = (error: unknown) => void this.failures.push(String(error))
    this.source = new NativeSource({ cluster, node })
    this.#publisher = new SegmentPublisher({ bus, clock, onError })
    const { source } = this
    const publisher = this.#publisher
    const timing = { coverageMs: COVERAGE_MS, drainMs: DRAIN_MS }
    this.#capturer = new Capturer({ source, publisher, clock, cluster, node, ...timing, onError, onProgress: () => {} })
    const api = new KubernetesClient({ kubeconfig })
    this.directory = new DirectoryService({
      bus,
      api,
      clock,
      cluster,
      network: '',
      onError: (_, error) => onError(error),
    })
    this.#names = new PodFeed({ bus, clock, pods: new PodTable(), onError })
    this.#worker = new DecodeWorker({
      bus,
      clock,
      group: 'klartext-decode',
      protocols: PROTOCOLS,
      policy: new FlowPolicy(defaultPolicy('metadata')),
      names: this.#names,
      deadLetters: true,
      onError,
    })
  }

  async start(): Promise<void> {
    this.#store = await ChdbStore.open(this.#folder)
    await createTopics(this.#bus, PARTITIONS)
    await this.directory.start()
    this.#following = this.directory.run(this.#stop.signal)
    await this.directory.directory.synced
    await this.#names.start()
    this.#sink = new Sink({ bus: this.#bus, store: this.#store, clock, group: 'klartext-sink', epoch: 'live' })
    await this.#publisher.start()
    await this.#sink.start()
    await this.#worker.start()
    void this.#worker.run()
    void this.#sink.run()
    this.#capturing = this.#capturer.run()
  }

  /** Captures no more; answers when all that was captured is stored. */
  async finish(): Promise<void> {
    await this.#capturer.stop()
    await this.#capturing
    await this.#worker.drain()
    await this.#sink?.drain()
  }

  async rows<Row>(sql: string): Promise<Row[]> {
    const text = (await (this.#store as ChdbStore).query(sql, 'JSONEachRow')).toString('utf8')
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Row)
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.source.stop()
    await Promise.allSettled([this.#capturing, this.#following])
    await this.#names.stop()
    await this.#bus.close()
    await this.#store?.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
