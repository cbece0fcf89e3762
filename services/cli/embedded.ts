/** The whole chain in this process: capture, memory bus, decode worker, memory bus, sink, store. Wiring only. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { ChdbStore } from '../adapters/chdb/store.js'
import { MemoryBus } from '../adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../adapters/system/clock.js'
import { SegmentPublisher } from '../capture/publisher.js'
import { DECODER_VERSION } from '../core/flow.js'
import type { SegmentSource } from '../core/ports/source.js'
import type { Store } from '../core/ports/store.js'
import { createTopics } from '../core/topics.js'
import { defaultPolicy, FlowPolicy } from '../decode/policy.js'
import { PROTOCOLS } from '../decode/protocols/registry.js'
import { DecodeWorker } from '../decode/worker.js'
import { Sink } from '../sink/sink.js'

/** How often what was seen and lost becomes rows. */
const COVERAGE_MS = 5_000
/** More would make smaller blocks, and one process does not decode faster with them. */
const PARTITIONS = 1
/** Nobody else can hold a partition or a transaction of a bus that is in this process: neither is ever taken away. */
const FOR_EVER_MS = 1e12

/** A source that is not asked to wait: what does not fit is left out and counted. Its batches pass unchanged. */
export interface LiveSource extends SegmentSource {
  rawBatches(): AsyncIterable<Buffer>
}

/** Capture to store over a memory bus. What is in the bus is gone with the process; what is in the store stays. */
export class Chain {
  readonly bus: MemoryBus
  readonly publisher: SegmentPublisher
  readonly worker: DecodeWorker
  readonly sink: Sink

  private constructor(store: Store) {
    this.bus = new MemoryBus({ freeConsumed: true, sessionMs: FOR_EVER_MS, transactionMs: FOR_EVER_MS })
    this.publisher = new SegmentPublisher({ bus: this.bus, clock: SYSTEM_CLOCK })
    this.worker = new DecodeWorker({
      bus: this.bus,
      clock: SYSTEM_CLOCK,
      group: 'klartext-decode',
      protocols: PROTOCOLS,
      policy: new FlowPolicy(defaultPolicy('metadata')),
      deadLetters: false,
    })
    // Offsets of a memory bus begin anew in each process, the store's memory of tokens does not.
    this.sink = new Sink({ bus: this.bus, store, clock: SYSTEM_CLOCK, group: 'klartext-sink', epoch: randomUUID() })
  }

  static async start(store: Store): Promise<Chain> {
    const chain = new Chain(store)
    await createTopics(chain.bus, PARTITIONS)
    await chain.publisher.start()
    await chain.sink.start()
    await chain.worker.start()
    return chain
  }

  /**
   * Until the source ends and all of it is stored. Rejects with what the store refuses for good. `onBatch` sees each batch
   * of a live source as it comes.
   */
  async run(source: SegmentSource | LiveSource, onBatch?: (batch: Buffer) => void): Promise<void> {
    const decoding = this.worker.run()
    const storing = this.sink.run()
    const failed = Promise.all([decoding, storing]).then(() => new Promise<never>(() => {}))
    try {
      await Promise.race([this.#publish(source, onBatch), failed])
      await Promise.race([this.worker.drain(), storing.then(() => new Promise<never>(() => {}))])
      await this.sink.drain()
    } finally {
      await this.bus.close()
      await Promise.allSettled([decoding, storing])
    }
  }

  async #publish(source: SegmentSource | LiveSource, onBatch?: (batch: Buffer) => void): Promise<void> {
    const where = { cluster: '', node: hostname() }
    const report = () => this.publisher.report(source.coverage(), where)
    const timer = setInterval(() => void report().catch(() => {}), COVERAGE_MS)
    try {
      if ('rawBatches' in source) {
        for await (const batch of source.rawBatches()) {
          onBatch?.(batch)
          this.publisher.publishBatch(batch)
        }
      } else {
        const header = { ...where, bootId: '', capturerVersion: DECODER_VERSION, sequence: 0 }
        for await (const batch of source.batches()) {
          this.publisher.publish(batch, header)
          await this.publisher.room()
        }
      }
    } finally {
      clearInterval(timer)
    }
    await this.publisher.flush()
    await report()
  }
}

export class Embedded {
  readonly store: ChdbStore
  readonly chain: Chain

  private constructor(store: ChdbStore, chain: Chain) {
    this.store = store
    this.chain = chain
  }

  static async open({ dataDir }: { readonly dataDir: string }): Promise<Embedded> {
    const store = await ChdbStore.open(dataDir)
    return new Embedded(store, await Chain.start(store))
  }

  /** Decodes and stores until the source ends, then hands over what is open. Answers when all of it is stored. */
  run(source: SegmentSource | LiveSource, onBatch?: (batch: Buffer) => void): Promise<void> {
    return this.chain.run(source, onBatch)
  }

  async close(): Promise<void> {
    await this.store.close()
  }
}
