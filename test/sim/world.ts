/** The product's own workers and sinks as processes of one small world, each with a life that may end at any call. */
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import type { Random } from '../../services/core/random.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { Sink } from '../../services/sink/sink.js'
import { ArrayStore } from '../fakes/array_store.js'
import { DrivenClock } from '../fakes/clock.js'
import { Killed, Life, MortalStore, type Odds } from './life.js'
import { MortalBus } from './mortal_bus.js'

const STALL_TICKS_MAX = 400

export interface Member {
  readonly life: Life
  readonly process: DecodeWorker | Sink
  /** A step or a leave that has not come to its end. */
  doing: Promise<void> | null
  /** Takes no step until this tick. */
  silentUntil: number
  left: boolean
}

interface Stall {
  readonly until: number
  readonly release: () => void
}

export class World {
  readonly clock = new DrivenClock()
  readonly bus: MemoryBus
  readonly store = new ArrayStore()
  readonly random: Random
  readonly odds: Odds
  readonly errors: unknown[] = []
  members: Member[] = []
  stalls = 0
  tick = 0
  /** What no step may throw. */
  fatal: unknown = null
  #stalled: Stall[] = []
  #names = 0

  constructor(random: Random, odds: Odds) {
    this.random = random
    this.odds = { ...odds }
    this.bus = new MemoryBus({ sessionMs: 900, transactionMs: 700, nowMs: () => this.clock.nowMs })
  }

  async join(kind: 'worker' | 'sink'): Promise<Member> {
    const onStall = (release: () => void) => {
      this.stalls += 1
      this.#stalled.push({ until: this.tick + this.random.below(STALL_TICKS_MAX), release })
    }
    const life = new Life(this.random, this.odds, { onStall })
    const process = kind === 'worker' ? this.#worker(life) : this.#sink(life)
    const member: Member = { life, process, doing: null, silentUntil: -1, left: false }
    this.members.push(member)
    await process.start()
    return member
  }

  #worker(life: Life): DecodeWorker {
    return new DecodeWorker({
      bus: new MortalBus(this.bus, life),
      clock: this.clock,
      group: 'decode',
      protocols: PROTOCOLS,
      policy: new FlowPolicy(defaultPolicy('metadata')),
      deadLetters: true,
      tickMs: 50 + this.random.below(200),
      onError: (error) => this.errors.push(error),
    })
  }

  #sink(life: Life): Sink {
    return new Sink({
      bus: new MortalBus(this.bus, life),
      clock: this.clock,
      group: 'sink',
      store: new MortalStore(this.store, life),
      // Every sink process has its own: an intent must be repeated under the token of who wrote it.
      epoch: `sink-${this.#names++}`,
      limits: { rows: 1 + this.random.below(60), ageMs: this.random.below(400) },
      onError: (error) => this.errors.push(error),
    })
  }

  /** Lets `member` do something, for as long as it is not held up by a stall. */
  async let(member: Member, work: () => Promise<unknown>): Promise<void> {
    const doing = work().then(
      () => {},
      (error) => {
        const { retryable, code } = error as { retryable?: boolean; code?: string }
        const passes = error instanceof Killed || member.life.dead || retryable === true || code === 'FENCED'
        if (!passes) this.fatal ??= error
      },
    )
    member.doing = doing.then(() => {
      member.doing = null
    })
    await Promise.race([member.doing, quiet()])
    if (this.fatal !== null) throw this.fatal
  }

  /** Time goes on; those that stood still long enough go on too. */
  async next(ms: number): Promise<void> {
    this.tick += 1
    this.clock.advance(ms)
    await this.release(({ until }) => until <= this.tick)
  }

  async release(which: (stall: Stall) => boolean = () => true): Promise<void> {
    const due = this.#stalled.filter(which)
    if (due.length === 0) return
    this.#stalled = this.#stalled.filter((stall) => !due.includes(stall))
    for (const { release } of due) release()
    await quiet()
  }

  /** True where the group has committed all that can be read of the topic. */
  async consumed(group: string, topic: string): Promise<boolean> {
    const reader = await this.bus.consumer(group)
    for (let partition = 0; partition < (await this.bus.partitions(topic)); partition++) {
      let last = -1n
      await this.bus.readAll(topic, partition, (records) => {
        last = records.at(-1)?.offset ?? -1n
      })
      const { offset, metadata } = await reader.committed({ topic, partition })
      if (last >= 0n && (offset <= last || metadata !== '')) return false
    }
    return true
  }
}

/** All that waits for nothing but its turn has had it. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
