/** Follows a cluster: one watch per kind of object, and identities out of what they see. */
import { setMaxListeners } from 'node:events'
import type { Identity } from '../core/pods.js'
import type { ApiError, KubernetesApi } from '../core/ports/kubernetes.js'
import { Identities } from './identities.js'
import { readNode, readOwned, readPod, readService, readSlice } from './objects.js'
import { type ResourceEvents, ResourceWatch } from './resource_watch.js'

export interface DirectoryOptions {
  /** What flows call the cluster. */
  readonly cluster: string
  readonly api: KubernetesApi
  readonly nowUs: () => number
  readonly onIdentity: (identity: Identity) => void
  readonly onFailure?: (kind: string, error: ApiError) => void
}

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
  #onSynced: () => void = () => {}
  /** All kinds have been listed once: what is unknown from here on is not there. */
  readonly synced: Promise<void> = new Promise((resolve) => {
    this.#onSynced = resolve
  })
  /** Objects that could not be read. */
  unreadable = 0

  constructor(options: DirectoryOptions) {
    this.#options = options
    this.#identities = new Identities(options.cluster, options.nowUs, options.onIdentity)
    this.#kinds = this.#allKinds()
    this.#unsynced = new Set(this.#kinds.map(({ name }) => name))
  }

  get podCount(): number {
    return this.#identities.podCount
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { api } = this.#options
    // Each watch and each pause listens.
    setMaxListeners(this.#kinds.length * 4, signal)
    await Promise.all(this.#kinds.map((kind) => new ResourceWatch(api, kind.path, this.#events(kind)).run(signal)))
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
        this.#unsynced.delete(kind.name)
        if (this.#unsynced.size === 0) this.#onSynced()
      },
      failed: (error) => this.#options.onFailure?.(kind.name, error),
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
