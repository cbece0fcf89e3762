/**
 * What is known of pods, kept beside klartext.pods: a worker that starts takes it over and reads the topic on from there. One
 * worker at a time writes it, of what it has itself read; parts first, under a name of their own, then the head that names
 * them. It is taken only where it stands for a part of this very topic: everything else is the same as nothing, and the topic
 * is read from its beginning.
 */
import { randomUUID } from 'node:crypto'
import { KlartextError } from '../core/errors.js'
import type { KnownPod } from '../core/pods.js'
import type { Bus } from '../core/ports/bus.js'
import type { Cache } from '../core/ports/cache.js'
import type { Clock } from '../core/ports/clock.js'
import { TOPICS } from '../core/topics.js'
import {
  markOf,
  POD_SNAPSHOT_FORMAT,
  POD_SNAPSHOT_PARTS_MAX,
  type PodSnapshotHead,
  packSnapshot,
  packSnapshotHead,
  unpackSnapshotHead,
  unpackSnapshotPart,
} from '../core/wire/pod_snapshot.js'
import { isSame, type PodTopicPlace } from './pod_topic.js'

export interface PodCacheOptions {
  readonly cache: Cache
  readonly bus: Bus
  readonly clock: Clock
  /** Between two writings of all workers. */
  readonly everyMs?: number
  /** Told once, of `load`; `why` it was not taken, where that is not that nothing is there. */
  readonly onLoad?: (result: LoadResult, why: unknown) => void
  /** Told why nothing was written; it is tried again later. */
  readonly onError?: (error: unknown) => void
}

/** What the topic said up to a place, as far as it can be seen of `completeUs` and later. */
export interface PodSnapshot extends PodTopicPlace {
  readonly known: readonly KnownPod[]
  readonly completeUs: number
}

/** `foreign`: of another topic, or of what this one does not hold any more. `old`: see `AGE_US_MAX`. */
export type LoadResult = 'taken' | 'empty' | 'away' | 'unreadable' | 'foreign' | 'old'

const RESULTS: ReadonlyMap<string, LoadResult> = new Map([
  ['CACHE_AWAY', 'away'],
  ['BAD_SNAPSHOT', 'unreadable'],
  ['BAD_POD', 'unreadable'],
  ['SCHEMA_NEWER', 'unreadable'],
  ['FOREIGN_SNAPSHOT', 'foreign'],
  ['OLD_SNAPSHOT', 'old'],
])

const EVERY_MS = 300_000
/** As long as a worker writes, its last writings are there; they are of some MB each. */
const KEPT_TIMES = 4
/**
 * The topic keeps every record for days (`TOPIC_RULES`): until then what was said behind a snapshot is all there, also that
 * somebody was taken out.
 */
const AGE_US_MAX = 86_400_000_000
/** Clocks of workers differ. */
const AHEAD_US_MAX = 60_000_000
/** The topic itself takes no longer. */
const LOAD_US_MAX = 5_000_000
/** Parts asked for at a time. */
const PARTS_AT_ONCE = 8

export class PodCache {
  readonly #options: PodCacheOptions
  readonly #everyMs: number
  #place = ''
  /** The next writing is ours. */
  #isClaimed = false
  #claimAtUs = 0
  #working: Promise<void> | null = null
  #closed = false
  readonly loads: Partial<Record<LoadResult, number>> = {}
  saved = 0
  failures = 0
  /** Packed, of the last one written here. */
  savedBytes = 0

  constructor(options: PodCacheOptions) {
    this.#options = options
    this.#everyMs = options.everyMs ?? EVERY_MS
  }

  /** Null where there is none that may be taken. Throws what the bus throws. */
  async load(): Promise<PodSnapshot | null> {
    let result: LoadResult = 'taken'
    let why: unknown = null
    let snapshot: PodSnapshot | null = null
    try {
      snapshot = await this.#load()
      if (snapshot === null) result = 'empty'
    } catch (error) {
      const known = RESULTS.get((error as KlartextError).code)
      if (known === undefined) throw error
      result = known
      why = error
    }
    this.loads[result] = (this.loads[result] ?? 0) + 1
    this.#options.onLoad?.(result, why)
    return snapshot
  }

