/**
 * Follows klartext.pods: the whole topic at the start, or what was kept of it and the rest, then what comes. A record is known since the time that the broker gave
 * it. What a directory says of how far it has come says also that all it told before has been read.
 */
import { KlartextError, NewerSchemaError } from '../core/errors.js'
import type { PodRecord } from '../core/pods.js'
import type { Bus, BusRecord } from '../core/ports/bus.js'
import type { Clock } from '../core/ports/clock.js'
import type { PodDirectory, PodSink } from '../core/ports/pods.js'
import { decodePodRecord, parsePodKey } from '../core/wire/pods.js'
import { GIVE_UP_US, NAMES_WAIT_MS, type Names } from './names.js'
import type { PodCache, PodSnapshot } from './pod_cache.js'
import { PodTopic, type PodTopicPlace } from './pod_topic.js'

export interface PodFeedOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly pods: PodDirectory & PodSink
  readonly waitMs?: number
  /** Without one the whole topic is read at the start. */
  readonly cache?: PodCache
  /** Told what went wrong and is tried again. */
  readonly onError?: (error: unknown) => void
}

/** While somebody waits for what the directory says. */
const POLL_MS = 100
/** While nobody does: what is new is read when it is asked for. */
const IDLE_POLL_MS = 5_000
const RETRY_MS = 500
/** So much before what is asked for is kept, for the next question: reading the topic anew takes seconds. */
const SLACK_US = 3600_000_000
/** The same in the cache, of which more would cost all who start: one that is further behind than this reads the topic. */
const CACHE_SLACK_US = 600_000_000
const EXPIRE_US = 60_000_000
const EXPIRE_RECORDS = 50_000
const SLASH = 47

export class PodFeed implements Names {
  readonly #options: PodFeedOptions
  readonly waitUs: number
  readonly #topic: PodTopic
  /** What was in the topic then (own clock) has been read. */
  #readUs = 0
  /** By cluster: when its directory last said how far it has come; 0 where it has told of somebody and not yet said so. */
  readonly #toldUs = new Map<string, number>()
  /** What was known earlier is dropped while reading, and is not complete when that is done. */
  #keptUs = 0
  #completeUs = Number.POSITIVE_INFINITY
  #neededUs = Number.POSITIVE_INFINITY
  #expiredUs = 0
  /** Somebody was told to wait since the topic was read last. */
  #awaited = false
  /** Aborted to end the pause between two readings. */
  #pause = new AbortController()
  #running: Promise<void> | null = null
  readonly #stop = new AbortController()
  records = 0
  unreadable = 0
  /** Messages that went on without what they waited for. */
  given = 0
  /** Why the topic cannot be read; null where it can. */
  trouble: string | null = null

  constructor(options: PodFeedOptions) {
    this.#options = options
    this.#topic = new PodTopic(options.bus)
    this.waitUs = (options.waitMs ?? NAMES_WAIT_MS) * 1000
  }

  get pods(): PodDirectory {
    return this.#options.pods
  }

