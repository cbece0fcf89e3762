/** The whole chain in this process: capture, decode, store. Wiring only. */
import { randomUUID } from 'node:crypto'
import { ChdbStore } from '../adapters/chdb/store.js'
import { NativeSource, type NativeSourceOptions } from '../capture/native_source.js'
import type { Flow } from '../core/flow.js'
import type { SegmentSource } from '../core/ports/source.js'
import { DecodePipeline } from '../decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../decode/policy.js'
import { PROTOCOLS } from '../decode/protocols/registry.js'
import { StoreBatcher } from '../sink/batcher.js'

/** How often what was seen and lost becomes rows. */
const COVERAGE_MS = 5_000

export interface EmbeddedOptions {
  readonly dataDir: string
  readonly onFlow?: (flow: Flow) => void
}

export class Embedded {
  readonly store: ChdbStore
  readonly #batcher: StoreBatcher
  readonly #pipeline: DecodePipeline

  private constructor(store: ChdbStore, options: EmbeddedOptions) {
    this.store = store
    this.#batcher = new StoreBatcher(store, randomUUID())
    this.#pipeline = new DecodePipeline({
      protocols: PROTOCOLS,
      policy: new FlowPolicy(defaultPolicy('metadata')),
      onFlow: (flow) => {
        this.#batcher.add('flows', flow)
        options.onFlow?.(flow)
      },
      onConnection: (row) => this.#batcher.add('connections', row),
    })
  }

  static async open(options: EmbeddedOptions): Promise<Embedded> {
    return new Embedded(await ChdbStore.open(options.dataDir), options)
  }

  /** Decodes and stores until the source ends, then hands over what is open. Answers when all of it is stored. */
  async run(source: SegmentSource): Promise<void> {
    const report = () => {
      for (const row of source.coverage()) this.#batcher.add('coverage', row)
    }
    const timer = setInterval(report, COVERAGE_MS)
    try {
      for await (const batch of source.batches()) {
        this.#pipeline.push(batch)
        if (this.#batcher.full || this.#batcher.failed) await this.#batcher.flush()
      }
    } finally {
      clearInterval(timer)
    }
    this.#pipeline.finish()
    report()
    await this.#batcher.flush()
  }

  async close(): Promise<void> {
    await this.store.close()
  }
}

export function liveSource(options: NativeSourceOptions = {}): NativeSource {
  return new NativeSource(options)
}
