/**
 * Identities to klartext.pods: each under its key, the newest counts. After them, as often as the cluster was found to be
 * followed, how far: whoever has read that has read all that happened before. What the bus does not take waits, and only the
 * newest of each key.
 */
import { type Followed, type Identity, STILL_VALID_US } from '../core/pods.js'
import type { Bus, BusMessage, BusProducer } from '../core/ports/bus.js'
import type { Clock } from '../core/ports/clock.js'
import { TOPICS } from '../core/topics.js'
import { encodeFollowed, encodeIdentity, podKey } from '../core/wire/pods.js'

export interface PodPublisherOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly cluster: string
  readonly network: string
  /** Told what went wrong and is tried again. */
  readonly onError?: (error: unknown) => void
}

const MESSAGES_MAX = 500
/** Between two messages of how far the cluster was followed. */
const FOLLOWED_US_MIN = 1_000_000
/** Segments are kept for three days: who had an address then must be known as long, and one day more. */
const KEPT_AFTER_END_US = 4 * 86_400_000_000
const FORGET_EVERY_US = 3_600_000_000

export class PodPublisher {
  readonly #options: PodPublisherOptions
  #producer: BusProducer | null = null
  #waiting = new Map<string, Identity>()
  /** Keys in the topic whose end is known. */
  readonly #endedUs = new Map<string, number>()
  #followedUs = 0
  #forgotUs = 0
  messages = 0
  bytes = 0
  failures = 0
  /** Why the bus does not take what waits; null where it does. */
  trouble: string | null = null

  constructor(options: PodPublisherOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    this.#producer = await this.#options.bus.producer()
  }

  /** What is in the topic already. */
  restore(identities: Iterable<Identity>, followedUs: number): void {
    for (const identity of identities) this.#remember(identity)
    this.#followedUs = followedUs
  }

  tell(identity: Identity): void {
    this.#waiting.set(identity.key, identity)
  }

  get waiting(): number {
    return this.#waiting.size
  }

  get followedUs(): number {
    return this.#followedUs
  }

  /** Sends what waits, and behind it that the cluster was followed up to `followedUs`. */
  async flush(followedUs: number): Promise<void> {
    const identities = [...this.#waiting.values()]
    const messages: BusMessage[] = identities.map((identity) => ({
      key: podKey(identity.cluster, identity.key),
      value: encodeIdentity(identity),
    }))
    messages.push(...this.#forgotten())
    const isFurther = followedUs >= this.#followedUs + FOLLOWED_US_MIN
    if (isFurther) messages.push(this.#followed(followedUs))
    if (messages.length === 0) return
    try {
      for (let from = 0; from < messages.length; from += MESSAGES_MAX) {
        const part = messages.slice(from, from + MESSAGES_MAX)
        await (this.#producer as BusProducer).send(TOPICS.pods, 0, part)
        this.messages += part.length
        this.bytes += part.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
      }
    } catch (error) {
      // All of it once more: the same again does no harm.
      this.failures += 1
      this.trouble = (error as Error).message
      this.#options.onError?.(error)
      return
    }
    this.trouble = null
    if (isFurther) this.#followedUs = followedUs
    for (const identity of identities) {
      this.#remember(identity)
      // Unless it has changed meanwhile.
      if (this.#waiting.get(identity.key) === identity) this.#waiting.delete(identity.key)
    }
    for (const { key, value } of messages) if (value === null) this.#endedUs.delete(keyOf(key as Buffer))
  }

  #followed(untilUs: number): BusMessage {
    const { cluster, network } = this.#options
    const followed: Followed = { cluster, network, untilUs }
    return { key: podKey(cluster, ''), value: encodeFollowed(followed) }
  }

  #remember({ key, validToUs }: Identity): void {
    if (validToUs === STILL_VALID_US) this.#endedUs.delete(key)
    else this.#endedUs.set(key, validToUs)
  }

  /** A compacted topic keeps the newest of each key for ever; those of long ago are taken out. */
  #forgotten(): BusMessage[] {
    const nowUs = this.#options.clock.nowUs()
    if (nowUs - this.#forgotUs < FORGET_EVERY_US) return []
    this.#forgotUs = nowUs
    const { cluster } = this.#options
    const old = [...this.#endedUs].filter(([key, endUs]) => {
      return endUs < nowUs - KEPT_AFTER_END_US && !this.#waiting.has(key)
    })
    return old.map(([key]) => ({ key: podKey(cluster, key), value: null }))
  }

  async close(): Promise<void> {
    await this.#producer?.close()
  }
}

function keyOf(messageKey: Buffer): string {
  const text = messageKey.toString()
  return text.slice(text.lastIndexOf('/') + 1)
}