  async #load(): Promise<PodSnapshot | null> {
    const { cache, clock } = this.#options
    const bytes = await cache.get(await this.#key('head'))
    if (bytes === null) return null
    const head = await unpackSnapshotHead(bytes)
    const ageUs = clock.nowUs() - head.savedUs
    if (ageUs > AGE_US_MAX || ageUs < -AHEAD_US_MAX) {
      throw new KlartextError('OLD_SNAPSHOT', `saved ${Math.round(ageUs / 1e6)} s ago`)
    }
    await this.#mustBeOurs(head)
    const untilUs = clock.nowUs() + LOAD_US_MAX
    const known: KnownPod[] = []
    for (let part = 0; part < head.parts; part += PARTS_AT_ONCE) {
      if (clock.nowUs() > untilUs) throw new KlartextError('CACHE_AWAY', `${part} of ${head.parts} parts came in time`)
      const asked = Array.from({ length: Math.min(PARTS_AT_ONCE, head.parts - part) }, (_, i) =>
        this.#part(head.generation, part + i),
      )
      // Not unpacked while others are on their way: an answer that waits for this process would seem to be late.
      for (const packed of await Promise.all(asked)) {
        for (const item of await unpackSnapshotPart(packed)) known.push(item)
      }
    }
    if (known.length !== head.items) throw bad(`${known.length} of ${head.items} items are there`)
    const { start, next, last, completeUs } = head
    return { known, start, next, last, completeUs }
  }

  async #part(generation: string, part: number): Promise<Buffer> {
    const packed = await this.#options.cache.get(await this.#key(`${generation}:${part}`))
    if (packed === null) throw bad(`part ${part} is not there`)
    return packed
  }

  /** The topic begins where it began, and holds the record that was read last as it was. Throws `FOREIGN_SNAPSHOT`. */
  async #mustBeOurs({ start, next, last }: PodSnapshotHead): Promise<void> {
    const { bus } = this.#options
    const [begins, ends] = [await bus.startOffset(TOPICS.pods, 0), await bus.endOffset(TOPICS.pods, 0)]
    if (begins !== start) throw foreign(`begins at ${begins}, not at ${start}`)
    if (ends < next) throw foreign(`ends at ${ends}, before ${next}`)
    try {
      for await (const [first] of bus.read(TOPICS.pods, 0, last.offset, last.offset + 1n)) {
        if (isSame(markOf(first), last)) return
      }
    } catch (error) {
      if (!['EXPIRED', 'BAD_OFFSET'].includes((error as KlartextError).code)) throw error
    }
    throw foreign(`has another record at ${last.offset}, or none`)
  }

  /** Whoever has read the topic up to where it is now says so, and is asked for what it knows when it is to be written. */
  hasRead(take: () => PodSnapshot): void {
    const nowUs = this.#options.clock.nowUs()
    if (this.#working !== null || this.#closed) return
    if (this.#isClaimed) {
      this.#isClaimed = false
      this.#work(() => this.#save(take()))
    } else if (nowUs >= this.#claimAtUs) {
      this.#claimAtUs = nowUs + this.#everyMs * 1000
      this.#work(() => this.#claim())
    }
  }

  #work(call: () => Promise<void>): void {
    this.#working = call()
      .catch((error) => {
        this.failures += 1
        this.#options.onError?.(error)
      })
      .finally(() => {
        this.#working = null
      })
  }

  async #claim(): Promise<void> {
    this.#isClaimed = await this.#options.cache.claim(await this.#key('writer'), this.#everyMs)
  }

  async #save({ known, start, next, last, completeUs }: PodSnapshot): Promise<void> {
    const { cache, bus, clock } = this.#options
    const ttlMs = this.#everyMs * KEPT_TIMES
    const savedUs = clock.nowUs()
    const generation = randomUUID()
    let parts = 0
    let bytes = 0
    for await (const packed of packSnapshot(known)) {
      if (this.#closed) return
      if (parts === POD_SNAPSHOT_PARTS_MAX) throw bad(`more than ${parts} parts: it is not written`)
      await cache.set(await this.#key(`${generation}:${parts}`), packed, ttlMs)
      parts += 1
      bytes += packed.length
    }
    const begins = await bus.startOffset(TOPICS.pods, 0)
    if (begins !== start) throw foreign(`begins at ${begins}, what was read began at ${start}`)
    const head = { generation, parts, items: known.length, start, next, last, completeUs, savedUs }
    await cache.set(await this.#key('head'), await packSnapshotHead(head), ttlMs)
    this.saved += 1
    this.savedBytes = bytes
  }

  /** Clusters of Kafka may share a Redis, and workers of other versions too. */
  async #key(name: string): Promise<string> {
    if (this.#place === '') this.#place = `pods:${POD_SNAPSHOT_FORMAT}:${await this.#options.bus.clusterId()}`
    return `${this.#place}:${name}`
  }

  /** When nothing is being written. */
  async idle(): Promise<void> {
    await this.#working
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.idle()
  }
}

function foreign(what: string): KlartextError {
  return new KlartextError('FOREIGN_SNAPSHOT', `${TOPICS.pods} ${what}`)
}

function bad(what: string): KlartextError {
  return new KlartextError('BAD_SNAPSHOT', `a pod snapshot: ${what}`)
}
