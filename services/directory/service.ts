/**
 * The directory as a process: goes on where the one before it stopped, follows the cluster, publishes. Two at once do no harm:
 * they say the same.
 */
import { NewerSchemaError } from '../core/errors.js'
import type { Identity } from '../core/pods.js'
import type { Bus } from '../core/ports/bus.js'
import type { Clock } from '../core/ports/clock.js'
import type { ApiError, KubernetesApi } from '../core/ports/kubernetes.js'
import { TOPICS } from '../core/topics.js'
import { decodePodRecord, parsePodKey } from '../core/wire/pods.js'
import { Directory } from './directory.js'
import { PodPublisher } from './pod_publisher.js'

export interface DirectoryServiceOptions {
  readonly bus: Bus
  readonly api: KubernetesApi
  readonly clock: Clock
  readonly cluster: string
  /** Clusters that route each other's addresses and use none twice share a name; '' = this one is alone. */
  readonly network: string
  /** Told what went wrong and is tried again; `where`: the kind of object, `api`, or `bus`. */
  readonly onError?: (where: string, error: unknown) => void
  /** Told whenever the loop has come on. */
  readonly onProgress?: () => void
  /** As of ResourceWatch. */
  readonly random?: () => number
}

const FLUSH_MS = 100

export class DirectoryService {
  readonly #options: DirectoryServiceOptions
  readonly directory: Directory
  readonly publisher: PodPublisher
  /** Messages of klartext.pods that could not be read. */
  unreadable = 0

  constructor(options: DirectoryServiceOptions) {
    this.#options = options
    const { bus, api, clock, cluster, network, onError, random = Math.random } = options
    this.publisher = new PodPublisher({
      bus,
      clock,
      cluster,
      network,
      onError: (error) => onError?.('bus', error),
    })
    this.directory = new Directory({
      cluster,
      api,
      clock,
      random,
      onIdentity: (identity) => this.publisher.tell(identity),
      onFailure: (kind: string, error: ApiError) => onError?.(kind, error),
    })
  }

  /** Reads back what was told before. Throws NewerSchemaError where a newer directory has told it. */
  async start(): Promise<void> {
    const newest = new Map<string, Identity>()
    let followedUs = 0
    await this.#options.bus.readAll(TOPICS.pods, 0, (records) => {
      for (const { key, value } of records) {
        const at = parsePodKey(key)
        if (at === null || at.cluster !== this.#options.cluster) continue
        if (value.length === 0) {
          newest.delete(at.key)
          continue
        }
        try {
          const record = decodePodRecord(value)
          if (record.type === 'identity') newest.set(at.key, record.identity)
          else followedUs = Math.max(followedUs, record.followed.untilUs)
        } catch (error) {
          if (error instanceof NewerSchemaError) throw error
          this.unreadable += 1
        }
      }
    })
    this.directory.restore(newest.values(), followedUs)
    this.publisher.restore(newest.values(), followedUs)
    await this.publisher.start()
  }

  /** Until the signal; what is known by then is published. */
  async run(signal: AbortSignal): Promise<void> {
    const following = this.directory.run(signal)
    const publishing = this.#publish(signal)
    await Promise.all([following, publishing])
    await this.publisher.flush(this.directory.followedUs)
    await this.publisher.close()
  }

  async #publish(signal: AbortSignal): Promise<void> {
    const { clock, onProgress } = this.#options
    while (!signal.aborted) {
      onProgress?.()
      await this.publisher.flush(this.directory.followedUs)
      await clock.sleep(FLUSH_MS, signal).catch(() => {})
    }
  }

  /** Why names of this cluster are not up to date, in one line; null where they are. */
  get notReady(): string | null {
    const { unsyncedKinds, trouble } = this.directory
    if (unsyncedKinds.length > 0) return trouble ?? `not listed yet: ${unsyncedKinds.join(', ')}`
    return trouble ?? this.publisher.trouble
  }
}
