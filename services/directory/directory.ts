/** Follows a cluster: one watch per kind of object, and identities out of what they see. */
import { setMaxListeners } from 'node:events'
import type { Identity } from '../core/pods.js'
import type { Clock } from '../core/ports/clock.js'
import { ApiError, type KubernetesApi } from '../core/ports/kubernetes.js'
import { Identities } from './identities.js'
import { readNamespace, readNode, readOwned, readPod, readService, readSlice } from './objects.js'
import { GONE, type ResourceEvents, ResourceWatch, Turns } from './resource_watch.js'

export interface DirectoryOptions {
  /** What flows call the cluster. */
  readonly cluster: string
  readonly api: KubernetesApi
  readonly clock: Clock
  readonly onIdentity: (identity: Identity) => void
  /** `kind`: of the objects, or `api` where the server does not answer at all. */
  readonly onFailure?: (kind: string, error: ApiError) => void
  /** As of ResourceWatch. */
  readonly random?: () => number
}

/** How often the server is asked whether it is there: watches say nothing where nothing happens. */
const PING_MS = 500
const PING_ANSWER_MS = 2_000
/** A watch that was opened anew has told by then what happened in between. */
const SETTLED_US = 500_000
/** Between two answers of a server that is well. */
const JUST_US = 2_500_000

interface Kind {
  readonly name: string
  readonly path: string
  seen(object: unknown): string | null
  gone(key: string): void
}

export class Directory {
  readonly #options: DirectoryOptions
  readonly #identities: Identities
  readonly #unsynced: Set<string>
  readonly #kinds: readonly Kind[]
  readonly #watches: readonly ResourceWatch[]
  #followedUs = 0
  #onSynced: () => void = () => {}
  /** All kinds have been listed once: what is unknown from here on is not there. */
  readonly synced: Promise<void> = new Promise((resolve) => {
    this.#onSynced = resolve
  })
  /** Objects that could not be read. */
  unreadable = 0
  failures = 0
  /** Of them: the server no longer had the place of a watch (410), so that all was listed anew. */
  forgotten = 0
  /** What went wrong last, since all was well; null where all is. */
  trouble: string | null = null

