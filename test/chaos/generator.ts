/**
 * Traffic that goes on until it is told to end: connections that live as long as the run, and some that come and go, published
 * as a capturer publishes them. Now and then somebody sends what is no batch at all.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { SegmentPublisher } from '../../services/capture/publisher.js'
import type { Bus, BusProducer } from '../../services/core/ports/bus.js'
import type { Random } from '../../services/core/random.js'
import type { Segment } from '../../services/core/segment.js'
import { TOPICS } from '../../services/core/topics.js'
import { Line } from '../fakes/conversations/line.js'
import { TALKS, type Talk } from '../fakes/conversations/talks.js'

const FOR_EVER = Number.MAX_SAFE_INTEGER
const BATCH_SEGMENTS = 24
const SHORT_TURNS_MAX = 30
const HEADER = { cluster: 'chaos', node: 'n', bootId: 'b', capturerVersion: '0' }

export interface GeneratorOptions {
  readonly bus: Bus
  readonly random: Random
  readonly partitions: number
  /** Connections at a time; half of them stay to the end. */
  readonly connections: number
  /** Between two batches. */
  readonly pauseMs: number
  readonly onError: (error: unknown) => void
}

export class Generator {
  readonly #options: GeneratorOptions
  readonly #publisher: SegmentPublisher
  #poisoner: BusProducer | null = null
  #lines: Line[] = []
  #count = 0
  /** Of the traffic; today, or the store would drop the rows as too old. */
  #timeUs = Date.now() * 1000
  #ending = false
  #running: Promise<void> | null = null
  /** Flows that must come out, by protocol. */
  readonly exchanges: Record<Talk, number> = { http1: 0, grpc: 0, postgresql: 0, redis: 0 }
  segments = 0
  batches = 0
  poisoned = 0

  constructor(options: GeneratorOptions) {
    this.#options = options
    const { bus, onError } = options
    this.#publisher = new SegmentPublisher({ bus, clock: SYSTEM_CLOCK, onError })
  }

  async start(): Promise<void> {
    const { bus, connections, onError } = this.#options
    this.#poisoner = await bus.producer({ onRetry: onError })
    await this.#publisher.start()
    for (let i = 0; i < connections; i++) this.#lines.push(this.#newLine(i < connections / 2))
    this.#running = this.#run()
  }

  get connections(): number {
    return this.#count
  }

  #newLine(isLong: boolean): Line {
    const { random } = this.#options
    const talk = TALKS[this.#count % TALKS.length]
    return new Line(random, talk, this.#count++, isLong ? FOR_EVER : 1 + random.below(SHORT_TURNS_MAX))
  }

  async #run(): Promise<void> {
    const { random, partitions, pauseMs } = this.#options
    while (this.#lines.length > 0) {
      await this.#publisher.room()
      const segments: Segment[] = []
      for (let i = 0; i < BATCH_SEGMENTS && this.#lines.length > 0; i++) this.#say(segments)
      this.segments += segments.length
      this.#publisher.publish(segments, { ...HEADER, sequence: this.batches++ })
      if (random.chance(0.01)) {
        const message = { key: null, value: Buffer.from(`no batch at all, number ${this.poisoned++}`) }
        await this.#poisoner?.send(TOPICS.segments, random.below(partitions), [message])
      }
      await sleep(this.#ending ? 0 : pauseMs)
    }
    await this.#publisher.flush()
  }

  /** The next segment of any connection, and what follows on it at once. */
  #say(into: Segment[]): void {
    const { random } = this.#options
    const at = random.below(this.#lines.length)
    const line = this.#lines[at]
    this.#timeUs += random.below(400)
    const segment = line.next(this.#timeUs)
    if (segment !== null) return void into.push(segment)
    this.exchanges[line.talk] += line.exchanges
    if (this.#ending) this.#lines.splice(at, 1)
    else this.#lines[at] = this.#newLine(false)
  }

  /** All connections come to their end, and all is sent. */
  async end(): Promise<void> {
    this.#ending = true
    for (const line of this.#lines) line.endSoon()
    await this.#running
    await this.#publisher.close()
    await this.#poisoner?.close()
  }

  get shed(): number {
    const { bus_behind: behind, bus_full: full } = this.#publisher.shed
    return behind.count + full.count
  }
}
