/** What befalls a cluster. Kills are kill -9; the others are the rest of a bad week. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../services/core/random.js'
import type { Cluster, Kind, Member } from './cluster.js'

export const KILLS = ['decode', 'decode in a call', 'sink', 'sink in a call', 'broker', 'store'] as const
const TROUBLES = [
  'member leaves',
  'member more',
  'member frozen',
  'broker restarts',
  'bus cut',
  'bus deaf',
  'bus torn',
  'store refuses',
  'store deaf',
  'store frozen',
] as const
export type Kill = (typeof KILLS)[number]
export type Trouble = (typeof TROUBLES)[number]

/** How often each comes, against the others. */
const WEIGHTS: Readonly<Record<Kill | Trouble, number>> = {
  decode: 5,
  'decode in a call': 6,
  sink: 3,
  'sink in a call': 6,
  broker: 1.5,
  store: 2,
  'member leaves': 3,
  'member more': 2,
  'member frozen': 3,
  'broker restarts': 0.5,
  'bus cut': 3,
  'bus deaf': 2,
  'bus torn': 2,
  'store refuses': 3,
  'store deaf': 3,
  'store frozen': 1,
}
const KINDS: readonly Kind[] = ['decode', 'decode', 'sink']
const BETWEEN_MS_MAX = 2_000
const BACK_MS_MAX = 2_500
/** Longer than a session: whoever is frozen for longer has lost its partitions when it goes on. */
const FROZEN_MS_MAX = 7_000
const IN_A_CALL_MS_MAX = 10_000

export interface Step {
  readonly what: Kill | Trouble
  /** Until the next. */
  readonly waitMs: number
}

/** `kills` kills, every kind of them where there are enough, with other troubles between. */
export function plan(random: Random, kills: number): Step[] {
  const sure = [...KILLS].sort(() => random.next() - 0.5)
  const steps: Step[] = []
  for (let i = 0; i < kills; i++) {
    steps.push({ what: sure[i] ?? pick(random, KILLS), waitMs: random.below(BETWEEN_MS_MAX) })
    if (random.chance(0.6)) steps.push({ what: pick(random, TROUBLES), waitMs: random.below(BETWEEN_MS_MAX) })
  }
  return steps
}

function pick<T extends Kill | Trouble>(random: Random, among: readonly T[]): T {
  let left = random.next() * among.reduce((sum, name) => sum + WEIGHTS[name], 0)
  for (const name of among) {
    left -= WEIGHTS[name]
    if (left < 0) return name
  }
  return among[0]
}

export class Disturbances {
  readonly #cluster: Cluster
  readonly #random: Random
  readonly #say: (line: string) => void
  readonly done: Partial<Record<Kill | Trouble, number>> = {}
  /** What is still to come of what was begun: members that come back, freezes that end. */
  #pending = new Set<Promise<void>>()

  constructor(cluster: Cluster, random: Random, say: (line: string) => void) {
    this.#cluster = cluster
    this.#random = random
    this.#say = say
  }

  async play(plan: readonly Step[]): Promise<void> {
    for (const { what, waitMs } of plan) {
      await this.#do(what)
      await sleep(waitMs)
    }
    while (this.#pending.size > 0) await Promise.all(this.#pending)
  }

  async #do(what: Kill | Trouble): Promise<void> {
    this.#say(`--- ${what}`)
    this.done[what] = (this.done[what] ?? 0) + 1
    const random = this.#random
    const { kafka, busProxy, storeProxy } = this.#cluster
    switch (what) {
      case 'decode':
      case 'sink':
        return this.#killMember(what)
      case 'decode in a call':
        return this.#killInCall('decode')
      case 'sink in a call':
        return this.#killInCall('sink')
      case 'broker':
        await kafka.kill()
        await sleep(random.below(1_000))
        return kafka.restart()
      case 'broker restarts':
        return kafka.restart()
      case 'store':
        return signal(await this.#engine(), 'SIGKILL')
      case 'member leaves':
        return this.#later(this.#leave(await this.#member(random.pick(KINDS))))
      case 'member more':
        return this.#later(this.#guest(random.pick(KINDS)))
      case 'member frozen':
        return this.#later(this.#freeze((await this.#member(random.pick(KINDS))).child.pid as number, FROZEN_MS_MAX))
      case 'store frozen':
        return this.#later(this.#freeze(await this.#engine(), 2_500))
      case 'bus cut':
        return busProxy.cut()
      case 'bus deaf':
      case 'bus torn':
        busProxy.state = what === 'bus deaf' ? 'deaf' : 'torn'
        await sleep(100 + random.below(900))
        busProxy.state = 'open'
        return
      case 'store refuses':
        storeProxy.state = 'closed'
        storeProxy.cut()
        await sleep(500 + random.below(3_000))
        storeProxy.state = 'open'
        return
      case 'store deaf':
        storeProxy.state = 'deaf'
        await sleep(300 + random.below(1_200))
        storeProxy.state = 'open'
    }
  }

  /** One that lives; the others of its kind may just be on their way back. */
  async #member(kind: Kind, isMortal = false): Promise<Member> {
    for (;;) {
      const alive = this.#cluster.of(kind).filter((member) => !isMortal || member.isMortal)
      if (alive.length > 0) return this.#random.pick(alive)
      await sleep(50)
    }
  }

  /** The pid of the store's engine, which may just be on its way back. */
  async #engine(): Promise<number> {
    while (this.#cluster.enginePid === 0) await sleep(50)
    return this.#cluster.enginePid
  }

  async #killMember(kind: Kind): Promise<void> {
    const member = await this.#member(kind)
    await this.#cluster.end(member, 'SIGKILL')
    this.#later(this.#back(member))
  }

  /** It dies in the middle of something: behind a record sent, before an offset committed, between an insert and its answer. */
  async #killInCall(kind: Kind): Promise<void> {
    const member = await this.#member(kind, true)
    member.child.kill('SIGUSR2')
    for (const until = Date.now() + IN_A_CALL_MS_MAX; !member.isOver && Date.now() < until; ) await sleep(20)
    if (!member.isOver) await this.#cluster.end(member, 'SIGKILL')
    this.#later(this.#back(member))
  }

  async #back({ kind, isMortal }: Member): Promise<void> {
    await sleep(this.#random.below(BACK_MS_MAX))
    this.#cluster.start(kind, isMortal)
  }

  async #leave(member: Member): Promise<void> {
    await this.#cluster.end(member, 'SIGTERM')
    await this.#back(member)
  }

  async #guest(kind: Kind): Promise<void> {
    const guest = this.#cluster.start(kind, false)
    await sleep(2_000 + this.#random.below(6_000))
    await this.#cluster.end(guest, this.#random.chance(0.5) ? 'SIGTERM' : 'SIGKILL')
  }

  async #freeze(pid: number, msMax: number): Promise<void> {
    signal(pid, 'SIGSTOP')
    await sleep(this.#random.below(msMax))
    signal(pid, 'SIGCONT')
  }

  #later(work: Promise<void>): void {
    const done = work.finally(() => this.#pending.delete(done))
    this.#pending.add(done)
  }
}

/** It may be gone by now. */
function signal(pid: number, name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
  try {
    process.kill(pid, name)
  } catch {}
}