  constructor(options: DirectoryOptions) {
    this.#options = options
    const { cluster, clock, onIdentity, api, random = Math.random } = options
    const times = { nowUs: () => clock.nowUs(), seenUs: () => this.#seenUs() }
    this.#identities = new Identities(cluster, times, onIdentity)
    this.#identities.hold()
    this.#kinds = this.#allKinds()
    this.#unsynced = new Set(this.#kinds.map(({ name }) => name))
    const turns = new Turns()
    this.#watches = this.#kinds.map(
      (kind) => new ResourceWatch({ api, path: kind.path, clock, turns, random, events: this.#events(kind) }),
    )
  }

  /** What is found to be gone has just gone, unless something may have been missed: then it has since. */
  #seenUs(): number {
    const nowUs = this.#options.clock.nowUs()
    return this.#followedUs === 0 || nowUs - this.#followedUs < JUST_US ? nowUs : this.#followedUs
  }

  get podCount(): number {
    return this.#identities.podCount
  }

  /** How much is held, by kind. */
  get sizes(): Readonly<Record<string, number>> {
    return this.#identities.sizes
  }

  get unsyncedKinds(): readonly string[] {
    return [...this.#unsynced]
  }

  /** What happened in the cluster up to then has been told (µs since 1970); 0 where nothing was followed yet. */
  get followedUs(): number {
    return this.#followedUs
  }

  /** What a process before this one has told, and how far it had come. */
  restore(identities: Iterable<Identity>, followedUs: number): void {
    for (const identity of identities) this.#identities.restore(identity)
    this.#followedUs = followedUs
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    // Each watch and each pause listens.
    setMaxListeners(this.#kinds.length * 4, signal)
    await Promise.all([this.#ping(signal), ...this.#watches.map((watch) => watch.run(signal))])
  }

  async #ping(signal: AbortSignal): Promise<void> {
    const { api, clock } = this.#options
    while (!signal.aborted) {
      const askedUs = clock.nowUs()
      try {
        // Answered from the server's memory; one node is all that is read.
        const query = { limit: '1', resourceVersion: '0' }
        await api.list('/api/v1/nodes', query, AbortSignal.any([signal, AbortSignal.timeout(PING_ANSWER_MS)]))
        this.#answered(askedUs)
      } catch (error) {
        if (signal.aborted) return
        this.#failed('api', error instanceof ApiError ? error : new ApiError(0, (error as Error).message))
      }
      await clock.sleep(PING_MS, signal).catch(() => {})
    }
  }

  /** The server was there at that time; if all watches were, nothing has been missed up to then. */
  #answered(askedUs: number): void {
    if (this.#unsynced.size > 0) return
    for (const { followingSinceUs } of this.#watches) {
      if (followingSinceUs === null || followingSinceUs + SETTLED_US > askedUs) return
    }
    this.#followedUs = Math.max(this.#followedUs, askedUs)
    this.trouble = null
  }

  #failed(kind: string, error: ApiError): void {
    this.failures += 1
    if (error.status === GONE) this.forgotten += 1
    this.trouble = error.message
    this.#options.onFailure?.(kind, error)
  }

  #events(kind: Kind): ResourceEvents {
    return {
      seen: (object) => {
        const key = kind.seen(object)
        if (key === null) this.unreadable += 1
        return key
      },
      gone: (key) => kind.gone(key),
      synced: () => {
        if (!this.#unsynced.delete(kind.name) || this.#unsynced.size > 0) return
        this.#identities.release()
        this.#onSynced()
      },
      failed: (error) => this.#failed(kind.name, error),
    }
  }

  #allKinds(): Kind[] {
    const identities = this.#identities
    const owners = (name: string, path: string): Kind => ({
      name,
      path,
      seen: (object) => kept(readOwned(object), (owner) => identities.owner(name, owner), byUid),
      gone: (key) => identities.ownerGone(key),
    })
    return [
      {
        name: 'Node',
        path: '/api/v1/nodes',
        seen: (object) => kept(readNode(object), (node) => identities.node(node), byName),
        gone: (key) => identities.nodeGone(key),
      },
      owners('ReplicaSet', '/apis/apps/v1/replicasets'),
      owners('Job', '/apis/batch/v1/jobs'),
      {
        name: 'Service',
        path: '/api/v1/services',
        seen: (object) => kept(readService(object), (service) => identities.service(service), byPath),
        gone: (key) => identities.serviceGone(...(key.split('/') as [string, string])),
      },
      {
        name: 'EndpointSlice',
        path: '/apis/discovery.k8s.io/v1/endpointslices',
        seen: (object) => kept(readSlice(object), (slice) => identities.slice(slice), byUid),
        gone: (key) => identities.sliceGone(key),
      },
      {
        name: 'Namespace',
        path: '/api/v1/namespaces',
        seen: (object) => kept(readNamespace(object), (namespace) => identities.namespace(namespace), byName),
        gone: (key) => identities.namespaceGone(key),
      },
      {
        name: 'Pod',
        path: '/api/v1/pods',
        seen: (object) => kept(readPod(object), (pod) => identities.pod(pod), byUid),
        gone: (key) => identities.podGone(key),
      },
    ]
  }
}

interface Named {
  readonly uid: string
  readonly namespace: string
  readonly name: string
}

const byUid = ({ uid }: Named): string => uid
const byName = ({ name }: Named): string => name
const byPath = ({ namespace, name }: Named): string => `${namespace}/${name}`

function kept<T extends Named>(
  object: T | null,
  keep: (object: T) => void,
  keyOf: (object: Named) => string,
): string | null {
  if (object === null) return null
  keep(object)
  return keyOf(object)
}