  /** Reads the topic, then follows it until `stop`. Rejects where it cannot be read at the start. */
  async start(): Promise<void> {
    if (this.#topic.isUnread) await this.load()
    await this.step()
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#pause.abort()
    await this.#running
    await this.#options.cache?.close()
  }

  /** Before the first reading: takes over what is in the cache. */
  async load(): Promise<void> {
    const snapshot = (await this.#options.cache?.load()) ?? null
    if (snapshot === null) return
    for (const { record, knownUs } of snapshot.known) this.#take(record, knownUs)
    this.#topic.resume(snapshot)
    this.#keptUs = snapshot.completeUs
    this.#completeUs = snapshot.completeUs
  }

  #snapshot(place: PodTopicPlace): PodSnapshot {
    const completeUs = Math.max(this.#completeUs, this.#readUs - CACHE_SLACK_US)
    return { ...place, known: this.#options.pods.seenFrom(completeUs), completeUs }
  }

  async #run(): Promise<void> {
    const { clock, onError } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      let pauseMs = POLL_MS
      try {
        await this.step()
        this.trouble = null
        if (!this.#awaited) pauseMs = IDLE_POLL_MS
      } catch (error) {
        this.trouble = (error as Error).message
        onError?.(error)
        pauseMs = RETRY_MS
      }
      this.#pause = new AbortController()
      if (signal.aborted) return
      await clock.sleep(pauseMs, this.#pause.signal).catch(() => {})
      // Who waits has not waited long, and others will: all of them are served by one reading.
      if (this.#pause.signal.aborted && !signal.aborted) await clock.sleep(POLL_MS, signal).catch(() => {})
    }
  }

  /** Reads what is new. */
  async step(): Promise<void> {
    const { clock, cache } = this.#options
    const beganUs = clock.nowUs()
    this.#awaited = false
    const neededUs = Math.min(this.#neededUs, beganUs)
    if (this.#topic.isUnread || neededUs < this.#completeUs) {
      this.#topic.rewind()
      this.#keptUs = neededUs - SLACK_US
    }
    await this.#topic.read((records) => this.#apply(records))
    this.#completeUs = this.#keptUs
    this.#readUs = beganUs
    if (beganUs - this.#expiredUs > EXPIRE_US) this.#expire(beganUs)
    const { place } = this.#topic
    if (place !== null) cache?.hasRead(() => this.#snapshot(place))
  }

  #apply(records: readonly BusRecord[]): void {
    const { pods } = this.#options
    const newest = this.#newest(records)
    for (const [i, { key, value, timestampMs = 0 }] of records.entries()) {
      this.records += 1
      const knownUs = timestampMs * 1000
      if (newest !== null && (newest.get(String(key)) ?? i) > i) continue
      try {
        if (value.length === 0) {
          const at = parsePodKey(key)
          if (at !== null) pods.remove(at.cluster, at.key)
          continue
        }
        this.#take(decodePodRecord(value), knownUs)
      } catch (error) {
        // What a newer directory wrote is not passed over: names stay as they are until a newer klartext reads on.
        if (!(error instanceof KlartextError) || error instanceof NewerSchemaError) throw error
        this.unreadable += 1
      }
      if (this.records % EXPIRE_RECORDS === 0) pods.expire(this.#keptUs)
    }
  }

  #take(record: PodRecord, knownUs: number): void {
    const { pods } = this.#options
    if (record.type === 'identity') {
      const { cluster } = record.identity
      pods.put(record.identity, knownUs)
      // Its directory has begun and will say how far it has come.
      if (!this.#toldUs.has(cluster)) this.#toldUs.set(cluster, 0)
    } else {
      const { followed } = record
      pods.follow(followed, knownUs)
      this.#toldUs.set(followed.cluster, Math.max(this.#toldUs.get(followed.cluster) ?? 0, knownUs))
    }
  }

  /**
   * Of what all who ask know already, which record of an identity is its newest here: the others need not be read. A pod is
   * told of some times within seconds, so that at the start, with days of them, most of the work is spared. Null where there
   * is nothing to spare.
   */
  #newest(records: readonly BusRecord[]): ReadonlyMap<string, number> | null {
    let newest: Map<string, number> | null = null
    for (const [i, { key, value, timestampMs = 0 }] of records.entries()) {
      // How far a cluster was followed counts as a whole: two directories at once do not tell it in order.
      if (timestampMs * 1000 > this.#keptUs || key === null || key[key.length - 1] === SLASH) continue
      newest ??= new Map()
      const before = newest.get(String(key))
      // A broker's clock may be behind that of the one before it. Who is taken out is so whatever the time.
      const isOlder = before !== undefined && timestampMs < (records[before].timestampMs ?? 0)
      if (!isOlder || value.length === 0) newest.set(String(key), i)
    }
    return newest
  }

  #expire(nowUs: number): void {
    this.#expiredUs = nowUs
    const wanted = Math.min(this.#neededUs, nowUs) - SLACK_US
    if (wanted <= this.#completeUs) return
    this.#keptUs = wanted
    this.#completeUs = wanted
    this.#options.pods.expire(wanted)
  }

  /** For one who asks for a time that is over: reads all that was known until so long after `toUs`, back to `fromUs`. */
  static async past(options: PodFeedOptions, fromUs: number, toUs: number): Promise<PodDirectory> {
    const { clock } = options
    const feed = new PodFeed(options)
    const readUs = Math.min(toUs, clock.nowUs()) + feed.waitUs + GIVE_UP_US
    const waitUs = readUs - clock.nowUs()
    if (waitUs > 0) await clock.sleep(waitUs / 1000)
    feed.release(fromUs)
    await feed.step()
    return feed.pods
  }

  isReady(cluster: string, knownUs: number, arrivedUs: number): boolean {
    if (knownUs < this.#completeUs) {
      // Read again from the start, with more of the past kept.
      this.#neededUs = Math.min(this.#neededUs, knownUs)
      return this.#wait()
    }
    const toldUs = this.#toldUs.get(cluster)
    // Nobody follows this cluster, as far as was read since the message came: there is nothing to wait for.
    if (toldUs === undefined ? this.#readUs >= arrivedUs : toldUs >= knownUs) return true
    const nowUs = this.#options.clock.nowUs()
    const isLate = nowUs >= knownUs + GIVE_UP_US && this.#readUs >= knownUs + GIVE_UP_US
    // A capturer whose clock is ahead does not hold the others up.
    if (!isLate && nowUs - arrivedUs < this.waitUs + 2 * GIVE_UP_US) return this.#wait()
    this.given += 1
    return true
  }

  #wait(): false {
    if (!this.#awaited) this.#pause.abort()
    this.#awaited = true
    return false
  }

  release(knownUs: number): void {
    this.#neededUs = knownUs
  }
}
